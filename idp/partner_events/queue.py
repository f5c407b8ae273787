"""Record an event for a client in the transaction of the change that it reports, so a rollback removes both."""

from collections.abc import Callable
from typing import Final, NamedTuple, cast

import msgspec
from sqlalchemy import ColumnElement, Table, Text, and_, bindparam, insert, select

from idp.foundation import clock, crypto, inserts
from idp.foundation.database import session
from idp.foundation.fastpath.statements import Statement
from idp.partner_events.facts import Facts
from idp.partner_events.models import EventStream, PartnerEvent
from idp.partners import event_streams, event_types
from idp.partners.models import Client


def record(name: str, /, *, client_id: str, subject: str, facts: Callable[[Client], Facts]) -> str | None:
    """Record the event `name` for a client; returns its `jti`, or None if the client does not get it.

    `facts` is called only if the client gets it. `subject` is what the event is about (`EventType.about`), and the
    caller holds a lock on it, or has just changed it: this gives the order in which its events are delivered. A client
    that is disabled gets its events when it is enabled again.
    """
    client, event_type = session().get(Client, client_id), event_types.TYPES[name]
    if client is None or not event_streams.receives(client, name):
        return None
    now, event_id = clock.now(), crypto.new_id("evt")
    recorded = _INSERT.one(
        id=event_id, client_id=client_id, name=event_type.name, subject=subject,
        facts=msgspec.to_builtins(facts(client)), created_at=now, due_at=now, attempts=0, delivered_at=None,
        failed_at=None, last_error=None,
    )  # fmt: skip
    if recorded is None or not recorded.has_stream:
        inserts.insert_if_absent(EventStream, client_id=client_id, due_at=now, failures=0, is_slow=False)
    return event_id


def waiting() -> ColumnElement[bool]:
    """The condition for events that the client has neither taken nor refused."""
    return and_(PartnerEvent.delivered_at.is_(None), PartnerEvent.failed_at.is_(None))


class _Recorded(NamedTuple):
    """What the insert of an event returns."""

    has_stream: bool
    """Whether the client has a stream already, which only its first event has not."""


_table: Final = cast("Table", PartnerEvent.__table__)
_stream: Final = select(EventStream.client_id).where(EventStream.client_id == bindparam("client_id", type_=Text()))
_INSERT: Final = Statement(
    _Recorded,
    insert(_table)
    .values({column.name: bindparam(column.name) for column in _table.c if not column.primary_key})
    .returning(_stream.exists().label("has_stream")),
)
