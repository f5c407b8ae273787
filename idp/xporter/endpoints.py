"""Endpoints register, report in, and are replaced or removed.

Everything is decided while the estab is locked, so of two agents that register at once one is the school's endpoint.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, select

from idp.audit import events, log
from idp.estabs import accounts, authority
from idp.estabs.models import Estab, Membership
from idp.estabs.permissions import Action
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import connection, lock, session
from idp.foundation.errors import BadRequest, Refusal
from idp.foundation.queries import one_of
from idp.partners import mis_catalogue
from idp.sharing import authorise, mis, notices
from idp.sharing.authorise import Actor
from idp.xporter.models import LOSS_DELAY, Endpoint, state_of_current

SCOPE: Final = "endpoint"
REPORT_EVERY_SECONDS: Final = 900
"""Seconds between two reports of an endpoint."""


class EndpointExists(Refusal):
    """The school has another endpoint, and this one was not said to replace it."""

    code, status, title = "endpoint_exists", 409, "Another server is connected already"

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        super().__init__(
            f"The school's endpoint is on {endpoint.name}, heard from at {endpoint.heard_at:%Y-%m-%d %H:%M} UTC. "
            "Remove it first, or say that this one replaces it.",
            reason=endpoint.id,
        )


class EndpointEnded(Refusal):
    """The endpoint was replaced or removed after its token was checked."""

    code, status, title = "endpoint_ended", 409, "This endpoint was removed"
    message = "This endpoint was replaced or removed, and its tokens are revoked. Connect it again with a new code."


class NoEndpoint(Refusal):
    """The school has no endpoint."""

    code, status, title = "no_endpoint", 404, "No server is connected"
    message = "No server of this school is connected."


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent that makes a request, as its access token identifies it."""

    estab_id: str
    """The internal id of the school's estab."""
    client_id: str
    key_thumbprint: str
    lineage: str
    person_id: str
    """The administrator who connected it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an agent reports of its server and of its last extract."""

    name: str
    mis: str
    agent_version: str
    platform: str
    last_extract: Mapping[str, Any] | None
    """`id`, `sent_at` and `records`, as `Endpoint.last_extract`."""
    last_error: Mapping[str, Any] | None
    """`code`, `message` and `at`, as `Endpoint.last_error`."""


def current(estab_id: str) -> Endpoint | None:
    """The endpoint of the estab with this internal id, as it is now."""
    statement = select(Endpoint).where(Endpoint.estab_id == estab_id, Endpoint.ended_at.is_(None))
    return session().scalar(statement.execution_options(populate_existing=True))


def get_for_estab(estab_id: str) -> Endpoint:
    """As `current`. Raises `NoEndpoint`."""
    if (endpoint := current(estab_id)) is None:
        raise NoEndpoint(reason=estab_id)
    return endpoint


def list_longest_silent_first(*, lost_only: bool, limit: int) -> Sequence[Endpoint]:
    """The endpoints of all schools, or only those that are lost; the one not heard from for the longest comes first."""
    statement = select(Endpoint).where(Endpoint.ended_at.is_(None))
    if lost_only:
        statement = statement.where(Endpoint.heard_at <= clock.now() - LOSS_DELAY)
    return session().scalars(statement.order_by(Endpoint.heard_at, Endpoint.id).limit(limit)).all()


def find_by_agent(agent: Agent) -> Endpoint | None:
    """The endpoint of this agent; None if it has not registered or has ended."""
    endpoint = current(agent.estab_id)
    return endpoint if endpoint is not None and endpoint.key_thumbprint == agent.key_thumbprint else None


