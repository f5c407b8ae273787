"""Events for partners: recorded and pushed to ten endpoints, of which one accepts connections and never answers."""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from flask import Flask
from sqlalchemy import func, select

from bench.report import Figure
from bench.servers import PRODUCTION_SETTINGS, Server
from idp.app import create_app
from idp.foundation import database
from idp.foundation.database import session
from idp.foundation.load_settings import load
from idp.foundation.setting_types import ROOT
from idp.foundation.web.transactions import transaction
from idp.keys import ring
from idp.partner_events import queue
from idp.partner_events.facts import SchoolFacts
from idp.partner_events.models import PartnerEvent
from idp.partners import event_types
from idp.partners.models import Client
from tests.factories import a_client

ENDPOINTS: Final = 10
"""How many endpoints the events are pushed to; the last of them is dead."""
SUBJECTS: Final = 500
"""How many schools the events are about."""
RATE: Final = 1000.0
"""Events a second."""
THREADS: Final = 4
"""How many threads record events."""
AGREED_UNTIL: Final = datetime(2030, 1, 1, tzinfo=UTC)
MAX_DELAY_SECONDS: Final = 1.0
"""How long after the last event the last one may be delivered."""
TIMEOUT_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Partners:
    """The clients whose endpoints are alive, and the one whose endpoint is dead."""

    alive: Sequence[str]
    dead: str


def measure(url: str, dbms: str, *, seconds: float) -> list[Figure]:
    """Record `RATE` events a second, then deliver them, then do both at the same time."""
    app = create_app(load(environment="development", database={"url": url}))
    with app.app_context():
        database.db.create_all()
    with _endpoints(ENDPOINTS - 1) as ports, socket.create_server(("127.0.0.1", 0)) as silent:
        partners = _make_partners(app, [*ports, silent.getsockname()[1]])
        rate, per_processor = _record(app, partners, round(RATE * seconds), rate=None)
        figures = [
            Figure(f"recorded alone, {dbms}", "rate", rate, "/s"),
            Figure(f"recorded alone, {dbms}", "per vCPU", per_processor, "/s"),
        ]
        with _worker(url) as worker:
            figures += _deliver(app, partners, worker, dbms)
            figures += _deliver_while_recording(app, partners, worker, dbms, seconds)
    with app.app_context():
        database.db.engine.dispose()
    return figures


def _deliver(app: Flask, partners: Partners, worker: Server, dbms: str) -> list[Figure]:
    """How fast a worker delivers what has been recorded."""
    _wait_until(lambda: _count_waiting(app, partners.alive) == 0 or _count_delivered(app) > 0)
    delivered, began, used = _count_delivered(app), time.monotonic(), worker.processor_seconds()
    _wait_until(lambda: _count_waiting(app, partners.alive) == 0)
    count, used = _count_delivered(app) - delivered, worker.processor_seconds() - used
    subject = f"delivered by one worker alone, {dbms}"
    return [
        Figure(subject, "rate", count / (time.monotonic() - began), "/s"),
        Figure(subject, "per vCPU", count / used, "/s"),
    ]


