"""What happens as tables grow: the hot statements among ten thousand refresh tokens, a million and ten million.

Beside them what was decided against, a row for each access token (performance.md §6), and retention, which clears
a backlog while the server is under load.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Thread
from typing import Any, Final, cast

from sqlalchemy import Engine, Table, bindparam, func, select, text, update

from bench import http, rows, servers, start
from bench.costs import Environ, Subject
from bench.load import RequestKind
from bench.provider import Provider
from bench.report import Figure
from idp import worker
from idp.foundation import database
from idp.foundation.database import Instant
from idp.foundation.web import transactions
from idp.oidc.models import RefreshFamily

SEED: Final = 10_000
SAMPLE_SIZE: Final = 400
MAX_SLOWDOWN: Final = 2.0
"""How many times longer a statement may take among more rows than among the fewest."""
BACKLOG: Final = 20_000
"""How many expired rows retention has to delete: twenty batches."""
LOAD_SHARE: Final = 0.5
"""The load during which retention deletes them, as a share of the maximum."""

_table = cast("Table", RefreshFamily.__table__)
_READ: Final = select(_table).where(_table.c.digest == bindparam("its_digest"))
_ROTATE: Final = (
    update(_table)
    .where(_table.c.id == bindparam("its_id"), _table.c.sequence >= 0, _table.c.revoked_at.is_(None))
    .values(sequence=_table.c.sequence + 1, rotated_at=bindparam("now", type_=Instant()))
)
"""The statements with which `families` reads and rotates a refresh token."""
_INSERT_TOKEN: Final = text("INSERT INTO bench_tokens VALUES (:digest, 'a-client', 'aut_1', :until)").bindparams(
    bindparam("until", type_=Instant())
)
_OLDEST: Final = text(
    "DELETE FROM bench_tokens WHERE digest IN (SELECT digest FROM bench_tokens ORDER BY expires_at LIMIT 1000)"
)


@dataclass(frozen=True, slots=True)
class Ground:
    """A provider whose tables are filled."""

    provider: Provider
    engine: Engine
    dbms: str

    @property
    def client(self) -> str:
        """The client that the refresh tokens belong to."""
        return self.provider.world.clients["ES256"]

    def refresh(self, number: int) -> Environ:
        """A request with the refresh token of the family with this number."""
        form = {"grant_type": "refresh_token", "refresh_token": rows.token(number)}
        return self.provider.world.post("/oauth/token", form, self.client)


def measure(url: str, dbms: str, *, sizes: tuple[int, ...], starts: int, seconds: float) -> list[Figure]:
    """Measure one database as it grows to each of `sizes`; retention works during `seconds` of load."""
    provider = Provider(url)
    with provider.world.app.app_context():
        ground = Ground(provider, database.db.engine, dbms)
    result: list[Figure] = []
    smallest: dict[str, float] = {}
    for before, size in zip((0, *sizes), sizes, strict=False):
        rows.families(ground.engine, ground.client, before, size)
        microseconds, subject = _hot(ground, size), f"{size:,} refresh tokens, {dbms}"
        smallest = smallest or microseconds
        for what, value in microseconds.items():
            result.append(Figure(subject, what, value, "µs"))
            if size != sizes[0]:
                result.append(
                    Figure(subject, f"{what}: than at {sizes[0]:,}", value / smallest[what], "×", MAX_SLOWDOWN)
                )
        result += start.first_answers(provider, subject, starts)
    result += _retention(ground, sizes[-1], seconds)
    result += _a_row_per_token(ground, sizes[-1])
    provider.disconnect()
    return result


def _hot(ground: Ground, size: int) -> dict[str, float]:
    """The median microseconds of each hot statement, among `size` families."""
    rng = random.Random(SEED)
    numbers_sampled = [rng.randrange(size) for _ in range(SAMPLE_SIZE)]
    alive = [number - number % rows.LIVE_FAMILY_RATIO for number in numbers_sampled]
    with ground.engine.connect() as connection:
        now = datetime.now(UTC)
        read = _median(
            lambda number: connection.execute(_READ, {"its_digest": rows.digest(number)}).one(), numbers_sampled
        )
        rotation = _median(
            lambda number: connection.execute(_ROTATE, {"its_id": rows.name(number), "now": now}), numbers_sampled
        )
        connection.commit()
    refresh = Subject("refresh", ground.provider.world.app, lambda _calls: map(ground.refresh, alive), "200")
    refresh.round(SAMPLE_SIZE, record=True)
    return {
        "read by digest": read, "rotate": rotation, "refresh, in process": statistics.median(refresh.elapsed),
    }  # fmt: skip


def _median(do: Callable[[int], object], numbers: list[int]) -> float:
    microseconds = []
    for number in numbers:
        began = time.perf_counter()
        do(number)
        microseconds.append((time.perf_counter() - began) * 1e6)
    return statistics.median(microseconds)


# ── retention ─────────────────────────────────────────────────────────────────────────────────────────────────


def _retention(ground: Ground, size: int, seconds: float) -> Iterator[Figure]:
    """Delete a backlog with the worker's own code, in this process, while another process serves refreshes."""
    provider, rng = ground.provider, random.Random(SEED)
    rows.families(ground.engine, ground.client, size, size + BACKLOG, expired=True)
    numbers = [rng.randrange(0, size, rows.LIVE_FAMILY_RATIO) for _ in range(SAMPLE_SIZE)]
    kinds = [
        RequestKind("refresh", [provider.to_bytes(ground.refresh(number)) for number in numbers], 200, "access_token")
    ]
    provider.disconnect()
    with servers.idp(provider.url, provider.port) as server:
        servers.run_load(server, kinds, http.WARM_UP_SECONDS)
        rate = servers.run_load(server, kinds, 1.0).rate * LOAD_SHARE
        quiet = servers.run_load(server, kinds, seconds, rate=rate)
        took: list[float] = []
        cleaning = Thread(target=lambda: took.append(_cleaned(ground)))
        cleaning.start()
        busy = servers.run_load(server, kinds, seconds, rate=rate)
        cleaning.join()
    subject = f"retention, {size:,} refresh tokens, {ground.dbms}"
    gone = BACKLOG / took[0]
    yield Figure(subject, "expired rows gone", gone, "/s", rate, f"at {rate:,.0f} refreshes/s", at_least=True)
    yield Figure(subject, "left over", _left(ground), "rows", 0)
    yield Figure(subject, "refresh p99 without it", quiet.result.percentile_ms(99), "ms")
    yield Figure(subject, "refresh p99 meanwhile", busy.result.percentile_ms(99), "ms", http.PROGRAM_GOALS[99])
    yield from http.wrong_responses(subject, [quiet, busy])


