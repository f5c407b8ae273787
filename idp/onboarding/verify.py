"""Verify that the person who registers a school reads the mail at the address they gave.

The link is for one registration and one address, and works once. It expires after an hour, and a newer one
supersedes it. Following it only shows a button, because mail scanners follow links too; pressing the button uses it
up and stores the address that it verified. A reader who did not ask for it can stop the registration. Every change
locks the registration first and its links after it.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, func, select, update

from idp.audit import events, log
from idp.estabs import people
from idp.estabs.links import LinkExpired, LinkRefused, LinkSuperseded, LinkUnknown, LinkUsed
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import advisory_lock, claim, lock, session
from idp.foundation.errors import TooManyRequests
from idp.onboarding.models import EmailVerification, Registration
from idp.outbox import post


class RegistrationStopped(LinkRefused):
    """The reader of the mail said that they had not asked for it. The registration ends, and no newer link is sent."""

    code, title = "registration_stopped", "This registration has been stopped"
    message = (
        "The person who received our e-mail told us that they had not asked for it. Nothing has been set up, and the "
        "link no longer works. If that was a mistake, please start again: it takes a few minutes."
    )


PURPOSE: Final = "register"
"""The only purpose so far. A link is checked for its purpose, so that another purpose can be added safely."""

WINDOW: Final = timedelta(hours=1)
MAX_LINKS: Final = 5
"""Links sent within `WINDOW`, for one registration and for one address."""

MIN_INTERVAL: Final = timedelta(seconds=10)
"""The shortest time between two links of one registration, so that a double click sends one."""


def send_link(registration: Registration) -> None:
    """Send the link to the registration's address; links sent before stop working. Raises `TooManyRequests`.

    The caller holds the lock of `registration`.
    """
    advisory_lock("email_proofs", people.fold_email(registration.email))
    _enforce_limits(registration)
    lifetime = timedelta(seconds=runtime.settings().onboarding.proof_lifetime)
    secret, now = crypto.new_secret(), clock.now()
    _supersede(registration)
    session().add(
        EmailVerification(
            digest=crypto.digest(secret), purpose=PURPOSE, registration_id=registration.id,
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
    """Send a newer link, unless the address is verified or one was sent a moment ago. Returns whether one was sent.

    Raises `TooManyRequests`.
    """
    registration = _lock(registration.id)
    newest = session().scalar(select(func.max(EmailVerification.created_at)).where(_current(registration)))
    is_needed = registration.used_at is None and not registration.continues_here(registration.browser)
    if is_needed and (newest is None or newest + MIN_INTERVAL <= clock.now()):
        send_link(registration)
        return True
    return False


def check(secret: str) -> Registration:
    """The registration of the link, without using it up. Raises the `LinkRefused` that says what is wrong."""
    link = _find(secret)
    if link is None:
        raise LinkUnknown(reason="no such link")
    registration = session().get_one(Registration, link.registration_id)
    if registration.was_stopped:
        raise RegistrationStopped(reason=f"registration {registration.id} was stopped")
    if link.used_at or link.superseded_at or link.expires_at <= clock.now():
        raise _refusal_for(link)
    return _require_pending(registration, link.email)


def accept_link(secret: str, browser: bytes) -> Registration:
    """Use the link up in the browser with this digest; the address is then verified. Returns the registration.

    If this browser began the registration, it continues here. If another did, the person chooses (`handover`).
    """
    link, now = _find(secret), clock.now()
    if link is None:
        raise LinkUnknown(reason="no such link")
    registration = session().get_one(Registration, link.registration_id)
    began_here = registration.began_in(browser)  # never changes, so it cannot be out of date
    result = session().execute(
        update(Registration)
        .where(
            Registration.id == link.registration_id, Registration.email == link.email,
            Registration.used_at.is_(None), Registration.expires_at > now,
        )
        .values(
            verified_email=link.email, email_verified_at=now, verified_in=browser,
            continues_in=browser if began_here else None, code_made_at=None if began_here else now, code_tries=0,
            codes_made=0 if began_here else 1,
        )
        .returning(Registration.id)
    )  # fmt: skip
    is_verified = result.one_or_none() is not None
    if not is_verified or not claim(EmailVerification, digest=link.digest, purpose=PURPOSE, superseded_at=None):
        session().expire_all()  # this transaction may have read the rows before they changed
        check(secret)
        raise LinkSuperseded(reason=f"registration {registration.id} changed at the same moment")
    session().refresh(registration)
    log.record(events.EMAIL_VERIFIED, by="stranger", subject=registration.id)
    return registration


def registration_of(secret: str) -> Registration | None:
    """The registration of a link, valid or not; None for an unknown link."""
    link = _find(secret)
    return session().get_one(Registration, link.registration_id) if link else None


def send_another(secret: str) -> None:
    """Send a newer link to the address of this old one, if its registration can still be completed.

    Does not reveal whether it did, so that guessed links learn nothing. Raises `TooManyRequests`.
    """
    link = _find(secret)
    if link is None:
        return
    registration = _lock(link.registration_id)
    same_address = people.fold_email(registration.email) == link.email_folded
    if same_address and registration.used_at is None and not registration.has_expired:
        send_link(registration)


def stop(secret: str) -> None:
    """Stop the registration and its links, because the reader of this mail did not ask for it.

    Raises the `LinkRefused` that `check` would.
    """
    _stop(check(secret))


def stop_in_browser(registration: Registration, browser: bytes | None) -> None:
    """As `stop`, in a browser that verified the address by mistake. Raises a `LinkRefused` if it cannot be stopped."""
    if not registration.was_verified_elsewhere_than_begun(browser):
        raise LinkUnknown(reason=f"registration {registration.id} was not verified in this browser")
    _stop(registration)


def _stop(registration: Registration) -> None:
    email = registration.email
    registration = _require_pending(_lock(registration.id), email)
    registration.expires_at, registration.outcome = clock.now(), "stopped"
    _supersede(registration)
    log.record(events.REGISTRATION_DISOWNED, by="stranger", subject=registration.id)


def _lock(registration_id: str) -> Registration:
    """The registration as it is now, locked until this transaction ends. Raises `LinkExpired`."""
    registration = lock(Registration, registration_id)
    if registration is None:  # deleted by the clean-up since the caller read it
        raise LinkExpired(reason=f"registration {registration_id} was deleted")
    return registration


def _find(secret: str) -> EmailVerification | None:
    link = session().get(EmailVerification, crypto.digest(secret))
    return link if link is not None and link.purpose == PURPOSE else None


def _require_pending(registration: Registration, email: str) -> Registration:
    """The registration, if this address is still waiting to be verified. Raises a `LinkRefused` otherwise."""
    if registration.email != email:
        raise LinkSuperseded(reason=f"registration {registration.id} has another address now")
    if registration.used_at is not None:
        raise LinkUsed(reason=f"registration {registration.id} was completed")
    if registration.has_expired:
        raise LinkExpired(reason=f"registration {registration.id} has expired")
    return registration


def _refusal_for(link: EmailVerification) -> LinkRefused:
    """The refusal that says why `link` cannot be used; `claim` has already decided."""
    refusal = LinkUsed if link.used_at else LinkSuperseded if link.superseded_at else LinkExpired
    return refusal(reason=f"registration {link.registration_id}")


def _supersede(registration: Registration) -> None:
    session().execute(update(EmailVerification).where(_current(registration)).values(superseded_at=clock.now()))


def _current(registration: Registration) -> ColumnElement[bool]:
    """The links of a registration that were neither used nor superseded."""
    return (
        (EmailVerification.registration_id == registration.id)
        & EmailVerification.used_at.is_(None)
        & EmailVerification.superseded_at.is_(None)
    )


def _enforce_limits(registration: Registration) -> None:
    """Limit the links sent for one registration and to one address. Raises `TooManyRequests`."""
    sent_at = EmailVerification.created_at
    recent = select(func.count()).select_from(EmailVerification).where(sent_at > clock.now() - WINDOW)
    same_address = EmailVerification.email_folded == people.fold_email(registration.email)
    for condition in (EmailVerification.registration_id == registration.id, same_address):
        if (session().scalar(recent.where(condition)) or 0) >= MAX_LINKS:
            raise TooManyRequests(
                "We have sent several e-mails in the last hour, and only the newest link works. Please look for it, "
                "in the junk folder too, or try again in an hour.",
                reason=f"registration {registration.id}",
                retry_after=int(WINDOW.total_seconds()),
            )
