"""One review for several schools: a person authorises a service for those of their schools that they tick.

Each agreement is recorded by itself, as if it had been given alone: its row, its audit entry, its receipt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from idp.estabs import authority, people, permissions
from idp.estabs.models import Membership
from idp.estabs.permissions import Action
from idp.foundation import dates
from idp.foundation.database import savepoint, session
from idp.foundation.errors import Refusal
from idp.partners import mis_catalogue
from idp.partners.snapshots import AnyClient
from idp.sharing import authorise, mis
from idp.sharing.models import Authorisation

NEEDS_SECOND_STEP: Final = (
    "This school requires a second step when you sign in, and you have signed in without one. You can set one up on "
    "the Security page."
)


class NotInThisReview(Refusal):
    """This school cannot be authorised together with another; `message` is the reason."""

    code, status, title = "not_in_this_review", 409, "This school has to be looked at by itself"


@dataclass(frozen=True, slots=True)
class OtherSchool:
    """Another school of the person who decides, as the page shows it."""

    member: Membership
    obstacle: str | None
    """Why it cannot be authorised in this review; None where it can."""


@dataclass(frozen=True, slots=True)
class RefusedSchool:
    """A school that was ticked and for which nothing was recorded."""

    member: Membership
    obstacle: str


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """What was recorded for the schools of a review."""

    authorisation: Authorisation
    """The agreement of the school that the person acts for."""
    refused: list[RefusedSchool]


def other_schools(client: AnyClient, by: Membership, *, second_step: bool) -> list[OtherSchool]:
    """The schools, besides that of `by`, for which the same person acts and whose accounts are open; by name."""
    members = [member for member in people.active_memberships(by.person) if member.estab_id != by.estab_id]
    authorisations = _current(client, members)
    return [
        OtherSchool(member, _obstacle(client, member, authorisations.get(member.estab_id), second_step=second_step))
        for member in sorted(members, key=lambda member: (member.estab.name, member.estab_id))
    ]


def give(
    client: AnyClient,
    scopes: frozenset[str],
    *,
    by: Membership,
    also: Sequence[Membership],
    offered: frozenset[str],
    agreement_version: str,
    until: datetime,
    second_step: bool = False,
) -> ReviewResult:
    """Let `client` have exactly `scopes` of the school of `by`, and of each of `also` for which it can be done.

    `also` are memberships of the same person; `second_step` says whether they signed in with one. Schools are decided
    in one order, so that two reviews at once do not wait for each other. An obstacle at one does not
    affect the others. Raises the errors of `authorise.give` for the school of `by`, and then nothing is recorded.
    """
    authority.lock_all([by, *also])
    authorisations: dict[str, Authorisation] = {}
    refused: list[RefusedSchool] = []
    for member in sorted({by, *also}, key=lambda member: member.estab_id):
        try:
            with savepoint():
                if member is not by and (
                    obstacle := _obstacle(
                        client, member, _current(client, [member]).get(member.estab_id), second_step=second_step
                    )
                ):
                    raise NotInThisReview(obstacle, reason=f"{member.estab_id} and {client.id}")
                authorisations[member.estab_id] = authorise.give(
                    client, scopes, by=member, offered=offered, agreement_version=agreement_version, until=until,
                    second_step=second_step,
                )  # fmt: skip
        except Refusal as error:
            if member is by:
                raise
            refused.append(RefusedSchool(member, error.message))
    return ReviewResult(authorisations[by.estab_id], refused)


def _current(client: AnyClient, members: Sequence[Membership]) -> dict[str, Authorisation]:
    """The current agreements of these schools with `client`, by the estab's internal id."""
    ids = [member.estab_id for member in members]
    between = Authorisation.estab_id.in_(ids), Authorisation.client_id == client.id
    is_current = Authorisation.withdrawn_at.is_(None), Authorisation.superseded_at.is_(None)
    rows = session().scalars(select(Authorisation).where(*between, *is_current))
    return {authorisation.estab_id: authorisation for authorisation in rows}


def _obstacle(
    client: AnyClient, member: Membership, authorisation: Authorisation | None, *, second_step: bool
) -> str | None:
    """Why `client` cannot be authorised for this school together with another; None where it can."""
    try:
        authority.check(member, Action.AUTHORISE)
        mis.check(member.estab, client)
    except authority.NotPermitted:
        return f"Only {permissions.who(Action.AUTHORISE)} of this school can authorise it."
    except mis.MisUnknown:
        return f"{client.client_name} works with some systems only, and we do not know yet which one this school uses."
    except mis.MisNotAccepted:
        return f"{client.client_name} does not work with this school's system, {mis_catalogue.name(member.estab.mis)}."
    except Refusal as error:
        return error.message
    if member.estab.second_step_required_at is not None and not second_step:
        return NEEDS_SECOND_STEP
    return _obstacle_of(authorisation)


def _obstacle_of(authorisation: Authorisation | None) -> str | None:
    """Why a school that has this agreement cannot authorise the same service together with another."""
    if authorisation is None or authorisation.state == "expired":
        return None
    if authorisation.state == "paused":
        return "This school has paused it. You can resume it on the school's own page."
    return f"It is authorised already, until {dates.day(authorisation.until)}."
