"""The national school register, for partners' own type-ahead fields."""

from collections.abc import Collection
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, structs

from idp.oidc.tokens.access_tokens import Access
from idp.partner_api.operations import operation
from idp.partner_api.responses import Address, RegisterEntry, RegisterSchool, RegisterSchools, Successor
from idp.schools import codes, search, status
from idp.schools.entries import Entry
from idp.schools.models import School
from idp.schools.search import FoundSchool

_ADDRESS_FIELDS: Final = [part.name for part in structs.fields(Address)]


class SearchQuery(Struct, frozen=True, kw_only=True):
    """What was typed, and how many schools are wanted."""

    q: Annotated[
        str,
        Meta(max_length=200, description="Name and town, postcode, DfE number, URN or UKPRN, or how it begins."),
    ]
    limit: Annotated[int, Meta(ge=1, le=50, description="Schools in the response.")] = 10


@operation(
    summary="Search the national register", query=SearchQuery, response_body=RegisterSchools, scope="", per_minute=1200
)
def search_register(_access: Access, query: SearchQuery) -> RegisterSchools:
    """The search of our own registration page, for a field that suggests schools while people type.

    It has only public data from the register. It does not say which schools are registered with us.
    """
    result = search.find(query.q, show=query.limit)
    return RegisterSchools(
        schools=tuple(map(_to_school, result.results)), more=result.more,
        searched_as=result.reading.kind if result.reading else UNSET,
    )  # fmt: skip


def to_entries(entries: Collection[Entry]) -> dict[int, RegisterEntry]:
    """The register entries of responses, by the entries' internal ids, with the successors of closed schools."""
    after = search.successors_of([entry for entry in entries if entry.status_code == codes.CLOSED])
    return {
        entry.id: RegisterEntry(**_entry(entry), successors=tuple(map(_to_successor, after.get(entry.id, ()))))
        for entry in entries
    }


def _to_school(result: FoundSchool) -> RegisterSchool:
    successors = tuple(map(_to_successor, result.successors))
    return RegisterSchool(**_entry(result.school), successors=successors, can_register=result.refusal_reason is None)


def _to_successor(step: Any) -> Successor:
    return Successor(name=step.name, urn=step.school.urn if step.school else UNSET, since=step.since or UNSET)


def _entry(school: School | Entry) -> dict[str, Any]:
    return {
        "name": school.name, "urn": school.urn or UNSET, "dfe_number": school.dfe_number or UNSET,
        "ukprn": school.ukprn or UNSET, "phase": status.phase(school), "type": school.type_name,
        "status": status.describe(school), "local_authority": school.la_name,
        "address": Address(**{part: getattr(school, part) for part in _ADDRESS_FIELDS}),
        "opened_on": school.opened_on or UNSET, "closed_on": school.closed_on or UNSET,
    }  # fmt: skip
