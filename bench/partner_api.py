"""The API for partners over HTTP: a page of the schools of one client that 100,000 have authorised."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Final

from bench import costs, http, rows, servers
from bench.load import RequestKind
from bench.provider import Provider
from bench.report import Figure
from idp.foundation import database

SEED: Final = 2026
DIFFERENT: Final = 300
"""Pages, far apart, that are asked for by turns."""
RATE: Final = 10.0
"""Requests per second: no client asks all the time, and the latency is of interest."""
PAGE_MS: Final = 30
"""Milliseconds that 95 of 100 pages may take, on PostgreSQL."""


def measure(url: str, kind: str, *, schools: int, seconds: float) -> list[Figure]:
    """Latencies of pages of 100, of what changed within a minute, and of one school, among `schools`."""
    provider = Provider(url)
    with provider.world.app.app_context():
        engine = database.db.engine
    rows.authorised_schools(engine, provider.world.clients["ES256"], provider.world.clients["itself"], schools)
    _, body = costs._call(provider.world.app, provider.world.itself(), "200")  # noqa: SLF001
    bearer = f"Bearer {json.loads(body)['access_token']}"
    chance = random.Random(SEED)

    def requests(path: Callable[[int], str]) -> list[bytes]:
        numbers = [chance.randrange(schools) for _ in range(DIFFERENT)]
        return [provider.to_bytes(provider.world.get(path(number), Authorization=bearer)) for number in numbers]

    subjects = {
        "a page of 100 schools": requests(lambda number: f"/api/schools?cursor={rows.estab(number)}"),
        "what has changed": requests(lambda _: "/api/schools?changed_since=2099-01-01T00:00:00Z"),
        "one school": requests(lambda number: f"/api/schools/{rows.estab_id(number)}"),
    }
    provider.disconnect()
    with servers.idp(url, provider.port) as server:
        return [
            figure
            for name, asked in subjects.items()
            for figure in _latency(server, f"{name}, of {schools:,}, {kind}", asked, seconds)
        ]


def _latency(server: servers.Server, subject: str, asked: list[bytes], seconds: float) -> Iterator[Figure]:
    kinds = [RequestKind(subject, asked, 200, "")]
    servers.run_load(server, kinds, http.WARM_UP_SECONDS)
    run = servers.run_load(server, kinds, seconds, rate=RATE)
    goal = PAGE_MS if "page" in subject and "PostgreSQL" in subject else None
    for per_cent in (50, 95, 99):
        yield Figure(
            subject, f"p{per_cent}", run.result.percentile_ms(per_cent), "ms", goal if per_cent == 95 else None
        )
    yield from http.wrong(subject, [run])
