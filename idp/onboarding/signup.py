"""Register a school: begin, correct, and complete once the address is verified.

A registration belongs to the browser that began it, identified by the digest of a cookie. Completion is claimed by
one UPDATE that names the verified address, so of two clicks, or two browsers, one creates the estab. Only completion
reveals whether a school is registered already, to a person whose address is verified; until then every registration
looks the same. A person who is signed in completes at once, with their account (`add_school`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from urllib.parse import urlencode

from sqlalchemy import select

from idp.audit import events, log
from idp.estabs import accounts, people
from idp.estabs.models import Administrator, Estab, Membership
from idp.foundation import clock, crypto, dates, runtime
from idp.foundation.database import advisory_lock, claim, lock, session
from idp.foundation.errors import Refusal
from idp.onboarding import first_credentials, join, origin, review, verify
from idp.onboarding.models import Registration
from idp.outbox import post
from idp.schools import search, status
from idp.schools.models import School


class CannotRegister(Refusal):
    """The school's entry in the national register does not allow registering; `message` is the reason."""

    code, status, title = "cannot_register", 409, "This school cannot register"


class NotInThisBrowser(Refusal):
    """The registration belongs to another browser or does not exist; the response does not reveal which."""

    code, status, title = "registration_not_here", 404, "We cannot find this registration"
    message = (
        "A registration can be continued in the browser in which it was started, or from the link in our e-mail. "
        "If neither is at hand, please start again: it takes a few minutes."
    )


class RegistrationExpired(Refusal):
    """The registration was not completed in time."""

    code, status, title = "registration_expired", 410, "This registration has ended"
    message = "It was not completed in time. Nothing has been set up. Please start again: it takes a few minutes."


class NotVerifiedYet(Refusal):
    """The address has to be verified before completing."""

    code, status, title = "email_not_verified", 409, "Please verify your e-mail address first"
    message = "Open the link in the e-mail that we sent you, then sign up."


class ContinuesElsewhere(Refusal):
    """The person chose to continue in the other browser."""

    code, status, title = "continues_elsewhere", 409, "This registration continues in another browser"
    message = "It continues in the browser in which the link was opened, or in which its code was typed."


class CompletedAlready(Refusal):
    """Another click or another browser completed it first."""

    code, status, title = "registration_completed", 409, "This registration is complete"
    message = "It was completed already. Nothing has been done twice."


@dataclass(frozen=True, slots=True)
class Details:
    """A person's details, cleaned: the mobile number in E.164."""

    name: str
    email: str
    mobile: str


def school_to_register(school_id: int, return_to: str | None) -> School:
    """The school with this id, if it may register. Raises `NotFound`, and `CannotRegister` with its successors.

    Links to the successors keep `return_to`, the path of a partner's pending request.
    """
    school = search.school(school_id)
    if message := status.reason_not_to_register(school):
        reason = f"school {school.id}: {school.status_name}, {school.type_name}"
        raise CannotRegister(message, reason=reason, next_steps=_alternatives(school, return_to))
    return school


def begin(school: School, details: Details, *, browser: bytes, return_to: str | None) -> Registration:
    """Start to register `school` in the browser with this digest, and send the link that verifies the address.

    If this browser has an open registration of the school, that one is corrected instead.
    `return_to` is the local path of a partner's pending request. Raises `TooManyRequests`.
    """
    advisory_lock("registrations", browser.hex(), str(school.id))
    if (open_registration := find_open(browser, school)) is not None:
        corrected = correct(open_registration, details)
        corrected.return_to = return_to or corrected.return_to
        corrected.client_id = client_of(corrected.return_to)
        return corrected
    registration = create(school, details, browser=browser, return_to=return_to, by="stranger")
    verify.send_link(registration)
    return registration


def create(school: School, details: Details, *, browser: bytes, return_to: str | None, by: str) -> Registration:
    """Store a new registration. `by` is the person who begins it, for the audit log, or `stranger`."""
    now, lifetime = clock.now(), timedelta(days=runtime.settings().onboarding.registration_lifetime_days)
    registration = Registration(
        id=crypto.new_id("reg"), school_id=school.id, name=details.name, email=details.email, mobile=details.mobile,
        declared_at=now, browser=browser, return_to=return_to, client_id=client_of(return_to), created_at=now,
        expires_at=now + lifetime,
    )  # fmt: skip
    session().add(registration)
    session().flush()
    log.record(events.REGISTRATION_BEGUN, by=by, subject=registration.id, school=school.id)
    return registration


