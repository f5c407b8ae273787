"""The schools that authorised a client."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from idp.foundation import scopes
from idp.foundation.errors import NotFound
from idp.oidc.tokens.access_tokens import Access
from idp.partner_api import connections, register
from idp.partner_api.operations import InvalidRequest, NoQuery, operation
from idp.partner_api.responses import (
    Connection,
    RegisterEntry,
    Review,
    School,
    SchoolEndpoint,
    Schools,
)
from idp.partner_events.facts import AgreementStatus, VerificationState
from idp.schools import codes
from idp.sharing import client_schools, reviews
from idp.sharing.client_schools import ClientSchool, Selection
from idp.xporter import endpoints
from idp.xporter.endpoints import CurrentEndpoint
from idp.xporter.models import Endpoint

SCOPE = "schools.list"
CLOSING: Final[Mapping[str, Literal["announced", "closed"]]] = {codes.CLOSING: "announced", codes.CLOSED: "closed"}
NOT_AUTHORISED = "No school with this Estab ID has authorised your application."


class SchoolsQuery(Struct, frozen=True, kw_only=True):
    """Which schools, and how many on a page."""

    limit: Annotated[int, Meta(ge=1, le=200, description="Schools on a page.")] = 100
    cursor: Annotated[str, Meta(pattern="^[a-z0-9_]{1,60}$", description="`next` of the page before.")] | UnsetType = (
        UNSET
    )
    changed_since: (
        Annotated[
            datetime, Meta(tz=True, description="Only schools about which something has changed since then (RFC 3339).")
        ]
        | UnsetType
    ) = UNSET
    status: AgreementStatus | UnsetType = UNSET
    verification: VerificationState | UnsetType = UNSET
    connection: Annotated[Connection, Meta(description="Only schools whose `connection` is this.")] | UnsetType = UNSET


@operation(
    summary="List the schools that authorised your application", query=SchoolsQuery, response_body=Schools, scope=SCOPE,
    for_schools=True, per_minute=600,
)  # fmt: skip
def list_schools(access: Access, query: SchoolsQuery) -> Schools:
    """Every school that has authorised your application, even if that has ended, a page at a time and in a fixed order.

    Follow `next` until it is left out. Each page looks at a limited number of schools, so that every page takes about
    as long. Where few of them match, a page may have fewer than `limit`, or none, and still have a `next`.

    A token that was issued under a school's authorisation lists only that school.
    """
    client = access.client.registered
    selection = Selection(
        status=query.status or None, verification=query.verification or None,
        changed_since=_in_utc(query.changed_since) if query.changed_since else None, estab=_estab_of(access),
        further=(connections.condition(query.connection, client),) if query.connection else (),
    )  # fmt: skip
    page = client_schools.page(client, selection, after=query.cursor or None, limit=query.limit)
    schools = page.schools
    connected = endpoints.find_by_estabs([school.estab.id for school in schools])
    entries = register.to_entries([school.entry for school in schools])
    listed = tuple(to_school(school, connected.get(school.estab.id), entries[school.entry.id]) for school in schools)
    return Schools(schools=listed, next=page.continues_after or UNSET)


@operation(
    summary="Read one school", query=NoQuery, response_body=School, scope=SCOPE, for_schools=True, per_minute=1200
)
def read_school(access: Access, _query: NoQuery, estab_id: str) -> School:
    """One of the schools that `GET /api/schools` lists, by its Estab ID; 404 for every other."""
    allowed = _estab_of(access)
    if not estab_id.isalnum():  # not to be asked of the database, which cannot store every character
        raise NotFound(NOT_AUTHORISED, reason="not an Estab ID")
    if allowed is not None and allowed != estab_id:
        raise NotFound("A token that was issued for a school can read only that school.", reason=estab_id)
    school = client_schools.find(access.client.registered, estab_id)
    if school is None:
        raise NotFound(NOT_AUTHORISED, reason=estab_id)
    entries = register.to_entries([school.entry])
    return to_school(school, endpoints.current(school.estab.id), entries[school.entry.id])


def to_school(client_school: ClientSchool, endpoint: Endpoint | CurrentEndpoint | None, entry: RegisterEntry) -> School:
    """The school as responses contain it, with its endpoint and its entry in the national register."""
    agreement, estab = client_school.agreement, client_school.estab
    return School(
        estab_id=estab.estab_id, status=client_school.status, verification=estab.state,  # type: ignore[arg-type]
        connection=connections.state_of(client_school, endpoint), endpoint=_endpoint(endpoint),
        scope=scopes.format(client_school.granted), withheld_scope=scopes.format(client_school.withheld),
        mis=estab.mis or UNSET,
        mis_accepted=client_school.mis_accepted,
        agreement_version=agreement.agreement, review=_review(client_school.review),
        closing=CLOSING.get(client_school.entry.status_code, UNSET), continues_as=client_school.continues_as or UNSET,
        review_declined_at=agreement.review_declined_at or UNSET, authorised_at=agreement.given_at,
        until=agreement.until,
        paused_at=agreement.paused_at or UNSET, withdrawn_at=agreement.withdrawn_at or UNSET,
        changed_at=client_school.changed_at, register=entry,
    )  # fmt: skip


def _endpoint(endpoint: Endpoint | CurrentEndpoint | None) -> SchoolEndpoint:
    if endpoint is None:
        return SchoolEndpoint(state="none")
    return SchoolEndpoint(
        state=endpoint.state, heard_at=endpoint.heard_at, agent_version=endpoint.agent_version,  # type: ignore[arg-type]
    )  # fmt: skip


def _review(review: reviews.Review | None) -> Review | UnsetType:
    if review is None:
        return UNSET
    return Review(
        required_scope=scopes.format(review.required), optional_scope=scopes.format(review.optional),
        agreement_version=UNSET if review.version is None else review.version,
    )  # fmt: skip


def _in_utc(since: datetime) -> datetime:
    """The same moment in UTC. Raises `InvalidRequest` where its offset leads outside the years 1 to 9999."""
    try:
        return since.astimezone(UTC)
    except OverflowError as error:
        raise InvalidRequest("changed_since: is too early or too late", reason="changed_since") from error


def _estab_of(access: Access) -> str | None:
    return None if access.state is None else access.state.estab_public_id
