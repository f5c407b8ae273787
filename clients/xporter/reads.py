"""Who read what: each read of personal data is counted per school, client, area and day, and reported to the provider.

Counts are collected in memory and added to the database every second, because a transaction for each request would
cost more than the request. Reports have the totals of a day, so that repeating one changes nothing.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, and_, case, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from clients.xporter.database import Database
from clients.xporter.extracts import format_time
from clients.xporter.provider import Provider, ProviderUnreachable
from clients.xporter.tables import reads

PATH: Final = "/api/reads"
SCOPE: Final = "reads.report"
WRITE_SECONDS: Final = 1.0
"""How often counts are added to the database; a process that is killed loses those since then."""
REPORT_SECONDS: Final = 3.0
MAX_ROWS: Final = 1000
"""How many rows one report has."""
RETRY_SECONDS: Final = 15.0
"""The pause after a failure to reach the provider."""

log = logging.getLogger(__name__)


DAY_SECONDS: Final = 86_400


class Key(NamedTuple):
    """What one total counts: the reads of a school by a client, in an area, on a day."""

    estab_id: str
    client_id: str
    scope: str
    day: str


class Count(NamedTuple):
    """How many responses, with how many records, and when the last one was (seconds since 1970)."""

    requests: int
    records: int
    last_at: float

    def plus(self, other: "Count") -> "Count":
        """The sum of both."""
        return Count(
            self.requests + other.requests, self.records + other.records, max(self.last_at, other.last_at)
        )  # fmt: skip


class Reads:
    """Counts reads, and reports them from a thread of its own, which begins with the first count in a process."""

    def __init__(self, database: Database, provider: Provider, now: Callable[[], float] = time.time) -> None:
        self._database, self._provider, self._now = database, provider, now
        self._counts: dict[tuple[str, str, frozenset[str], int], Count] = {}
        """The counts by school, client, scopes, and days since 1970: each response is one addition."""
        self._lock, self._write_lock = threading.Lock(), threading.Lock()
        atexit.register(self._write_quietly)

    def count(self, estab_id: str, client_id: str, scopes: Iterable[str], records: int) -> None:
        """Count one response with this number of records under each of these scopes."""
        at, areas = self._now(), frozenset(scopes)
        if not areas:
            return
        key, one = (estab_id, client_id, areas, int(at // DAY_SECONDS)), Count(1, records, at)
        with self._lock:
            before = self._counts.get(key)
            self._counts[key] = before.plus(one) if before else one

    def write(self) -> None:
        """Add what was counted to the database; what cannot be written is kept. Raises `SQLAlchemyError`."""
        with self._write_lock:
            with self._lock:
                counts, self._counts = self._counts, {}
            if not counts:
                return
            try:
                with self._database.write() as connection:
                    _add(connection, _by_scope(counts), is_sqlite=self._database.is_sqlite)
            except BaseException:
                with self._lock:
                    for key, count in counts.items():
                        later = self._counts.get(key)
                        self._counts[key] = later.plus(count) if later else count
                raise

    def close(self) -> None:
        """Write what was counted, at the end of the program."""
        atexit.unregister(self._write_quietly)
        self._write_quietly()

    def report(self) -> None:
        """Report each total that has changed since it was reported.

        Raises `ProviderUnreachable` and `SQLAlchemyError`.
        """
        while rows := self._unreported():
            self._send(rows)

    def _unreported(self) -> list[Any]:
        with self._database.read() as connection:
            statement = select(reads).where(reads.c.reported_at.is_(None)).order_by(reads.c.day).limit(MAX_ROWS)
            return list(connection.execute(statement))

    def _send(self, rows: list[Any]) -> None:
        """Send these rows; if they are refused, each half separately, until only a wrong row is refused."""
        document = {"reads": [_to_report(row) for row in rows]}
        response = self._provider.call_as_client("POST", PATH, scope=SCOPE, json=document)
        if response.status_code in {400, 413, 422} and len(rows) > 1:
            self._send(rows[: len(rows) // 2])
            self._send(rows[len(rows) // 2 :])
            return
        if response.status_code in {400, 413, 422}:
            log.error("the provider refuses the report of a read: %s", response.text[:300])
        elif response.status_code not in {200, 204}:
            raise ProviderUnreachable(f"{PATH} responded with {response.status_code}")
        with self._database.write() as connection:
            for row in rows:  # one that has changed meanwhile is reported again
                same = and_(*(reads.c[name] == getattr(row, name) for name in (*Key._fields, "requests")))
                connection.execute(update(reads).where(same).values(reported_at=self._now()))

    def _write_quietly(self) -> None:
        try:
            self.write()
        except SQLAlchemyError:
            log.exception("reads could not be counted")


class Reporter:
    """A thread that writes and reports, started once in each process that serves requests."""

    def __init__(self, reads_: Reads, *jobs: Callable[[], None]) -> None:
        self._reads, self._jobs = reads_, jobs
        self._pid, self._lock, self._ends = 0, threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def ensure_running(self) -> None:
        """Start the thread, if this process has none: threads do not survive a fork."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._thread = threading.Thread(target=self._run, name="xporter-reads", daemon=True)
                    self._thread.start()
                    self._pid = os.getpid()

    def stop(self) -> None:
        """Stop the thread after its present step: it must not use the database once that is closed."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join(60)

    def _run(self) -> None:
        report_at = time.monotonic() + REPORT_SECONDS
        while not self._ends.wait(WRITE_SECONDS):
            try:
                for job in self._jobs:
                    job()
                self._reads.write()
                if time.monotonic() >= report_at:
                    report_at = time.monotonic() + REPORT_SECONDS
                    self._reads.report()
            except ProviderUnreachable as error:
                log.warning("reads cannot be reported to the provider: %s", error)
                report_at = time.monotonic() + RETRY_SECONDS
            except Exception:
                log.exception("reads could not be written or reported")
                report_at = time.monotonic() + RETRY_SECONDS


def _by_scope(counts: Mapping[tuple[str, str, frozenset[str], int], Count]) -> dict[Key, Count]:
    totals: dict[Key, Count] = {}
    for (estab_id, client_id, scopes, day_number), count in counts.items():
        day = datetime.fromtimestamp(day_number * DAY_SECONDS, UTC).date().isoformat()
        for scope in scopes:
            key = Key(estab_id, client_id, scope, day)
            totals[key] = totals[key].plus(count) if key in totals else count
    return totals


def _add(connection: Connection, counts: dict[Key, Count], *, is_sqlite: bool) -> None:
    """Add to the totals, in the order of their keys: two processes that write at once must not wait for each other."""
    insert = sqlite.insert(reads) if is_sqlite else postgresql.insert(reads)
    new = insert.excluded
    statement = insert.on_conflict_do_update(
        index_elements=list(Key._fields),
        set_={
            "requests": reads.c.requests + new.requests,
            "records": reads.c.records + new.records,
            "last_at": case((reads.c.last_at > new.last_at, reads.c.last_at), else_=new.last_at),
            "reported_at": None,
        },
    )
    rows = [key._asdict() | count._asdict() | {"reported_at": None} for key, count in sorted(counts.items())]
    connection.execute(statement, rows)


def _to_report(row: Any) -> dict[str, Any]:
    totals = {name: getattr(row, name) for name in (*Key._fields, "requests", "records")}
    return totals | {"last_at": format_time(row.last_at)}
