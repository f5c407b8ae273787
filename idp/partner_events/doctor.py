"""A check of `idp doctor`: whether events reach the partners, and if they do not, why."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import func, select

from idp.foundation import clock
from idp.foundation.command import format_time
from idp.foundation.database import session
from idp.foundation.doctor import Check, Finding
from idp.jobs import heartbeats
from idp.partner_events import streams
from idp.partner_events.models import PartnerEvent
from idp.partner_events.streams import Stream
from idp.partners import event_types

MAX_PUSH_DELAY: Final = timedelta(minutes=5)
"""How long a pushed event may wait."""
RETRY_WINDOW: Final = timedelta(minutes=15)
"""Within this time a worker sends again what was not accepted (`outbox.deliver.MAX_WAIT_SECONDS`)."""
MAX_POLL_DELAY: Final = timedelta(days=1)
"""How long an event may wait for a client that polls."""


def events() -> Iterator[Finding]:
    """Check that no event waits long, and find why: no worker, or a partner that does not accept or fetch them."""
    healthy, now = True, clock.now()
    for stream in streams.all_streams():
        if stream.waiting_since is None or not (stream.client.enabled and stream.client.partner.disabled_at is None):
            continue
        since = stream.waiting_since
        max_delay = MAX_PUSH_DELAY if stream.client.events_method == event_types.PUSH else MAX_POLL_DELAY
        if since < now - max_delay:
            healthy = False
            yield _late(stream, since)
    refused = select(func.count()).where(PartnerEvent.failed_at > now - timedelta(days=1))
    if count := session().scalar(refused):
        healthy = False
        do = "see why: idp events streams, idp events list CLIENT_ID --only refused"
        yield Finding("events", "warning", f"partners have refused {count} events since yesterday", do)
    if healthy:
        yield Finding("events", "ok", "reach the partners")


def _late(stream: Stream, since: datetime) -> Finding:
    """Why the events of one client wait."""
    client, delivery = stream.client, stream.delivery
    waits = f"{stream.waiting} events for {client.id} wait since {format_time(since)}"
    if client.events_method == event_types.POLL:
        return Finding("events", "warning", f"{waits}: it has not fetched them", "write to its contact")
    is_tried = delivery is not None and delivery.tried_at is not None and delivery.tried_at > clock.now() - RETRY_WINDOW
    if delivery is not None and is_tried and delivery.last_error is not None:
        host = urlsplit(client.events_endpoint_url or "").netloc
        do = "our worker works; if the partner's server does not accept them, write to its contact"
        return Finding("events", "warning", f"{waits}: {host}: {delivery.last_error}", do)
    advice = "see the worker's log: it is behind" if heartbeats.is_beating() else "run it as a service: idp worker"
    return Finding("events", "warning", f"{waits} and are not being sent", advice)


CHECKS: Final[tuple[Check, ...]] = (events,)
