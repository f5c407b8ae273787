"""The part of the authorisation page where a person ticks other schools of theirs, for which the same is authorised."""

from typing import Final

from flask import flash, request
from werkzeug.datastructures import MultiDict

from idp.estabs.models import Membership
from idp.partners.snapshots import AnyClient
from idp.sharing import several_schools
from idp.sharing.several_schools import RefusedSchool

FIELD: Final = "also"
"""The name of the boxes; each has the Estab ID of its school."""
ALL: Final = "all"
"""The box that stands for all of them."""


def ticked(client: AnyClient, member: Membership, *, second_step: bool) -> list[Membership]:
    """The other schools that were ticked, of those for which the person acts; others' ids are left out."""
    typed = frozenset(request.form.getlist(FIELD))
    return [
        other.member
        for other in (several_schools.other_schools(client, member, second_step=second_step) if typed else [])
        if other.member.estab.estab_id in typed or (ALL in typed and other.obstacle is None)
    ]


def ticked_boxes(before: "MultiDict[str, str] | None") -> frozenset[str]:
    """The boxes to show ticked: those of the form that was sent, or of the draft `before`."""
    return frozenset((request.form if request.method == "POST" else before or MultiDict()).getlist(FIELD))


def flash_refusals(client: AnyClient, refused: list[RefusedSchool]) -> None:
    """Say on the next page of ours for which schools nothing was recorded: the browser leaves for the service now."""
    for refusal in refused:
        flash(
            f"{client.client_name} was not authorised for {refusal.member.estab.name}. {refusal.obstacle}",
            "warning",
        )
