"""The API for partners over HTTP: a page of the schools of one client that 100,000 have authorised, and searches."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from sqlalchemy import select

from bench import costs, http, rows, servers
from bench.load import RequestKind
from bench.provider import Provider
from bench.register import Material
from bench.report import Figure
from idp.foundation import database
from idp.foundation.web.transactions import transaction
from idp.schools import files, refresh
from idp.schools.models import School

SEED: Final = 2026
PAGES: Final = 300
"""How many different pages are requested in turn, far apart from one another."""
RATE: Final = 10.0
"""In requests per second, as latency is measured and no client sends more."""
PAGE_MS: Final = 30
"""The most milliseconds for 95 of 100 pages, on PostgreSQL."""
SEARCH_MS: Final = 50
"""The most milliseconds for 95 of 100 searches (school-register.md §6)."""
LETTERS_TYPED: Final = 12
"""How many letters of a school's name are sent when a field searches while a person types."""


def measure(url: str, dbms: str, register: Material, *, schools: int, seconds: float) -> list[Figure]:
    """Latencies of pages of 100, what has changed, schools in a state, one school among `schools`, and searches."""
    provider = Provider(url)
    with provider.world.app.app_context():
        engine = database.db.engine
    rng, an_hour_ago = random.Random(SEED), (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    texts = _typed(provider, register, rng)  # before there are 100,000 schools of one name and one postcode
    rows.authorised_schools(
        engine, provider.world.clients["ES256"], provider.world.clients["client_credentials"], schools
    )
    _, body = costs.call(provider.world.app, provider.world.client_credentials(), "200")
    bearer = f"Bearer {json.loads(body)['access_token']}"

    def requests(path: Callable[[int], str]) -> list[bytes]:
        numbers = [rng.randrange(schools) for _ in range(PAGES)]
        return [provider.to_bytes(provider.world.get(path(number), Authorization=bearer)) for number in numbers]

    subjects = {
        "a page of 100 schools": requests(lambda number: f"/api/schools?cursor={rows.estab(number)}"),
        "what has changed": requests(lambda _: "/api/schools?changed_since=2099-01-01T00:00:00Z"),
        "servers that changed within the hour": requests(lambda _: f"/api/schools?changed_since={quote(an_hour_ago)}"),
        "schools whose server is lost": requests(lambda _: "/api/schools?connection=awaiting_endpoint"),
        "one school": requests(lambda number: f"/api/schools/{rows.estab_id(number)}"),
    }
    searches = requests(lambda number: f"/api/register/schools?q={quote(texts[number % len(texts)])}")
    provider.disconnect()
    with servers.idp(url, provider.port) as server:
        figures = [
            figure
            for name, sent in subjects.items()
            for figure in _latency(server, f"{name}, of {schools:,}, {dbms}", sent, seconds, _goal(name, dbms))
        ]
        figures += _latency(server, f"a search of the whole register, {dbms}", searches, seconds, SEARCH_MS)
    return figures


def _goal(subject: str, dbms: str) -> int | None:
    return PAGE_MS if "page" in subject and dbms == "PostgreSQL" else None


def _typed(provider: Provider, register: Material, rng: random.Random) -> list[str]:
    """Import the register; returns what people type of the names of some of its schools, and whole postcodes."""
    newest = register.register.with_name("edubasealldata20260401.csv")  # the prepared data has one of March
    if not newest.exists():
        newest.symlink_to(register.register)
    with transaction(provider.world.app), files.open_sources(newest) as sources:
        refresh.run(sources, accept_shrink=True)
    with transaction(provider.world.app):
        some = select(School.name, School.postcode).where(School.standing == 0).limit(4 * PAGES)
        schools = list(database.session().execute(some))
    return [rng.choice((name[:LETTERS_TYPED], name, postcode)) for name, postcode in schools]


def _latency(
    server: servers.Server, subject: str, sent: list[bytes], seconds: float, goal: int | None
) -> Iterator[Figure]:
    kinds = [RequestKind(subject, sent, 200, "")]
    servers.run_load(server, kinds, http.WARM_UP_SECONDS)
    run = servers.run_load(server, kinds, seconds, rate=RATE)
    for per_cent in (50, 95, 99):
        yield Figure(
            subject, f"p{per_cent}", run.result.percentile_ms(per_cent), "ms", goal if per_cent == 95 else None
        )
    yield from http.wrong_responses(subject, [run])
