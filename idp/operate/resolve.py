"""Resolve the names that operators type into commands: their own, and those of schools."""

from collections.abc import Mapping

from idp.estabs import accounts
from idp.foundation import runtime
from idp.foundation.errors import Refusal
from idp.signin import operators


class OperatorNotNamed(Refusal):
    """In production, commands must name the operator, once there is one, for the audit log."""

    code, status, title = "who_acts", 400, "Say who you are"
    message = "Name the operator: idp --as EMAIL ..., or set IDP_OPERATOR. `idp operators list` shows them all."


def acting_operator(email: str | None) -> str:
    """The id of the operator with this address, or `cli` if none was named.

    Raises `UnknownOperator`, also for one who was disabled or is not set up yet; and `OperatorNotNamed`.
    """
    if email:
        return operators.find_active(email).id
    if runtime.settings().environment == "production" and operators.any_active():
        raise OperatorNotNamed
    return "cli"


def estab(text: str) -> str:
    """The internal id of the estab with this name or number. Raises `UnknownEstab`."""
    return accounts.look_up(text).id


def operator(email: str) -> str:
    """The id of the operator with this address. Raises `UnknownOperator`."""
    return operators.find(email).id


def addresses() -> Mapping[str, str]:
    """The e-mail addresses of all operators, including disabled ones, by id."""
    return {operator_row.id: operator_row.email for operator_row in operators.all_operators()}
