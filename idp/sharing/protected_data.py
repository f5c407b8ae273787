"""Specially protected data is shared only by a person who signed in with a second step (decision 59)."""

from collections.abc import Iterable

from idp.estabs.models import Estab
from idp.foundation import scopes as catalogue
from idp.foundation.errors import Refusal


class SecondStepNeeded(Refusal):
    """The person signed in without a second step."""

    code, status, title = "second_step_needed", 403, "Specially protected data needs a second step"
    message = "Only a person who signs in with a second step can agree to share specially protected data."


def check(scopes: Iterable[str], *, second_step: bool) -> None:
    """Raise `SecondStepNeeded` if any of `scopes` is specially protected, unless the person took their second step."""
    if not second_step and (protected := catalogue.specially_protected(scopes)):
        raise SecondStepNeeded(reason=str(sorted(protected)))


def check_rule(estab: Estab, *, second_step: bool) -> None:
    """Raise `SecondStepNeeded` if the school asks everyone for a second step, unless the person took theirs."""
    if estab.second_step_required_at is not None and not second_step:
        raise SecondStepNeeded(f"{estab.name} asks everyone who acts for it for a second step.")
