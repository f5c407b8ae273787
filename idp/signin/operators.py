"""Our own staff: made by a command that prints a one-time link, and always signing in with a second factor."""

from dataclasses import dataclass
from datetime import timedelta
from textwrap import wrap

from markupsafe import Markup
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
    """The operator has a password and a second factor; another link would be a way around both."""

    code, status, title = "operator_set_up_already", 409, "This operator is set up already"
    says = "This operator is set up already. Disable them, and add them under another address, to begin again."


class UnknownOperator(NotFound):
    """No operator has this address."""

    code, says = "unknown_operator", "There is no operator with that address."


class WrongCredentials(Refusal):
    """Address, password or code were wrong; which of them is not said."""

    code, status, title = "wrong_credentials", 401, "We could not sign you in"
    says = "The e-mail address, password and code do not match. Please check all three."


class WrongCode(Refusal):
    """The app and we do not agree; nothing is set up yet."""

    code, status, title = "wrong_code", 400, "That code is not right"
    says = "That code is not the one we expect now. Please type the one your app shows at this moment."


@dataclass(frozen=True, slots=True)
class SetUp:
    """An operator about to be set up, and the seed for their app."""

    operator: Operator
    seed: str

    @property
    def link(self) -> str:
        """Adds the account to an app on the same device."""
        return second_factor.link(self.seed, self.operator.email)

    @property
    def picture(self) -> Markup:
        """The same as a QR code, for an app on a telephone."""
        return second_factor.picture(self.link)

    @property
    def spaced(self) -> str:
        """The seed in groups of four, to be typed."""
        return " ".join(wrap(self.seed, 4))


