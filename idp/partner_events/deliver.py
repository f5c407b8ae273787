"""Push waiting events: lease one client's stream, send its events in order, record the outcomes.

A stream has one worker at a time. If that worker dies, its lease expires, and another sends again what was not
recorded, with the same `jti`. An event that is not accepted keeps later ones of its subject waiting; an unreachable
endpoint keeps all events of its client waiting, at growing intervals. Other clients do not wait: streams whose last
round failed or was slow have threads of their own (`Lane`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, cast, get_args

import structlog
from sqlalchemy import ColumnElement, Select, Table, Text, bindparam, exists, or_, select, update
from sqlalchemy.orm import aliased

from idp.foundation import clock, crypto, runtime
from idp.foundation.asynchronous_commit import set_asynchronous_commit
from idp.foundation.database import Instant, connection
from idp.foundation.fastpath.statements import WriteStatement
from idp.foundation.queries import Query
from idp.foundation.web import fetch
from idp.foundation.web.transactions import TransactionFactory
from idp.outbox.deliver import seconds_until_retry
from idp.outbox.outgoing import NotSent
from idp.partner_events import push, tokens
from idp.partner_events.models import EventStream, PartnerEvent
from idp.partner_events.push import Outcome
from idp.partner_events.queue import waiting
from idp.partner_events.tokens import EventRow
from idp.partners import event_streams, event_types
from idp.partners.models import Client, Partner

Lane = Literal["prompt", "slow"]
"""Streams whose endpoint accepted the last event promptly; and those whose endpoint is slow or unreachable."""

BATCH_SIZE: Final = 50
"""Events that are sent under one lease: at most this number is delivered twice if a worker dies."""
MAX_ROUND_SECONDS: Final = 5.0
"""A round sends no more after this, so that streams take turns."""
LEASE_MARGIN_SECONDS: Final = 20.0
"""How much longer a lease lasts than a round can."""
SLOW_SECONDS: Final = 1.0
"""An endpoint that needs longer than this for a response is slow."""
PAUSE: Final = timedelta(seconds=0.2)
"""How long a stream is not leased again after a round that sent all that was due, so that the next has more than a few
events: a round costs as much as twenty of them."""
MAX_FAILURES: Final = 3
"""When this many events of different subjects in a row are not accepted, the endpoint counts as unreachable."""

_log = structlog.get_logger("idp.partner_events")


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event of a round, signed; `token` is None where it could not be."""

    number: int
    id: str
    subject: str
    attempts: int
    token: str | None


@dataclass(slots=True)
class Round:
    """The events that are sent under one lease, and what became of them."""

    client_id: str
    lease: str
    failures: int
    endpoint: str
    alg: str
    """The algorithm of its tokens."""
    due: Sequence[EventRow]
    """The next events, in order."""
    authorization: str | None = None
    fault: str | None = None
    """Why no event is sent; None if they are sent."""
    outcomes: list[tuple[WaitingEvent, Outcome]] = field(default_factory=list)
    is_unreachable: bool = False
    is_slow: bool = False

    @property
    def accepted(self) -> list[int]:
        """The numbers of the events that the client accepted."""
        return [event.number for event, outcome in self.outcomes if outcome.kind == "accepted"]

    @property
    def last_error(self) -> str | None:
        """Why the last event was not sent or not accepted; None if it was accepted."""
        return (self.outcomes[-1][1].reason or None) if self.outcomes else self.fault