def correct(registration: Registration, details: Details) -> Registration:
    """Store corrected details. A new address has to be verified; the same address is not sent a second link.

    Raises the errors of `change_address`.
    """
    registration = lock_open(registration.id)
    address_changed = people.fold_email(details.email) != people.fold_email(registration.email)
    registration.name, registration.mobile = details.name, details.mobile
    registration.declared_at = clock.now()
    return change_address(registration, details.email) if address_changed else registration


def change_address(registration: Registration, email: str) -> Registration:
    """Verify another address instead; links sent before stop working.

    Raises `TooManyRequests`, `CompletedAlready`, `RegistrationExpired`.
    """
    registration = lock_open(registration.id)
    registration.email = email
    registration.verified_email = registration.email_verified_at = None
    registration.verified_in = registration.continues_in = registration.code_made_at = None
    log.record(events.REGISTRATION_ADDRESS_CHANGED, by="stranger", subject=registration.id)
    verify.send_link(registration)
    return registration


def find_open(browser: bytes | None, school: School | None = None) -> Registration | None:
    """This browser's newest open registration, of this school or of any."""
    if browser is None:
        return None
    statement = select(Registration).where(
        Registration.browser == browser, Registration.used_at.is_(None), Registration.expires_at > clock.now()
    )
    if school is not None:
        statement = statement.where(Registration.school_id == school.id)
    return session().scalar(statement.order_by(Registration.created_at.desc()).limit(1))


def find_in_browser(registration_id: str, browser: bytes | None) -> Registration:
    """The registration with this id, if this browser began it or verified its address.

    Raises `NotInThisBrowser`; `RegistrationExpired` if it was not completed in time; `RegistrationStopped` if the
    reader of its mail stopped it.
    """
    is_well_formed = re.fullmatch(r"reg_[a-z2-7]{26}", registration_id)
    registration = session().get(Registration, registration_id) if is_well_formed else None
    start = (("Register your school", "/register"),)
    if registration is None or not registration.is_known_browser(browser):
        raise NotInThisBrowser(reason=f"registration {registration_id}", next_steps=start)
    if registration.was_stopped:
        raise verify.RegistrationStopped(reason=f"registration {registration.id}", next_steps=start)
    if registration.has_expired:
        raise RegistrationExpired(reason=f"registration {registration.id}", next_steps=start)
    return registration


def step(registration: Registration, browser: bytes | None) -> str:
    """The step that the browser with this digest is at; it began the registration or verified its address.

    `check_email`; then `sign_up` and `done` in the browser in which it continues. In the other browser, always:
    `enter_code` if it began the registration, `show_code` if it verified the address.
    """
    if registration.was_completed_in(browser):
        return "done"
    if not registration.is_verified and registration.used_at is None:
        return "check_email"
    if registration.continues_here(browser) and registration.used_at is None:
        return "sign_up"
    return "enter_code" if registration.began_in(browser) else "show_code"


def complete(
    registration: Registration,
    details: Details,
    generated: first_credentials.GeneratedPassword,
    *,
    browser: bytes | None,
) -> str:
    """Create the estab and its owner, or ask to join the existing one; returns the outcome.

    `details.email` is the verified address: one UPDATE claims the registration while that is still so and while it
    continues in `browser`. `generated` is the password about to be shown; only a new estab's owner receives it.
    Raises `NotVerifiedYet`, `ContinuesElsewhere`, `CompletedAlready`, `RegistrationExpired`, `CannotRegister`.
    """
    return finish(registration, partial(_open_account, registration, generated), details, browser=browser)


