"""Checks of `idp doctor` for our own staff."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import func, select

from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding
from idp.signin import locks, spraying
from idp.signin.models import Operator

MANY_LOCKED_ACCOUNTS: Final = 10


def operators() -> Iterator[Finding]:
    """Check that at least one operator is set up, with a second factor."""
    count = session().scalar(
        select(func.count()).where(Operator.set_up_at.is_not(None), Operator.disabled_at.is_(None))
    )
    if count:
        yield Finding("operators", "ok", f"{count} with a second factor")
    else:
        yield Finding("operators", "warning", "none has finished setting up", "run: idp operators add NAME EMAIL")


def locked_accounts() -> Iterator[Finding]:
    """Check that few accounts are locked: many at once mean that someone tries passwords."""
    accounts, others = locks.current()
    if len(accounts) + others >= MANY_LOCKED_ACCOUNTS:
        message = f"{len(accounts)} accounts and {others} other names or browsers are locked by wrong passwords"
        yield Finding("locks", "warning", message, "someone may be trying passwords; see: idp people locked")
    else:
        yield Finding("locks", "ok", f"{len(accounts)} accounts are locked by wrong passwords")


def password_spraying() -> Iterator[Finding]:
    """Check that few accounts get wrong passwords from unknown browsers: many mean that someone sprays passwords."""
    figures = spraying.figures()
    message = f"names with wrong passwords this hour, typed in browsers new to them: {figures.names}"
    if figures.is_widespread or figures.networks:
        message = f"{message}; networks that have to wait: {figures.networks}"
        yield Finding("spraying", "warning", message, "someone may be trying passwords; the log names the networks")
    else:
        yield Finding("spraying", "ok", message)


CHECKS: Final[tuple[Check, ...]] = (operators, locked_accounts, password_spraying)