def run_once(
    transaction: TransactionFactory,
    lane: Lane,
    *,
    pause: timedelta = timedelta(0),
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Push the next events of one client; returns how many were due.

    Ends early when it takes too long, `stopping` returns true, or the endpoint is unreachable. `pause` is as `PAUSE`.
    """
    with transaction():
        set_asynchronous_commit()  # what a crash undoes is done again: an event is then sent twice, with the same jti
        leased = _lease(lane)
        rules = fetch.for_partner(runtime.settings().fetch)
    if leased is None:
        return 0
    try:
        if leased.fault is None:
            with transaction():  # not the one above: it would lock the leased rows while events are signed
                waiting_events = [_signed(event, leased.alg) for event in leased.due]
            _send(leased, waiting_events, rules, stopping)
    finally:
        with transaction():
            set_asynchronous_commit()
            _settle(leased, pause)
    return len(leased.due)


def _lease(lane: Lane) -> Round | None:
    """The next stream with events that are due, leased, or None. PostgreSQL skips those that others are leasing."""
    now = clock.now()
    stream = _NEXT_STREAM[lane].one(now=now)
    if stream is None:
        return None
    lease = crypto.new_id("lease")
    lease_seconds = MAX_ROUND_SECONDS + runtime.settings().fetch.timeout + LEASE_MARGIN_SECONDS
    _SET_LEASE.run(by_client=stream.client_id, leased_until=now + timedelta(seconds=lease_seconds), leased_by=lease)
    leased = Round(
        stream.client_id, lease, stream.failures, stream.events_endpoint_url or "",
        alg=stream.id_token_signed_response_alg, due=_DUE.all(by_client=stream.client_id, now=now),
    )  # fmt: skip
    try:
        leased.authorization = event_streams.authorization(stream.client_id, stream.events_authorization)
    except Exception as error:  # noqa: BLE001  a removed key; other clients' events are sent
        _log.error("cannot be unsealed", client=stream.client_id, reason=type(error).__name__)
        leased.is_unreachable = True
        leased.fault = "our Authorization header for it cannot be read, and has to be set again"
    return leased


def _signed(event: EventRow, alg: str) -> WaitingEvent:
    """The event with its token. One that cannot be signed must not keep the others from being sent."""
    token = None
    try:
        token = tokens.sign(event, alg=alg)
    except Exception as error:  # noqa: BLE001  a removed type, a missing key
        _log.exception("cannot be signed", name=event.name, row=event.id, reason=type(error).__name__)
    return WaitingEvent(event.number, event.id, event.subject, event.attempts, token)


def _send(leased: Round, events: Sequence[WaitingEvent], rules: fetch.Rules, stopping: Callable[[], bool]) -> None:
    """Send the events in order, until one of the reasons to stop; sets the round's outcomes."""
    stop_at, failed_subjects, failures = time.monotonic() + MAX_ROUND_SECONDS, set[str](), 0
    with fetch.keep_open(leased.endpoint, rules) as endpoint:
        for event in events:
            if stopping() or time.monotonic() > stop_at:
                return
            if event.subject in failed_subjects:
                continue
            began = time.monotonic()
            outcome = _push(endpoint.post, event, leased.authorization)
            leased.is_slow = time.monotonic() - began > SLOW_SECONDS
            leased.outcomes.append((event, outcome))
            failures = failures + 1 if outcome.kind == "later" else 0
            if outcome.kind == "later":
                failed_subjects.add(event.subject)
            if outcome.kind == "unreachable" or failures == MAX_FAILURES:
                leased.is_unreachable = True
                return


def _push(post: push.Post, event: WaitingEvent, authorization: str | None) -> Outcome:
    if event.token is None:
        return Outcome("later", "it cannot be signed: see the worker's log")
    try:
        return push.push(post, event.token, authorization=authorization)
    except Exception as error:  # noqa: BLE001  logged with its trace; an unexpected one must not delay other clients
        _log.exception("could not be pushed", row=event.id)
        return Outcome("later", NotSent(f"an internal error: {type(error).__name__}").reason)


def _settle(leased: Round, pause: timedelta = timedelta(0)) -> None:
    """Record what became of the events, and release the stream, unless the lease has passed to another round."""
    now = clock.now()
    if leased.accepted:
        accepted = {"delivered_at": now, "last_error": None, "attempts": PartnerEvent.attempts + 1}
        _update(PartnerEvent.number.in_(leased.accepted), PartnerEvent.delivered_at.is_(None), **accepted)
    for event, outcome in leased.outcomes:
        if outcome.kind != "accepted":
            _settle_one(leased, event, outcome, now)
    values: dict[str, Any] = {"leased_until": None, "leased_by": None, "tried_at": now}
    if pause and len(leased.due) < BATCH_SIZE:
        values["due_at"] = now + pause
    if leased.outcomes or leased.fault:
        values |= {"is_slow": leased.is_slow, "last_error": leased.last_error}
        values["failures"] = failures = (0 if leased.accepted else leased.failures) + 1 if leased.is_unreachable else 0
        if failures:
            asked_for = leased.outcomes[-1][1].pause_seconds if leased.outcomes else 0
            values["due_at"] = now + timedelta(seconds=max(seconds_until_retry(failures), asked_for))
    if leased.accepted:
        values["delivered_at"] = now
    is_ours = _streams.c.client_id == leased.client_id, _streams.c.leased_by == leased.lease
    connection().execute(update(_streams).where(*is_ours).values(values))
    _log.info(
        "events pushed", client=leased.client_id, count=len(leased.accepted),
        refused=len(leased.outcomes) - len(leased.accepted), reason=leased.last_error,
    )  # fmt: skip


def _settle_one(leased: Round, event: WaitingEvent, outcome: Outcome, now: datetime) -> None:
    values: dict[str, Any] = {"attempts": event.attempts + 1, "last_error": outcome.reason}
    if outcome.kind == "refused":
        values["failed_at"] = now
    elif outcome.kind == "later" and not leased.is_unreachable:
        values["due_at"] = now + timedelta(seconds=seconds_until_retry(event.attempts + 1))
    _update(PartnerEvent.number == event.number, waiting(), **values)


def _update(*conditions: ColumnElement[bool], **values: Any) -> None:
    connection().execute(update(_events).where(*conditions).values(values))


class _Stream(NamedTuple):
    """A stream to lease, and what is needed of its client."""

    client_id: str
    failures: int
    events_endpoint_url: str | None
    id_token_signed_response_alg: str
    events_authorization: str | None


def _next_stream(lane: Lane) -> Select[Any]:
    """The stream of a lane that has waited longest of those with events that are due, locked."""
    now = bindparam("now", type_=Instant())
    is_slow = or_(EventStream.failures > 0, EventStream.is_slow)
    columns: tuple[Any, ...] = (
        EventStream.client_id, EventStream.failures, Client.events_endpoint_url, Client.id_token_signed_response_alg,
        Client.events_authorization,
    )  # fmt: skip
    return (
        select(*columns)
        .join(Client, Client.id == EventStream.client_id)
        .join(Partner, Partner.id == Client.partner_id)
        .where(
            Client.events_method == event_types.PUSH, Client.enabled, Partner.disabled_at.is_(None),
            EventStream.due_at <= now, is_slow if lane == "slow" else ~is_slow,
            or_(EventStream.leased_until.is_(None), EventStream.leased_until < now),
            exists().where(PartnerEvent.client_id == EventStream.client_id, waiting(), PartnerEvent.due_at <= now),
        )
        .order_by(EventStream.tried_at.nulls_first(), EventStream.client_id)
        .limit(1)
        .with_for_update(skip_locked=True, of=EventStream)
    )  # fmt: skip


def _next_events() -> Select[Any]:
    """The next events of a client that are due, in order, without those whose subject has an earlier one that waits."""
    client, now = bindparam("by_client", type_=Text()), bindparam("now", type_=Instant())
    earlier = aliased(PartnerEvent)
    follows_waiting = exists().where(
        earlier.client_id == client, earlier.subject == PartnerEvent.subject, earlier.due_at > now,
        earlier.number < PartnerEvent.number, earlier.delivered_at.is_(None), earlier.failed_at.is_(None),
    )  # fmt: skip
    columns = (getattr(PartnerEvent, name) for name in EventRow._fields)
    conditions = PartnerEvent.client_id == client, waiting(), PartnerEvent.due_at <= now
    return select(*columns).where(*conditions, ~follows_waiting).order_by(PartnerEvent.number).limit(BATCH_SIZE)


_DUE: Final = Query(EventRow, _next_events())
_streams: Final = cast("Table", EventStream.__table__)
_events: Final = cast("Table", PartnerEvent.__table__)
_NEXT_STREAM: Final[Mapping[Lane, Query[_Stream]]] = {
    lane: Query(_Stream, _next_stream(lane)) for lane in get_args(Lane)
}
_SET_LEASE: Final = WriteStatement(
    update(_streams)
    .where(_streams.c.client_id == bindparam("by_client", type_=Text()))
    .values(leased_until=bindparam("leased_until"), leased_by=bindparam("leased_by"))
)