def add(name: str, email: str, *, by: str = "cli") -> tuple[Operator, str]:
    """Add an operator, or renew the link of one who is not set up yet: who it is, and the link, good for a day.

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
        raise AlreadySetUp(because=operator.id)
    log.record(events.OPERATOR_ADDED, by=by, subject=operator.id, details={"name": name, "email": email})
    return operator, runtime.url(f"/set-up/{links.issue(operator.id, SET_UP, SET_UP_LIFETIME)}")


def listing() -> list[Operator]:
    """Every operator there ever was, oldest first."""
    return list(session().scalars(select(Operator).order_by(Operator.created_at, Operator.id)))


def find(email: str) -> Operator:
    """The operator with this address. Raises `UnknownOperator`."""
    operator = session().scalar(select(Operator).where(Operator.email_folded == people.fold_email(email)))
    if operator is None:
        raise UnknownOperator(because="no such operator")
    return operator


def able(email: str) -> Operator:
    """The same, if they are set up and were not disabled. Raises `UnknownOperator`."""
    operator = find(email)
    if operator.set_up_at is None or operator.disabled_at is not None:
        state = "was disabled" if operator.disabled_at else "has not finished setting up"
        raise UnknownOperator(f"The operator with that address {state}.", because=operator.id)
    return operator


def anyone_able() -> bool:
    """Whether any operator can act."""
    set_up = select(Operator.id).where(Operator.set_up_at.is_not(None), Operator.disabled_at.is_(None))
    return session().scalar(set_up.limit(1)) is not None


def disable(email: str, *, by: str = "cli") -> Operator:
    """Let an operator do nothing any more, at once. Raises `UnknownOperator`."""
    operator = find(email)
    operator.disabled_at = operator.disabled_at or clock.now()
    links.supersede(operator.id, SET_UP)
    browser_sessions.end_all(operator.id, "disabled")
    log.record(events.OPERATOR_DISABLED, by=by, subject=operator.id)
    return operator


def invited(secret: str) -> Operator:
    """Whose set-up link this is. Raises a `LinkRefused`."""
    return session().get_one(Operator, links.check(secret, SET_UP).person_id)


def begin_set_up(secret: str) -> SetUp:
    """What the app needs: the same seed again, for as long as the link has not been used. Raises a `LinkRefused`."""
    kept = links.check(secret, SET_UP)
    if kept.value is None:
        _give_seed(kept)
    seed = runtime.sealer().unseal(kept.value or "", where=_place(kept)).decode()
    return SetUp(session().get_one(Operator, kept.person_id), seed)


def finish_set_up(secret: str, *, hashed: str, code: str) -> Operator:
    """Spend the link: password and app are the operator's from now on. Raises `WrongCode` or a `LinkRefused`.

    `hashed` was made outside of the transaction.
    """
    begun = begin_set_up(secret)
    step = second_factor.step_of(begun.seed, code)
    if step is None:
        raise WrongCode(because=begun.operator.id)
    links.spend(secret, SET_UP, begun.operator.id)
    operator = begun.operator
    operator.password_hash, operator.totp_step, operator.set_up_at = hashed, step, clock.now()
    operator.totp_sealed = runtime.sealer().seal(begun.seed.encode(), where=_seed_of(operator.id))
    links.erase_values(operator.id)
    log.record(events.OPERATOR_SET_UP, by=operator.id, subject=operator.id)
    return operator


def seal_for_set_up(secret: str, hashed: str) -> str:
    """The hash of a good password for the page of this link to keep, while only the code is wrong."""
    return runtime.sealer().seal(hashed.encode(), where=_page_of(secret))


def kept_for_set_up(secret: str, sealed: str) -> str | None:
    """The hash that the page of this link kept; None for anything else."""
    try:
        return runtime.sealer().unseal(sealed, where=_page_of(secret)).decode()
    except crypto.CannotUnseal:
        return None


def _page_of(secret: str) -> str:
    return f"page/set-up/{crypto.digest(secret).hex()}"


def check(email: str, password: str, code: str, *, device: str | None) -> Operator:
    """The operator with this address, password and code. Raises `WrongCredentials`, `Locked` and `TooManySignIns`.

    As with `password.check`, the caller answers with a page, so that the guess stays counted.
    """
    found = session().scalar(
        select(Operator).where(Operator.email_folded == people.fold_email(email), Operator.disabled_at.is_(None))
    )
    person_id, stored = (found.id, found.password_hash) if found else (None, None)
    counter = devices.counter(person_id, device) if person_id else guesses.key("operator", people.fold_email(email))
    guesses.refuse_locked(counter)
    database.end_read_transaction()
    right = runtime.passwords().matches(stored, password)

    locks = guesses.count(counter)
    if not right or person_id is None or not _spend_code(person_id, code):
        log.record(events.SIGN_IN_FAILED, by="stranger", subject=person_id)
        if locks:
            log.record(events.ACCOUNT_LOCKED, by="system", subject=person_id)
        raise WrongCredentials(because=person_id or "no operator of that name")
    guesses.forget(counter)
    guesses.count_sign_in(person_id)
    return session().get_one(Operator, person_id)


def _spend_code(operator_id: str, code: str) -> bool:
    """Whether the code is right and newer than the last one used: of two at once, one is."""
    operator = session().get_one(Operator, operator_id)
    if operator.totp_sealed is None:
        return False
    seed = runtime.sealer().unseal(operator.totp_sealed, where=_seed_of(operator_id)).decode()
    step = second_factor.step_of(seed, code)
    if step is None:
        return False
    unused = or_(Operator.totp_step.is_(None), Operator.totp_step < step)
    spent = session().execute(
        update(Operator).where(Operator.id == operator_id, unused).values(totp_step=step).returning(Operator.id)
    )
    return spent.one_or_none() is not None


def _give_seed(kept: PersonalSecret) -> None:
    """Keep a new seed with the link, unless another page did so at this moment: both show that one."""
    sealed = runtime.sealer().seal(second_factor.new_seed().encode(), where=_place(kept))
    links.set_value(kept, sealed)


def _place(kept: PersonalSecret) -> str:
    return f"personal_secrets/{kept.digest.hex()}/value"


def _seed_of(operator_id: str) -> str:
    return f"operators/{operator_id}/totp_sealed"
