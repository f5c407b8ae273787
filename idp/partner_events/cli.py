"""`idp events`: the events for partners, how far the delivery is, and delivering events again."""

from datetime import UTC, datetime
from typing import Any

import click

from idp.foundation.command import acting_operator, in_transaction, json_option, show
from idp.partner_events import streams
from idp.partner_events.models import PartnerEvent
from idp.partner_events.streams import EventState, Stream
from idp.partners import event_types

_WAYS = {event_types.PUSH: "pushed", event_types.POLL: "fetched"}
_STREAM_COLUMNS = (
    "client_id", "way", "address", "waiting", "waiting_since", "refused", "delivered_at", "tries_again_at",
    "last_error",
)  # fmt: skip
_EVENT_COLUMNS = ("jti", "event", "about", "happened_at", "state", "attempts", "last_error")


@click.group("events")
def commands() -> None:
    """See the events for partners and what waits, and deliver events again.

    Which application gets which events is in its manifest, under [events]. `idp worker` delivers.
    """


@commands.command("streams")
@json_option
@in_transaction
def list_streams(*, as_json: bool) -> None:
    """List the applications that get events, and how far the delivery to each is."""
    rows = [_stream(stream) for stream in streams.all_streams()]
    show(rows, _STREAM_COLUMNS, as_json=as_json, empty="No application is registered for events.")


@commands.command("list")
@click.argument("client_id")
@click.option("--only", type=click.Choice(["waiting", "refused", "delivered"]), help="Only events in this state.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The most events to list."
)
@json_option
@in_transaction
def list_events(*, client_id: str, only: EventState | None, limit: int, as_json: bool) -> None:
    """List the events of an application that are kept, the newest first."""
    streams.find_by_client(client_id)
    rows = [_event(event) for event in streams.newest(client_id, only=only, limit=limit)]
    show(rows, _EVENT_COLUMNS, as_json=as_json, empty="There is no such event.")


@commands.command("replay")
@click.argument("client_id")
@click.argument("jtis", metavar="[JTI]...", nargs=-1)
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]),
    help="All events since this moment (UTC): 2026-03-02T09:30:00Z or 2026-03-02.",
)  # fmt: skip
@in_transaction
def replay(*, client_id: str, jtis: tuple[str, ...], since: datetime | None) -> None:
    """Deliver events again, each with its JTI: those that are named, or all since a moment."""
    if bool(jtis) == bool(since):
        raise click.UsageError("Name either events by their JTI, or a moment by --since.")
    if since is not None:
        count = streams.replay_since(client_id, since.replace(tzinfo=UTC), by=acting_operator())
    else:
        count = streams.replay(client_id, jtis, by=acting_operator())
    click.echo(f"{count} will be delivered to {client_id} again.")


@commands.command("verify")
@click.argument("client_id")
@click.option("--state", default="", help="What the event contains.")
@in_transaction
def verify(*, client_id: str, state: str) -> None:
    """Send an application a test event, to see that it arrives: `idp events list CLIENT_ID`."""
    click.echo(f"{streams.verify(client_id, state)} is on its way to {client_id}.")


def _stream(stream: Stream) -> dict[str, Any]:
    client, delivery = stream.client, stream.delivery
    is_waiting = delivery is not None and delivery.failures > 0
    return {
        "client_id": client.id, "way": _WAYS[client.events_method or ""], "address": client.events_endpoint_url,
        "waiting": stream.waiting, "waiting_since": stream.waiting_since, "refused": stream.refused,
        "delivered_at": delivery.delivered_at if delivery else None,
        "tries_again_at": delivery.due_at if delivery and is_waiting else None,
        "last_error": delivery.last_error if delivery else None,
    }  # fmt: skip


def _event(event: PartnerEvent) -> dict[str, Any]:
    return {
        "jti": event.id, "event": event.name, "about": event.subject, "happened_at": event.created_at,
        "state": streams.state_of(event), "attempts": event.attempts, "last_error": event.last_error,
    }  # fmt: skip