def finish(
    registration: Registration,
    register: Callable[[], Administrator],
    details: Details,
    *,
    browser: bytes | None,
    account: Administrator | None = None,
) -> str:
    """Complete a registration: by `register`, which returns the owner, or a request to join; returns the outcome.

    `account` is that of the person, where they are signed in and continue with it. Raises the errors of `complete`.
    """
    verified = {"email": details.email, "verified_email": details.email, "continues_in": browser or b""}
    is_claimed = claim(Registration, id=registration.id, **verified)
    session().refresh(registration)
    if not is_claimed:
        raise _refusal_for(registration)
    school = school_to_register(registration.school_id, registration.return_to)
    registration.name, registration.mobile, registration.completed_in = details.name, details.mobile, browser
    registration.declared_at = clock.now()
    try:
        owner = register()
    except accounts.SchoolTaken:
        estab = accounts.find_by_school(school.id)
        if estab is None:  # rejected or closed at the same moment: trying again will register it
            raise
        registration.outcome = join.request_to_join(estab, registration, account)
        registration.administrator_id = account.id if account else None
    else:
        registration.outcome, registration.administrator_id = "added" if account else "registered", owner.id
    log.record(
        events.REGISTRATION_COMPLETED, by=registration.administrator_id or "stranger", subject=registration.id,
        outcome=registration.outcome,
    )  # fmt: skip
    return registration.outcome


def find_by_member(member: Membership) -> Registration | None:
    """The registration by which this person registered this school; None if they came to act for it in another way."""
    conditions = Registration.administrator_id == member.person_id, Registration.school_id == member.estab.school_id
    registered = Registration.outcome.in_(("registered", "added"))
    newest = Registration.used_at.desc(), Registration.id
    return session().scalar(select(Registration).where(*conditions, registered).order_by(*newest).limit(1))


def owner(registration: Registration) -> Administrator | None:
    """The administrator whom `registration` created, or with whose account it was completed."""
    return people.get(registration.administrator_id or "")


def opened_estab(registration: Registration) -> Estab | None:
    """The estab that the person of this registration opened for its school, if it is open."""
    estab = accounts.find_by_school(registration.school_id)
    return estab if estab and people.membership(registration.administrator_id or "", estab.id) else None


def lock_open(registration_id: str) -> Registration:
    """The registration as it is now, locked. Raises `CompletedAlready` and `RegistrationExpired`."""
    registration = lock(Registration, registration_id)
    if registration is None or registration.has_expired:
        raise RegistrationExpired(reason=f"registration {registration_id}")
    if registration.used_at is not None:
        raise CompletedAlready(reason=registration.id)
    return registration


def _refusal_for(registration: Registration) -> Refusal:
    """The refusal that says why `registration` could not be completed; `claim` has already decided."""
    if registration.used_at is not None:
        return CompletedAlready(reason=registration.id)
    if registration.has_expired:
        return RegistrationExpired(reason=registration.id)
    return (
        ContinuesElsewhere(reason=registration.id)
        if registration.is_verified
        else NotVerifiedYet(reason=registration.id)
    )


def _open_account(registration: Registration, generated: first_credentials.GeneratedPassword) -> Administrator:
    """Open the estab's account; returns its owner, who has the generated password. Raises `SchoolTaken`."""
    estab, owner = accounts.register(
        registration.school, name=registration.name, email=registration.email, mobile=registration.mobile
    )
    first_credentials.issue(registration, owner, generated)
    begin_review("school_registered", estab, owner)
    return owner


def begin_review(mail_name: str, estab: Estab, owner: Administrator) -> None:
    """Have our staff check the new estab, and tell its owner by the mail of this name when they will call."""
    new_review = review.open_for(estab)
    post.email(
        mail_name, to=owner.email, estab=estab.id, name=owner.name_in_mails, school=estab.name,
        estab_id=estab.estab_id, due=dates.weekday_and_day(new_review.due_at), link=runtime.url("/"),
    )  # fmt: skip


def _alternatives(school: School, return_to: str | None) -> tuple[tuple[str, str], ...]:
    """Links to register instead of a school that may not: its successors, or another school."""
    parameters = {"next": return_to} if return_to else {}
    successors = [link.school for link in search.successors(school) if link.school is not None and link.can_be_chosen]
    steps = [
        (f"Register {successor.name}", f"/register/details?{urlencode({'school': successor.id, **parameters})}")
        for successor in successors
    ]
    return (*steps, ("Find another school", f"/register?{urlencode(parameters)}".rstrip("?")))


def client_of(return_to: str | None) -> str | None:
    """The client whose pending request has this local path; None if there is none."""
    partner = origin.find_by_path(return_to)
    return partner.client_id if partner else None