def _deliver_while_recording(app: Flask, partners: Partners, worker: Server, dbms: str, seconds: float) -> list[Figure]:
    """How long events wait that are recorded at `RATE` while the worker delivers."""
    began_at, began, used = datetime.now(UTC), time.monotonic(), worker.processor_seconds()
    recorded, _ = _record(app, partners, round(RATE * seconds), rate=RATE)
    ended = time.monotonic()
    _wait_until(lambda: _count_waiting(app, partners.alive) == 0)
    delay, used = time.monotonic() - ended, worker.processor_seconds() - used
    elapsed = time.monotonic() - began
    delays = sorted(_delays(app, partners.alive, began_at))
    subject = f"recorded and delivered at once, one of {ENDPOINTS} dead, {dbms}"
    return [
        Figure(subject, "recorded", recorded, "/s", RATE * 0.99, at_least=True),
        Figure(subject, "all delivered after", delay, "s", MAX_DELAY_SECONDS),
        Figure(subject, "p50 from record to delivery", statistics.median(delays) * 1000, "ms"),
        Figure(subject, "p99 from record to delivery", delays[len(delays) * 99 // 100] * 1000, "ms"),
        Figure(subject, "worker's share of a processor", used / elapsed * 100, "%"),
        Figure(subject, "waiting for the dead one", _count_waiting(app, [partners.dead]), "events"),
    ]


def _make_partners(app: Flask, ports: Sequence[int]) -> Partners:
    with transaction(app):
        ring.ensure()
        clients = [
            a_client(
                id_token_signed_response_alg="ES256", events_method=event_types.PUSH,
                events_endpoint_url=f"http://127.0.0.1:{port}/events",
            ).id
            for port in ports
        ]  # fmt: skip
    return Partners(clients[:-1], clients[-1])


def _record(app: Flask, partners: Partners, count: int, *, rate: float | None) -> tuple[float, float]:
    """Record `count` events as fast as possible, or at `rate`; returns how many a second, and per vCPU.

    Each transaction records ten, as when a school with ten partners is verified; four threads record.
    """
    clients = [*partners.alive, partners.dead]
    began, spent = time.monotonic(), time.process_time()

    def record_batch(number: int) -> None:
        if rate is not None:
            time.sleep(max(0.0, began + number * len(clients) / rate - time.monotonic()))
        estab_id = f"{3120000 + number % SUBJECTS}"
        facts = SchoolFacts(
            estab_id=estab_id, status="active", verification="verified", until=AGREED_UNTIL,
            scope="openid profile email organisation offline_access school students attendance",
        )  # fmt: skip
        with transaction(app):
            # The product has these rows too: it reads them with the school's agreements.
            rows = session().scalars(select(Client).where(Client.id.in_(clients))).all()
            for client in rows:
                queue.record(
                    "school-verified", client_id=client.id, subject=estab_id, facts=partial(_same_facts, facts)
                )

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(record_batch, range(count // len(clients))))
    return count / (time.monotonic() - began), count / (time.process_time() - spent)


def _same_facts(facts: SchoolFacts, _client: Client) -> SchoolFacts:
    return facts


def _count_waiting(app: Flask, clients: Sequence[str]) -> int:
    """How many events wait for these clients."""
    with transaction(app):
        statement = select(func.count()).where(PartnerEvent.client_id.in_(clients), queue.waiting())
        return session().scalar(statement) or 0


def _count_delivered(app: Flask) -> int:
    with transaction(app):
        return session().scalar(select(func.count()).where(PartnerEvent.delivered_at.is_not(None))) or 0


def _delays(app: Flask, clients: Sequence[str], since: datetime) -> list[float]:
    """For each event recorded since `since`, the seconds until the end of the round that delivered it."""
    with transaction(app):
        statement = select(PartnerEvent.created_at, PartnerEvent.delivered_at)
        statement = statement.where(PartnerEvent.client_id.in_(clients), PartnerEvent.created_at >= since)
        rows = session().execute(statement).all()
    return [(delivered - created).total_seconds() for created, delivered in rows if delivered is not None]


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the events were not delivered in time")
        time.sleep(0.1)


@contextmanager
def _endpoints(number: int) -> Iterator[list[int]]:
    """The ports of `number` endpoints, in a process of their own."""
    command = [sys.executable, "-m", "bench.event_receiver", str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.kill()


@contextmanager
def _worker(url: str) -> Iterator[Server]:
    """`idp worker`, as in production."""
    environment = {"IDP_CONFIG": "config/test.toml", **PRODUCTION_SETTINGS, "IDP_DATABASE__URL": url}
    command = [sys.executable, "-m", "idp.cli", "worker"]
    with subprocess.Popen(
        command, env={**os.environ, **environment}, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield Server(process, 0)
        finally:
            process.kill()
