"""Prove that whoever registers a school reads the mail at the address they gave.

The proof is a link: for one registration and one address, good once, for an hour, and dead as soon as a newer
one is sent. Following it only shows a button, because mail scanners follow links too; pressing the button is
what spends it. Whoever did not ask for it can say so, which ends the registration.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, func, select, update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.links import LinkExpired, LinkRefused, LinkSuperseded, LinkUnknown, LinkUsed
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import claim, session
from idp.foundation.errors import TooManyRequests
from idp.onboarding.models import EmailProof, Registration
from idp.outbox import post


class RegistrationStopped(LinkRefused):
    """Somebody who reads the mail said that it was not theirs: nothing goes on, and no newer link is sent."""

    code, title = "registration_stopped", "This registration has been stopped"
    says = (
        "Somebody who received our e-mail told us that they had not asked for it. Nothing has been set up, and the "
        "link no longer works. If that was a mistake, please start again: it takes a few minutes."
    )


REGISTER: Final = "register"
"""The one purpose there is today; a proof for another never passes for it."""

WINDOW: Final = timedelta(hours=1)
MOST: Final = 5
"""Links in `WINDOW`, for one registration and for one address."""

AT_LEAST: Final = timedelta(seconds=10)
"""Between two links of one registration: a second click asks for nothing new."""


def send_proof(registration: Registration) -> None:
    """Send the link to the registration's address; links sent before are dead. Raises `TooManyRequests`."""
    _not_too_often(registration)
    lifetime = timedelta(seconds=runtime.settings().onboarding.proof_lifetime)
    secret, now = crypto.new_secret(), clock.now()
    _supersede(registration)
    session().add(
        EmailProof(
            digest=crypto.digest(secret), purpose=REGISTER, registration_id=registration.id,
            email=registration.email, email_folded=people.fold_email(registration.email), created_at=now,
            expires_at=now + lifetime, used_at=None, superseded_at=None,
        )
    )  # fmt: skip
    post.email(
        "verify_email", to=registration.email, expires=now + lifetime, name=registration.name,
        school=registration.school.name, minutes=int(lifetime.total_seconds() // 60),
        link=runtime.url(f"/register/verify/{secret}"),
    )  # fmt: skip


def resend(registration: Registration) -> bool:
    """Send a newer link, unless the address is verified or a link left a moment ago; whether one was sent.

    Raises `TooManyRequests`.
    """
    newest = session().scalar(select(func.max(EmailProof.created_at)).where(_current(registration)))
    if registration.email_verified_at is None and (newest is None or newest + AT_LEAST <= clock.now()):
        send_proof(registration)
        return True
    return False


def look(secret: str) -> Registration:
    """The registration the link is for, without spending it. Raises a `LinkRefused` that says what is wrong."""
    proof = _proof(secret)
    if proof is None:
        raise LinkUnknown(because="no such proof")
    registration = session().get_one(Registration, proof.registration_id)
    if registration.was_stopped:
        raise RegistrationStopped(because=f"registration {registration.id} was disowned")
    if proof.used_at or proof.superseded_at or proof.expires_at <= clock.now():
        raise _why_not(proof)
    return _still_wanted(registration, proof.email)


def accept_proof(secret: str, browser: bytes) -> Registration:
    """Spend the link in the browser with this digest, and return its registration: the address is verified.

    That browser may go on with the registration from now on, even if another began it.
    """
    digest = crypto.digest(secret)
    proof = claim(EmailProof, digest=digest, purpose=REGISTER, superseded_at=None)
    if proof is None:
        session().expire_all()  # the page before may have read the row as it was
        look(secret)
        raise LinkUnknown(because="a proof for another purpose")
    registration = session().get_one(Registration, proof.registration_id)
    _still_wanted(registration, proof.email)  # raising gives the link back unspent, which does no harm
    registration.email_verified_at, registration.proved_in = proof.used_at, browser
    log.record(events.EMAIL_VERIFIED, by="stranger", subject=registration.id)
    return registration


def behind(secret: str) -> Registration | None:
    """The registration of a link, good or not; None for a link we never made."""
    proof = _proof(secret)
    return session().get_one(Registration, proof.registration_id) if proof else None


def send_another(secret: str) -> None:
    """Send a newer link to whom this old one was sent, if its registration can still be completed.

    Says nothing of whether it did: a stranger's guess gets the answer everyone gets. Raises `TooManyRequests`.
    """
    proof = _proof(secret)
    if proof is None:
        return
    registration = session().get_one(Registration, proof.registration_id)
    same_address = people.fold_email(registration.email) == proof.email_folded
    if same_address and registration.used_at is None and not registration.has_expired:
        send_proof(registration)


def disown(secret: str) -> None:
    """Whoever reads this mail did not ask for it: the registration ends, and so do its links.

    Raises a `LinkRefused` where `look` would.
    """
    registration = look(secret)
    registration.expires_at, registration.outcome = clock.now(), "stopped"
    _supersede(registration)
    log.record(events.REGISTRATION_DISOWNED, by="stranger", subject=registration.id)


def _proof(secret: str) -> EmailProof | None:
    proof = session().get(EmailProof, crypto.digest(secret))
    return proof if proof is not None and proof.purpose == REGISTER else None


def _still_wanted(registration: Registration, email: str) -> Registration:
    """The registration, if it still waits for this very address to be proved."""
    if registration.email != email:
        raise LinkSuperseded(because=f"registration {registration.id} has another address now")
    if registration.used_at is not None:
        raise LinkUsed(because=f"registration {registration.id} was completed")
    if registration.has_expired:
        raise LinkExpired(because=f"registration {registration.id} has expired")
    return registration


def _why_not(proof: EmailProof) -> LinkRefused:
    """Say which it was. Only for the page: `claim` has already decided."""
    kind = LinkUsed if proof.used_at else LinkSuperseded if proof.superseded_at else LinkExpired
    return kind(because=f"registration {proof.registration_id}")


def _supersede(registration: Registration) -> None:
    session().execute(update(EmailProof).where(_current(registration)).values(superseded_at=clock.now()))


def _current(registration: Registration) -> ColumnElement[bool]:
    """The links of a registration that nobody has pressed and no newer one replaced."""
    return (
        (EmailProof.registration_id == registration.id)
        & EmailProof.used_at.is_(None)
        & EmailProof.superseded_at.is_(None)
    )


def _not_too_often(registration: Registration) -> None:
    """Hold back a flood, of one registration or onto one address."""
    recent = select(func.count()).select_from(EmailProof).where(EmailProof.created_at > clock.now() - WINDOW)
    of_address = EmailProof.email_folded == people.fold_email(registration.email)
    for mine in (EmailProof.registration_id == registration.id, of_address):
        if (session().scalar(recent.where(mine)) or 0) >= MOST:
            raise TooManyRequests(
                "We have sent several e-mails in the last hour, and only the newest link works. Please look for it, "
                "in the junk folder too, or try again in an hour.",
                because=f"registration {registration.id}",
                retry_after=int(WINDOW.total_seconds()),
            )
