"""Accounts of our own staff: added by a command that prints a one-time link; they sign in with a second factor."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import or_, select, update

from idp.audit import events, log
from idp.estabs import links, people
from idp.estabs.models import PersonalSecret
from idp.foundation import clock, crypto, database, runtime
from idp.foundation.database import session
from idp.foundation.errors import NotFound, Refusal
from idp.signin import devices, guesses, second_factor, session as browser_sessions
from idp.signin.models import Operator

SET_UP = "operator_set_up"
SET_UP_LIFETIME = timedelta(hours=24)


class AlreadySetUp(Refusal):
    """The operator has a password and a second factor; another link would bypass both."""

    code, status, title = "operator_set_up_already", 409, "This operator is set up already"
    message = "This operator is set up already. Disable them, and add them under another address, to begin again."


class UnknownOperator(NotFound):
    """No operator has this address."""

    code, message = "unknown_operator", "There is no operator with that address."


class WrongCredentials(Refusal):
    """The address, password or code is wrong; the error does not say which."""

    code, status, title = "wrong_credentials", 401, "We could not sign you in"
    message = "The e-mail address, password and code do not match. Please check all three."


class WrongCode(Refusal):
    """The code is not the one of the app that is being set up."""

    code, status, title = "wrong_code", 400, "That code is not right"
    message = "That code is not the one we expect now. Please type the one your app shows at this moment."


@dataclass(frozen=True, slots=True)
class SetUp:
    """An operator who is being set up, and the seed for their app."""

    operator: Operator
    seed: str

    @property
    def app(self) -> second_factor.NewApp:
        """What the page shows for the app."""
        return second_factor.NewApp(self.seed, self.operator.email)


def add(name: str, email: str, *, by: str = "cli") -> tuple[Operator, str]:
    """Add an operator, or issue another link to one who is not set up yet; returns the operator and the link.

    Raises `AlreadySetUp`.
    """
    operator = session().scalar(select(Operator).where(Operator.email_folded == people.fold_email(email)))
    if operator is None:
        operator = Operator(
            id=crypto.new_id("opr"), name=name, email=email, email_folded=people.fold_email(email),
            password_hash=None, totp_sealed=None, totp_step=None, created_at=clock.now(), set_up_at=None,
            disabled_at=None,
        )  # fmt: skip
        session().add(operator)
    elif operator.set_up_at or operator.disabled_at:
        raise AlreadySetUp(reason=operator.id)
    log.record(events.OPERATOR_ADDED, by=by, subject=operator.id, details={"name": name, "email": email})
    return operator, runtime.url(f"/set-up/{links.issue(operator.id, SET_UP, SET_UP_LIFETIME)}")


def all_operators() -> list[Operator]:
    """All operators, including disabled ones, oldest first."""
    return list(session().scalars(select(Operator).order_by(Operator.created_at, Operator.id)))


def by_id(operator_id: str) -> Operator | None:
    """The operator with this id, a disabled one too; None for an id that is no operator's."""
    return session().get(Operator, operator_id)


def find(email: str) -> Operator:
    """The operator with this address. Raises `UnknownOperator`."""
    operator = session().scalar(select(Operator).where(Operator.email_folded == people.fold_email(email)))
    if operator is None:
        raise UnknownOperator(reason="no such operator")
    return operator


def find_active(email: str) -> Operator:
    """As `find`, but raises `UnknownOperator` also if they are not set up or are disabled."""
    operator = find(email)
    if operator.set_up_at is None or operator.disabled_at is not None:
        state = "was disabled" if operator.disabled_at else "has not finished setting up"
        raise UnknownOperator(f"The operator with that address {state}.", reason=operator.id)
    return operator


def any_active() -> bool:
    """Whether any operator is set up and not disabled."""
    set_up = select(Operator.id).where(Operator.set_up_at.is_not(None), Operator.disabled_at.is_(None))
    return session().scalar(set_up.limit(1)) is not None


def disable(email: str, *, by: str = "cli") -> Operator:
    """Disable an operator and end their sessions. Raises `UnknownOperator`."""
    operator = find(email)
    operator.disabled_at = operator.disabled_at or clock.now()
    links.supersede(operator.id, SET_UP)
    browser_sessions.end_all(operator.id, "disabled")
    log.record(events.OPERATOR_DISABLED, by=by, subject=operator.id)
    return operator


