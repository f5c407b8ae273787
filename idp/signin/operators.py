"""Accounts of our own staff: added by a command that prints a one-time link; they sign in with a second factor."""

from sqlalchemy import select

from idp.audit import events, log
from idp.estabs import links, people
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.foundation.errors import NotFound, Refusal
from idp.signin import session as browser_sessions
from idp.signin.code_accounts import OPERATORS
from idp.signin.models import Operator


class AlreadySetUp(Refusal):
    """The operator has a password and a second factor; another link would bypass both."""

    code, status, title = "operator_set_up_already", 409, "This operator is set up already"
    message = "This operator is set up already. Disable them, and add them under another address, to begin again."


class UnknownOperator(NotFound):
    """No operator has this address."""

    code, message = "unknown_operator", "There is no operator with that address."


def add(name: str, email: str, *, by: str = "cli") -> tuple[Operator, str]:
    """Add an operator, or issue another link to one who is not set up yet; returns the operator and the link.

    Raises `AlreadySetUp`.
    """
    operator = OPERATORS.find_by_address(email)
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
    return operator, runtime.url(f"/set-up/{OPERATORS.issue_link(operator)}")


def all_operators() -> list[Operator]:
    """All operators, including disabled ones, oldest first."""
    return list(session().scalars(select(Operator).order_by(Operator.created_at, Operator.id)))


def addresses() -> list[str]:
    """The e-mail addresses of the operators who can sign in, for notices to all of them."""
    return [row.email for row in all_operators() if row.set_up_at is not None and row.disabled_at is None]


def by_id(operator_id: str) -> Operator | None:
    """The operator with this id, even if disabled; None if no operator has it."""
    return session().get(Operator, operator_id)


def find(email: str) -> Operator:
    """The operator with this address. Raises `UnknownOperator`."""
    operator = OPERATORS.find_by_address(email)
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
    links.supersede(operator.id, OPERATORS.purpose)
    browser_sessions.end_all(operator.id, "disabled")
    log.record(events.OPERATOR_DISABLED, by=by, subject=operator.id)
    return operator