def report(agent: Agent, report: Report, *, replaces: bool) -> Endpoint:
    """Register the agent as its school's endpoint, or record its report; returns it.

    Another endpoint of the school is replaced if `replaces`; else this raises `EndpointExists`. Raises `EndpointEnded`
    for one that has been replaced or removed meanwhile, and `BadRequest` for a MIS that does not exist. A school that
    has named no MIS has the endpoint's from then on. Partners are told when the school's data begins to come, and
    when it stops because the agent takes the place of another and has sent none yet.
    """
    if report.mis not in mis_catalogue.catalogue():
        raise BadRequest(f"mis: there is no system {report.mis}", reason="MIS")
    lock(Estab, agent.estab_id)
    endpoint = current(agent.estab_id)
    state_before = "none" if endpoint is None else endpoint.state
    was_known_to_partners = endpoint is not None and endpoint.is_known_to_partners
    if endpoint is None or endpoint.key_thumbprint != agent.key_thumbprint:
        _refuse_ended(agent)
        if endpoint is not None:
            if not replaces:
                raise EndpointExists(endpoint)
            end(endpoint, "replaced", by=agent.person_id)
        endpoint = _register(agent, report)
    was_unknown_to_partners = not endpoint.is_known_to_partners
    _record(endpoint, agent, report)
    session().flush()
    if endpoint.state != state_before:
        accounts.record_endpoint_change(agent.estab_id)
    mis.set_by_server(agent.estab_id, report.mis, by=_actor(agent))
    if was_unknown_to_partners and endpoint.is_known_to_partners:
        notices.record_endpoint(agent.estab_id, "connected")
    elif was_known_to_partners and not endpoint.is_known_to_partners:
        # It replaced one that partners knew, and has sent no extract yet.
        notices.record_endpoint(agent.estab_id, "lost")
    return endpoint


def leave(agent: Agent) -> None:
    """Remove the agent's endpoint at its own request, and revoke its tokens, also where it never registered.

    The school's agreement ends with the last server that has tokens.
    """
    lock(Estab, agent.estab_id)
    if (endpoint := find_by_agent(agent)) is not None:
        _remove(endpoint, by=agent.person_id)
    others = runtime.ports().revoke_endpoint_tokens(
        agent.estab_id, agent.client_id, agent.key_thumbprint, agent.lineage
    )  # fmt: skip
    if not others:  # another server may have been connected to replace it, under the same agreement
        authorise.end_for_server(agent.estab_id, agent.client_id, by=_actor(agent))


def remove(endpoint: Endpoint, *, by: Membership | Actor, reason: str = "") -> None:
    """Remove the endpoint, whose estab is locked: its tokens and the school's agreement end.

    Owners get a mail, and the partners that knew the endpoint are told.
    """
    _remove(endpoint, by=by.person_id, reason=reason)
    authorise.end_for_server(endpoint.estab_id, endpoint.client_id, by=by)


def _remove(endpoint: Endpoint, *, by: str, reason: str = "") -> None:
    was_known_to_partners = endpoint.is_known_to_partners
    end(endpoint, "removed", by=by, reason=reason)
    if was_known_to_partners:
        notices.record_endpoint(endpoint.estab_id, "lost")


def remove_for_school(endpoint_id: str, *, by: Membership) -> bool:
    """Remove the endpoint of the school of `by`, if it has this id. Raises the errors of `authority.check_and_lock`."""
    endpoint = _find_locked(endpoint_id, by)
    if endpoint is not None:
        remove(endpoint, by=by)
    return endpoint is not None


def remove_by_staff(estab_id: str, *, by: str, reason: str) -> Endpoint:
    """Remove the endpoint of the estab with this internal id, for an operator. Raises `NoEndpoint`."""
    lock(Estab, estab_id)
    endpoint = get_for_estab(estab_id)
    remove(endpoint, by=Actor(by, estab_id, "our staff"), reason=reason)
    return endpoint


def request_extract(endpoint_id: str, *, by: Membership) -> bool:
    """Have the endpoint send an extract with its next report, if it is the one with this id.

    Raises the errors of `authority.check_and_lock`.
    """
    endpoint = _find_locked(endpoint_id, by)
    if endpoint is not None and not endpoint.is_extract_wanted:
        endpoint.extract_requested_at = clock.now()
        log.record(
            events.EXTRACT_REQUESTED, by=by.person_id, estab=by.estab_id, client=endpoint.client_id,
            subject=endpoint.id,
        )  # fmt: skip
    return endpoint is not None


def state_of(estab_id: str) -> str:
    """The state of the endpoint of the estab with this internal id; `none` without one."""
    endpoint = current(estab_id)
    return "none" if endpoint is None else endpoint.state


def _find_locked(endpoint_id: str, by: Membership) -> Endpoint | None:
    """Lock the estab of `by`, and return its endpoint if it has this id."""
    lock(Estab, by.estab_id)
    authority.check_and_lock(by, Action.APPROVE_DEVICES)
    endpoint = current(by.estab_id)
    return endpoint if endpoint is not None and endpoint.id == endpoint_id else None