def _cleaned(ground: Ground) -> float:
    began = time.perf_counter()
    worker.clean(partial(transactions.transaction, ground.provider.world.app))
    return time.perf_counter() - began


def _left(ground: Ground) -> int:
    expired = select(func.count()).where(_table.c.expires_at < datetime.now(UTC) - timedelta(days=1))
    with ground.engine.connect() as connection:
        return connection.execute(expired).scalar_one()


# ── what was decided against ──────────────────────────────────────────────────────────────────────────────────


def _a_row_per_token(ground: Ground, size: int) -> Iterator[Figure]:
    """An access token is stateless; with a row it would cost this each time one is issued, and then again."""
    before = _megabytes(ground.engine)
    rows.tokens(ground.engine, size)
    megabytes = _megabytes(ground.engine) - before
    until = datetime.now(UTC) + timedelta(minutes=10)
    with ground.engine.connect() as connection:

        def insert(number: int) -> None:
            connection.execute(_INSERT_TOKEN, {"digest": rows.digest(number), "until": until})
            connection.commit()

        def delete(_number: int) -> None:
            connection.execute(_OLDEST)
            connection.commit()

        inserted = _median(insert, list(range(size, size + SAMPLE_SIZE)))
        deleted = _median(delete, list(range(min(8, size // 1000))))
    with ground.engine.begin() as connection:
        connection.execute(text("DROP TABLE bench_tokens"))
    subject = f"a row per access token, {size:,} rows, {ground.dbms}"
    yield Figure(subject, "issue: insert, commit", inserted, "µs")
    yield Figure(subject, "delete 1,000 expired", deleted / 1000, "ms")
    yield Figure(subject, "room", megabytes, "MB")


def _megabytes(engine: Engine) -> float:
    """The size of the whole database."""
    pages = (
        "SELECT (page_count - freelist_count) * page_size"
        " FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
    )
    size_query = pages if engine.dialect.name == "sqlite" else "SELECT pg_database_size(current_database())"
    with engine.connect() as connection:
        size: Any = connection.execute(text(size_query)).scalar_one()
    return float(size) / 2**20
