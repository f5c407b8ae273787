"""Prove that the person who registers a school reads the mail at the address they gave.

The proof is a link: for one registration and one address, good once, for an hour, and dead as soon as a newer
one is sent. Following it only shows a button, because mail scanners follow links too; pressing the button is
what spends it, and stores which address it proved. A reader who did not ask for it can say so, which ends the
registration. Every change locks the registration first and its links after it.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, func, select, update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.links import LinkExpired, LinkRefused, LinkSuperseded, LinkUnknown, LinkUsed
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import claim, lock, one_at_a_time, session
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
    """Send the link to the registration's address; links sent before are dead. Raises `TooManyRequests`.

    `registration` is locked.
    """
    one_at_a_time("email_proofs", people.fold_email(registration.email))
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
        "verify_email", to=registration.email, expires=now + lifetime,  # no name: a stranger may have typed it
        school=registration.school.name, minutes=int(lifetime.total_seconds() // 60),
        link=runtime.url(f"/register/verify/{secret}"),
    )  # fmt: skip


def resend(registration: Registration) -> bool:
    """Send a newer link, unless the address is verified or a link left a moment ago; whether one was sent.

    Raises `TooManyRequests`.
    """
    registration = _locked(registration.id)
    newest = session().scalar(select(func.max(EmailProof.created_at)).where(_current(registration)))
    is_needed = registration.used_at is None and not registration.continues_here(registration.browser)
    if is_needed and (newest is None or newest + AT_LEAST <= clock.now()):
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
    """Spend the link in the browser with this digest, and return its registration: this very address is verified.

    If that browser began the registration, it goes on. If another did, a person chooses where to (`handover`).
    """
    proof, now = _proof(secret), clock.now()
    if proof is None:
        raise LinkUnknown(because="no such proof")
    registration = session().get_one(Registration, proof.registration_id)
    here = registration.began_in(browser)  # settled when it began, so it cannot be out of date
    verified = session().execute(
        update(Registration)
        .where(
            Registration.id == proof.registration_id, Registration.email == proof.email,
            Registration.used_at.is_(None), Registration.expires_at > now,
        )
        .values(
            verified_email=proof.email, email_verified_at=now, proved_in=browser,
            continues_in=browser if here else None, code_made_at=None if here else now, code_tries=0,
            codes_made=0 if here else 1,
        )
        .returning(Registration.id)
    )  # fmt: skip
    won = verified.one_or_none() is not None
    if not won or claim(EmailProof, digest=proof.digest, purpose=REGISTER, superseded_at=None) is None:
        session().expire_all()  # the page before may have read the rows as they were
        look(secret)
        raise LinkSuperseded(because=f"registration {registration.id} changed at the same moment")
    session().refresh(registration)
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
    registration = _locked(proof.registration_id)
    same_address = people.fold_email(registration.email) == proof.email_folded
    if same_address and registration.used_at is None and not registration.has_expired:
        send_proof(registration)


def disown(secret: str) -> None:
    """End the registration and its links: the reader of this mail did not ask for it.

    Raises a `LinkRefused` where `look` would.
    """
    _end(look(secret))


def disown_here(registration: Registration, browser: bytes | None) -> None:
    """The same after the button was pressed in that browser by mistake. Raises a `LinkRefused` where it cannot end."""
    if not registration.proved_elsewhere_in(browser):
        raise LinkUnknown(because=f"registration {registration.id} was not verified in this browser")
    _end(registration)


def _end(registration: Registration) -> None:
    email = registration.email
    registration = _still_wanted(_locked(registration.id), email)
    registration.expires_at, registration.outcome = clock.now(), "stopped"
    _supersede(registration)
    log.record(events.REGISTRATION_DISOWNED, by="stranger", subject=registration.id)


def _locked(registration_id: str) -> Registration:
    """The registration as it is now, locked until this transaction ends. Raises `LinkExpired`."""
    registration = lock(Registration, registration_id)
    if registration is None:  # the caller has seen it: the clean-up of expired ones was quicker
        raise LinkExpired(because=f"registration {registration_id} was deleted")
    return registration


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
    """The links of a registration that were neither pressed nor replaced by a newer one."""
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
