"""Events for clients that poll (RFC 8936): returned until they are acknowledged, oldest first."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update

from idp.foundation import clock
from idp.foundation.database import session
from idp.outbox.outgoing import NotSent
from idp.partner_events import tokens
from idp.partner_events.models import EventStream, PartnerEvent
from idp.partner_events.queue import waiting
from idp.partner_events.streams import NoEventStream
from idp.partners import event_types, registry

MAX_EVENTS: Final = 100
"""Events in one response."""


@dataclass(frozen=True, slots=True)
class NextEvents:
    """What a client gets."""

    tokens: Mapping[str, str]
    """The signed tokens, by `jti`."""
    more: bool
    """Whether further events wait."""


def poll(
    client_id: str, *, most: int, acknowledged: Collection[str], errors: Mapping[str, tuple[str, str]]
) -> NextEvents:
    """Record what the client acknowledges and refuses, and return the next events.

    `errors` has the code and description of each event that it refuses, which is set aside. An event that is neither
    acknowledged nor refused comes again. Raises `NoEventStream`.
    """
    client = registry.find(client_id)
    if client.events_method != event_types.POLL:
        raise NoEventStream(_explain(client.events_method), reason=client_id)
    now = clock.now()
    values: dict[str, Any] = {"tried_at": now}
    if acknowledged:
        _settle(client_id, acknowledged, delivered_at=now, last_error=None)
        values["delivered_at"] = now
    for event_id, (code, description) in errors.items():
        _settle(client_id, [event_id], failed_at=now, last_error=NotSent(f"refused: {code}: {description}").reason)
    statement = select(PartnerEvent).where(PartnerEvent.client_id == client_id, waiting())
    most = min(most, MAX_EVENTS)
    events = session().scalars(statement.order_by(PartnerEvent.number).limit(most + 1)).all()
    session().execute(update(EventStream).where(EventStream.client_id == client_id).values(**values))
    alg = client.id_token_signed_response_alg
    return NextEvents({event.id: tokens.sign(event, alg=alg) for event in events[:most]}, more=len(events) > most)


def _settle(client_id: str, event_ids: Collection[str], **values: Any) -> None:
    conditions = PartnerEvent.client_id == client_id, PartnerEvent.id.in_(event_ids), waiting()
    statement = update(PartnerEvent).where(*conditions).values(**values, attempts=PartnerEvent.attempts + 1)
    session().execute(statement.execution_options(synchronize_session=False))


def _explain(method: str | None) -> str:
    if method is None:
        return "Your application is not registered for events. Ask our staff to register it with [events]."
    return "Events are pushed to your application (RFC 8935). To ask for them instead, register urn:ietf:rfc:8936."