class CurrentEndpoint(NamedTuple):
    """The columns of an `Endpoint` that partners are told about. To load whole objects takes much longer."""

    estab_id: str
    heard_at: datetime
    extract_at: datetime | None
    agent_version: str

    @property
    def state(self) -> str:
        """As `Endpoint.state`."""
        return state_of_current(self.heard_at, self.extract_at)


_CURRENT: Final = select(*(getattr(Endpoint, name) for name in CurrentEndpoint._fields)).where(
    Endpoint.ended_at.is_(None)
)


def find_by_estabs(estab_ids: Collection[str]) -> dict[str, CurrentEndpoint]:
    """The endpoints of several estabs, by the internal ids of these."""
    if not estab_ids:
        return {}
    rows = connection().execute(_CURRENT.where(one_of(Endpoint.estab_id, estab_ids)))
    return {row.estab_id: CurrentEndpoint(*row) for row in rows}


def is_connected() -> ColumnElement[bool]:
    """The condition for rows of `Estab` whose endpoint is connected, as `Endpoint.state` defines it."""
    return (
        select(Endpoint.id)
        .where(
            Endpoint.estab_id == Estab.id,
            Endpoint.ended_at.is_(None),
            Endpoint.extract_at.is_not(None),
            Endpoint.heard_at > clock.now() - LOSS_DELAY,
        )
        .correlate(Estab)
        .offset(0)  # keeps PostgreSQL from joining all endpoints
        .exists()
    )


def end(endpoint: Endpoint, how: str, *, by: str, reason: str = "") -> None:
    """End the endpoint as `replaced` or `removed`, and revoke its tokens; the estab is locked."""
    endpoint.ended_at, endpoint.ended_as, endpoint.ended_by = clock.now(), how, by
    session().flush()
    accounts.record_endpoint_change(endpoint.estab_id)
    event = events.ENDPOINT_REPLACED if how == "replaced" else events.ENDPOINT_REMOVED
    log.record(
        event, by=by, estab=endpoint.estab_id, client=endpoint.client_id, subject=endpoint.id,
        details={"reason": reason} if reason else None,
    )  # fmt: skip
    runtime.ports().revoke_endpoint_tokens(
        endpoint.estab_id, endpoint.client_id, endpoint.key_thumbprint, endpoint.lineage
    )


def _actor(agent: Agent) -> Actor:
    return Actor(agent.person_id, agent.estab_id, "the program on your school's server")


def _refuse_ended(agent: Agent) -> None:
    """Raise `EndpointEnded` if the token is that of an endpoint that has ended, and was checked just before."""
    ended = Endpoint.estab_id == agent.estab_id, Endpoint.lineage == agent.lineage, Endpoint.ended_at.is_not(None)
    if session().scalar(select(Endpoint.id).where(*ended)) is not None:
        raise EndpointEnded(reason=agent.key_thumbprint)


def _register(agent: Agent, report: Report) -> Endpoint:
    now = clock.now()
    endpoint = Endpoint(
        id=crypto.new_id("end"), estab_id=agent.estab_id, client_id=agent.client_id,
        key_thumbprint=agent.key_thumbprint, registered_at=now, registered_by=agent.person_id,
    )  # fmt: skip
    session().add(endpoint)
    log.record(
        events.ENDPOINT_REGISTERED, by=agent.person_id, estab=agent.estab_id, client=agent.client_id,
        subject=endpoint.id, mis=report.mis,
    )  # fmt: skip
    return endpoint


def _record(endpoint: Endpoint, agent: Agent, report: Report) -> None:
    now, extract = clock.now(), report.last_extract
    if extract is not None and extract["id"] != (endpoint.last_extract or {}).get("id"):
        endpoint.last_extract, endpoint.extract_at = dict(extract), now
    endpoint.lineage, endpoint.heard_at, endpoint.lost_at = agent.lineage, now, None
    endpoint.name, endpoint.mis, endpoint.platform = report.name, report.mis, report.platform
    endpoint.agent_version = report.agent_version
    endpoint.last_error = None if report.last_error is None else dict(report.last_error)
