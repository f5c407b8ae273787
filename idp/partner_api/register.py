"""The national school register, for partners' own type-ahead fields."""

from collections.abc import Collection
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, structs

from idp.oidc.tokens.access_tokens import Access
from idp.partner_api.answers import Address, RegisterEntry, RegisterSchool, RegisterSchools, Successor
from idp.partner_api.operations import operation
from idp.schools import search, status
from idp.schools.models import School as RegisteredSchool
from idp.schools.search import FoundSchool
from idp.schools.status import ListedSchool

_PARTS_OF_ADDRESS: Final = [part.name for part in structs.fields(Address)]


class SearchQuery(Struct, frozen=True, kw_only=True):
    """What was typed, and how many schools are wanted."""

    q: Annotated[
        str,
        Meta(max_length=200, description="Name and town, postcode, DfE number, URN or UKPRN, or how it begins."),
    ]
    limit: Annotated[int, Meta(ge=1, le=50, description="Schools in the answer.")] = 10


@operation(
    summary="Search the national school register", query=SearchQuery, answer=RegisterSchools, scope="", per_minute=1200
)
def search_register(_access: Access, query: SearchQuery) -> RegisterSchools:
    """The search of our own registration page, for a field in which people choose their school while they type.

    It has public data of the register only: it does not say which schools are registered with us.
    """
    found = search.find(query.q, show=query.limit)
    return RegisterSchools(
        schools=tuple(map(_to_school, found.results)), more=found.more,
        searched_as=found.reading.kind if found.reading else UNSET,
    )  # fmt: skip


def to_entries(schools: Collection[RegisteredSchool]) -> dict[int, RegisterEntry]:
    """The entries of schools by their internal ids, with the successors of closed ones."""
    after = search.successors_of([school for school in schools if ListedSchool(school).is_closed])
    return {
        school.id: RegisterEntry(
            **_entry(ListedSchool(school)), successors=tuple(map(_to_successor, after.get(school.id, ())))
        )
        for school in schools
    }


def _to_school(result: FoundSchool) -> RegisterSchool:
    successors = tuple(map(_to_successor, result.successors))
    return RegisterSchool(**_entry(result), successors=successors, can_register=result.refusal_reason is None)


def _to_successor(step: Any) -> Successor:
    return Successor(name=step.name, urn=step.school.urn if step.school else UNSET, since=step.since or UNSET)


def _entry(listed: ListedSchool) -> dict[str, Any]:
    school = listed.school
    return {
        "name": school.name, "urn": school.urn or UNSET, "dfe_number": school.dfe_number or UNSET,
        "ukprn": school.ukprn or UNSET, "phase": listed.phase, "type": school.type_name,
        "status": status.describe(school), "local_authority": school.la_name,
        "address": Address(**{part: getattr(school, part) for part in _PARTS_OF_ADDRESS}),
        "opened_on": school.opened_on or UNSET, "closed_on": school.closed_on or UNSET,
    }  # fmt: skip
