"""The agent on a school's server: it registers, reports in, and leaves, with the token of its own school."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from idp.foundation import clock
from idp.oidc.tokens.access_tokens import Access
from idp.partner_api.operations import InvalidRequest, NoQuery, operation
from idp.partner_api.responses import ResponseBody
from idp.partner_events.facts import VerificationState
from idp.partners import resources
from idp.xporter import endpoints
from idp.xporter.endpoints import SCOPE, Agent, Report
from idp.xporter.models import Endpoint

REQUESTS_PER_MINUTE: Final = 60
"""How many requests the endpoint of one school may send in a minute."""
_PRINTABLE: Final = r"^[^\u0000-\u001f\u007f]+(?![\s\S])"
"""`(?![\\s\\S])` is the end: in Python `$` would allow a final newline, and JSON Schema has no `\\Z`."""

Word = Annotated[str, Meta(min_length=1, max_length=100, pattern=_PRINTABLE)]
Code = Annotated[str, Meta(pattern=r"^[a-z0-9_.-]{1,60}(?![\s\S])")]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Moment = Annotated[datetime, Meta(tz=True)]


class Extract(Struct, frozen=True, kw_only=True):
    """An extract that XporterOnDemand has received."""

    id: Word
    sent_at: Moment
    records: Annotated[
        dict[Code, Count], Meta(max_length=50, description="How many records of each collection it held.")
    ]


class AgentError(Struct, frozen=True, kw_only=True):
    """What goes wrong at the school: a code and a sentence from the agent, without personal data."""

    code: Code
    message: Annotated[str, Meta(min_length=1, max_length=300, pattern=_PRINTABLE)]
    at: Moment


class EndpointReport(Struct, frozen=True, kw_only=True):
    """How the agent is doing."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=_PRINTABLE, description="Of the server.")]
    mis: Annotated[Code, Meta(description="The school's management information system.")]
    agent_version: Word
    platform: Word
    last_extract: Annotated[Extract | None, Meta(description="The newest that was received.")] = None
    last_error: Annotated[AgentError | None, Meta(description="`null` once it works again.")] = None
    replaces: Annotated[
        bool, Meta(description="`true` if the administrator said that this server takes the other's place.")
    ] = False


class EndpointStatus(ResponseBody, frozen=True, kw_only=True):
    """How the school and its endpoint stand."""

    estab_id: str
    estab_status: VerificationState
    state: Annotated[
        Literal["none", "registered", "connected", "lost"],
        Meta(
            description="`none` before the first report; `registered` until an extract was received; `connected`; "
            "`lost` after 24 hours without a report."
        ),
    ]
    report_every_seconds: Annotated[int, Meta(description="How long to wait between two reports.")]
    extract_wanted: Annotated[
        bool, Meta(description="Whether the school has asked for an extract since the last one was reported.")
    ]
    resource: Annotated[
        str | UnsetType, Meta(description="The URL of XporterOnDemand; left out where there is none.")
    ] = UNSET
    connected_until: Annotated[
        datetime, Meta(description="When the school's agreement with the program ends, unless the school renews it.")
    ]
    server_time: datetime


@operation(
    summary="Register the school's endpoint, or report in", method="PUT", query=NoQuery, body=EndpointReport,
    response_body=EndpointStatus, scope=SCOPE, for_endpoints=True, per_minute=REQUESTS_PER_MINUTE,
    problem_codes=("endpoint_exists", "endpoint_ended"),
)  # fmt: skip
def report_endpoint(access: Access, _query: NoQuery, body: EndpointReport) -> EndpointStatus:
    """For the program on a school's server, with a token from device authorization (RFC 8628) bound to its key.

    A school has one endpoint at a time, identified by that key. While another is registered, the response is
    `endpoint_exists`; with `replaces` the other one is replaced and its tokens are revoked.
    """
    report = Report(
        name=body.name, mis=body.mis, agent_version=body.agent_version, platform=body.platform,
        last_extract=_stored(body.last_extract, "sent_at"), last_error=_stored(body.last_error, "at"),
    )  # fmt: skip
    return _status(access, endpoints.report(_agent(access), report, replaces=body.replaces))


@operation(
    summary="Read the state of the school's endpoint", query=NoQuery, response_body=EndpointStatus, scope=SCOPE,
    for_endpoints=True, per_minute=REQUESTS_PER_MINUTE,
)  # fmt: skip
def read_endpoint(access: Access, _query: NoQuery) -> EndpointStatus:
    """The response to a report, without sending one."""
    return _status(access, endpoints.find_by_agent(_agent(access)))


@operation(
    summary="Remove the school's endpoint", method="DELETE", query=NoQuery, response_body=None, status=204, scope=SCOPE,
    for_endpoints=True, per_minute=REQUESTS_PER_MINUTE,
)  # fmt: skip
def remove_endpoint(access: Access, _query: NoQuery) -> None:
    """The school then has no endpoint, and all tokens bound to its key are revoked."""
    endpoints.leave(_agent(access))


def _agent(access: Access) -> Agent:
    assert access.state is not None  # an operation `for_endpoints` has checked both
    assert access.person_id is not None
    return Agent(
        estab_id=access.state.estab_id, client_id=access.client.id, key_thumbprint=access.payload["cnf"]["jkt"],
        lineage=access.payload["lineage"], person_id=access.person_id,
    )  # fmt: skip


def _status(access: Access, endpoint: Endpoint | None) -> EndpointStatus:
    assert access.state is not None
    return EndpointStatus(
        estab_id=access.state.estab_public_id, estab_status=access.state.estab_state,  # type: ignore[arg-type]
        state="none" if endpoint is None else endpoint.state,  # type: ignore[arg-type]
        report_every_seconds=endpoints.REPORT_EVERY_SECONDS,
        extract_wanted=endpoint is not None and endpoint.is_extract_wanted,
        connected_until=access.state.until,
        resource=next(iter(sorted(resources.serving({SCOPE}))), UNSET), server_time=clock.now(),
    )  # fmt: skip


def _stored(value: Struct | None, moment: str) -> dict[str, Any] | None:
    """The members of `value` as they are stored: JSON, and the time named `moment` in UTC."""
    if value is None:
        return None
    members = {name: getattr(value, name) for name in value.__struct_fields__}
    try:
        return members | {moment: members[moment].astimezone(UTC).isoformat()}
    except OverflowError as error:
        raise InvalidRequest(f"{moment}: is too early or too late", reason=moment) from error
