"""The names that operators type into commands: their own, and schools'."""

from collections.abc import Mapping

from idp.estabs import accounts
from idp.foundation import runtime
from idp.foundation.errors import Refusal
from idp.signin import operators


class WhoActs(Refusal):
    """In production the audit log names the person, as soon as there is one."""

    code, status, title = "who_acts", 400, "Say who you are"
    says = "Say for whom: idp --as EMAIL ..., or set IDP_OPERATOR. `idp operators list` shows who there is."


def acting(email: str | None) -> str:
    """The id of the operator with this address, or `cli` where none was named.

    Raises `UnknownOperator`, also for one who was disabled or is not set up yet; and `WhoActs`.
    """
    if email:
        return operators.find_active(email).id
    if runtime.settings().environment == "production" and operators.any_active():
        raise WhoActs
    return "cli"


def estab(typed: str) -> str:
    """The internal id of the estab that is meant. Raises `UnknownEstab`."""
    return accounts.look_up(typed).id


def operator(email: str) -> str:
    """The id of the operator with this address. Raises `UnknownOperator`."""
    return operators.find(email).id


def addresses() -> Mapping[str, str]:
    """The e-mail address of every operator there ever was, by id."""
    return {one.id: one.email for one in operators.all_operators()}