def operator_of_link(secret: str) -> Operator:
    """The operator of this set-up link. Raises a `LinkRefused`."""
    return session().get_one(Operator, links.check(secret, SET_UP).person_id)


def begin_set_up(secret: str) -> SetUp:
    """The operator and the seed, which stays the same until the link is used. Raises a `LinkRefused`."""
    link = links.check(secret, SET_UP)
    if link.value is None:
        _store_seed(link)
    seed = runtime.sealer().unseal(link.value or "", where=_sealing_context(link)).decode()
    return SetUp(session().get_one(Operator, link.person_id), seed)


def finish_set_up(secret: str, *, password_hash: str, code: str) -> Operator:
    """Use the link up and store the password and the seed. Raises `WrongCode` or a `LinkRefused`.

    `password_hash` is calculated outside the transaction.
    """
    set_up = begin_set_up(secret)
    step = second_factor.step_of(set_up.seed, code)
    if step is None:
        raise WrongCode(reason=set_up.operator.id)
    links.spend(secret, SET_UP, set_up.operator.id)
    operator = set_up.operator
    operator.password_hash, operator.totp_step, operator.set_up_at = password_hash, step, clock.now()
    operator.totp_sealed = runtime.sealer().seal(set_up.seed.encode(), where=_seed_context(operator.id))
    links.erase_values(operator.id)
    log.record(events.OPERATOR_SET_UP, by=operator.id, subject=operator.id)
    return operator


def seal_for_set_up(secret: str, password_hash: str) -> str:
    """Encrypt the hash of an accepted password for the page of this link, until the code is right too."""
    return runtime.sealer().seal(password_hash.encode(), where=_page_context(secret))


def unseal_for_set_up(secret: str, sealed: str) -> str | None:
    """The hash that `seal_for_set_up` encrypted for this link; None if `sealed` is anything else."""
    try:
        return runtime.sealer().unseal(sealed, where=_page_context(secret)).decode()
    except crypto.CannotUnseal:
        return None


def _page_context(secret: str) -> str:
    return f"page/set-up/{crypto.digest(secret).hex()}"


def check(email: str, password: str, code: str, *, device: str | None) -> Operator:
    """The operator with this address, password and code. Raises `WrongCredentials`, `Locked` and `TooManySignIns`.

    As with `password.check`, the caller must render a page, so that the guess is counted.
    """
    operator = session().scalar(
        select(Operator).where(Operator.email_folded == people.fold_email(email), Operator.disabled_at.is_(None))
    )
    person_id, stored = (operator.id, operator.password_hash) if operator else (None, None)
    counter = (
        devices.guess_counter(person_id, device) if person_id else guesses.key("operator", people.fold_email(email))
    )
    guesses.refuse_locked(counter)
    database.end_read_transaction()
    is_right = runtime.passwords().matches(stored, password)

    locks = guesses.count(counter)
    if not is_right or person_id is None or not _spend_code(person_id, code):
        log.record(events.SIGN_IN_FAILED, by="stranger", subject=person_id)
        if locks:
            log.record(events.ACCOUNT_LOCKED, by="system", subject=person_id)
        raise WrongCredentials(reason=person_id or "no operator with that address")
    guesses.forget(counter)
    guesses.count_sign_in(person_id)
    return session().get_one(Operator, person_id)


def _spend_code(operator_id: str, code: str) -> bool:
    """Whether the code is right and newer than the last one used. Of two requests at once, one succeeds."""
    operator = session().get_one(Operator, operator_id)
    if operator.totp_sealed is None:
        return False
    seed = runtime.sealer().unseal(operator.totp_sealed, where=_seed_context(operator_id)).decode()
    step = second_factor.step_of(seed, code)
    if step is None:
        return False
    unused = or_(Operator.totp_step.is_(None), Operator.totp_step < step)
    result = session().execute(
        update(Operator).where(Operator.id == operator_id, unused).values(totp_step=step).returning(Operator.id)
    )
    return result.one_or_none() is not None


def _store_seed(link: PersonalSecret) -> None:
    """Keep a new seed with the link, unless another page did so at this moment: both show that one."""
    sealed = runtime.sealer().seal(second_factor.new_seed().encode(), where=_sealing_context(link))
    links.set_value(link, sealed)


def _sealing_context(link: PersonalSecret) -> str:
    return f"personal_secrets/{link.digest.hex()}/value"


def _seed_context(operator_id: str) -> str:
    return f"operators/{operator_id}/totp_sealed"
