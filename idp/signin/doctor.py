"""What `idp doctor` asks of our own staff."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import func, select

from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding
from idp.signin.models import Operator


def operators() -> Iterator[Finding]:
    """Somebody can act for us, with a second factor."""
    able = session().scalar(select(func.count()).where(Operator.set_up_at.is_not(None), Operator.disabled_at.is_(None)))
    if able:
        yield Finding("operators", "ok", f"{able} with a second factor")
    else:
        yield Finding("operators", "warning", "none has finished setting up", "run: idp operators add NAME EMAIL")


CHECKS: Final[tuple[Check, ...]] = (operators,)
