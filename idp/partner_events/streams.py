"""The state of delivery to each client, redelivery, and verification events that test the delivery.

For operators, and for the developers of a client.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, func, select, update

from idp.audit import events, log
from idp.foundation import clock
from idp.foundation.database import session
from idp.foundation.errors import NotFound, Refusal
from idp.partner_events import queue
from idp.partner_events.facts import VerificationFacts
from idp.partner_events.models import EventStream, PartnerEvent
from idp.partner_events.queue import waiting
from idp.partners import event_types, registry
from idp.partners.models import Client

EventState = Literal["waiting", "refused", "delivered"]

_CONDITIONS: Final[dict[EventState, ColumnElement[bool]]] = {
    "waiting": waiting(),
    "refused": PartnerEvent.failed_at.is_not(None),
    "delivered": PartnerEvent.delivered_at.is_not(None),
}


class NoEventStream(Refusal):
    """The client is not registered for events, or not for this way of getting them."""

    code, status, title = "no_event_stream", 409, "This application does not receive events this way"


class UnknownEvent(NotFound):
    """The client has no such event, or no longer."""

    code, title = "unknown_event", "There is no such event"
    message = "There is no such event for this application. Events are kept for some days only."


@dataclass(frozen=True, slots=True)
class Stream:
    """How a client gets its events, and the state of their delivery."""

    client: Client
    delivery: EventStream | None
    """None before its first event."""
    waiting: int
    waiting_since: datetime | None
    """When the oldest event that waits happened."""
    refused: int
    """Events that the client refused, of those that are kept."""


def find_by_client(client_id: str) -> Stream:
    """The stream of a client, disabled or not. Raises `UnknownClient` and `NoEventStream`."""
    return _read(_with_stream(client_id))


def all_streams() -> list[Stream]:
    """The streams of all clients that get events, by client id."""
    statement = select(Client).where(Client.events_method.is_not(None)).order_by(Client.id)
    return [_read(client) for client in session().scalars(statement)]


def newest(
    client_id: str, *, only: EventState | None = None, before: int | None = None, limit: int = 50
) -> list[PartnerEvent]:
    """The events of a client, the newest first; a page continues `before` the number of the last one."""
    statement = select(PartnerEvent).where(PartnerEvent.client_id == client_id)
    if only is not None:
        statement = statement.where(_CONDITIONS[only])
    if before is not None:
        statement = statement.where(PartnerEvent.number < before)
    return list(session().scalars(statement.order_by(PartnerEvent.number.desc()).limit(limit)))


def state_of(event: PartnerEvent) -> EventState:
    """The state of the delivery of an event."""
    if event.delivered_at is not None:
        return "delivered"
    return "waiting" if event.failed_at is None else "refused"


def verify(client_id: str, state: str = "") -> str:
    """Record an event that contains only `state` for a client; returns its `jti`.

    Raises `UnknownClient` and `NoEventStream`.
    """
    client = _with_stream(client_id)
    facts = VerificationFacts(state=state)
    event_id = queue.record(
        event_types.VERIFICATION.name, client_id=client.id, subject=client.id, facts=lambda _client: facts
    )
    assert event_id is not None  # every stream has this type
    return event_id


def replay(client_id: str, event_ids: Collection[str], *, by: str) -> int:
    """Deliver these events again, each with its `jti`; returns how many. Raises `UnknownEvent` if one is not there."""
    number = _replay(client_id, PartnerEvent.id.in_(event_ids))
    if number != len(set(event_ids)):
        raise UnknownEvent(reason=client_id)
    log.record(events.CLIENT_EVENTS_REPLAYED, by=by, client=client_id, subject=client_id, count=number)
    return number


def replay_since(client_id: str, since: datetime, *, by: str) -> int:
    """Deliver all events again that are kept and happened since then, in order; returns how many."""
    number = _replay(client_id, PartnerEvent.created_at >= since)
    log.record(events.CLIENT_EVENTS_REPLAYED, by=by, client=client_id, subject=client_id, count=number, since=since)
    return number


def _replay(client_id: str, which: ColumnElement[bool]) -> int:
    """Mark the events as waiting, as if they were new. Raises `UnknownClient` and `NoEventStream`."""
    client, now = _with_stream(client_id), clock.now()
    as_new: dict[str, Any] = {"delivered_at": None, "failed_at": None, "last_error": None, "attempts": 0, "due_at": now}
    statement = update(PartnerEvent).where(PartnerEvent.client_id == client.id, which).values(**as_new)
    numbers = (
        session().scalars(statement.returning(PartnerEvent.number).execution_options(synchronize_session=False)).all()
    )
    stream_due = update(EventStream).where(EventStream.client_id == client.id).values(due_at=now)
    session().execute(stream_due.execution_options(synchronize_session=False))
    return len(numbers)


def _with_stream(client_id: str) -> Client:
    client = registry.find(client_id)
    if client.events_method is None:
        raise NoEventStream("This application is not registered for events.", reason=client_id)
    return client


def _read(client: Client) -> Stream:
    def count(state: EventState) -> tuple[int, datetime | None]:
        """The number of events in this state, and the time of the oldest."""
        counted = select(func.count(), func.min(PartnerEvent.created_at))
        number, oldest = session().execute(counted.where(PartnerEvent.client_id == client.id, _CONDITIONS[state])).one()
        return number, oldest

    (waiting_count, since), (refused, _) = count("waiting"), count("refused")
    delivery = session().get(EventStream, client.id, populate_existing=True)
    return Stream(client, delivery, waiting_count, since, refused)
