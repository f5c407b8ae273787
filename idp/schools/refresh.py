"""Import the register from a file, in the caller's transaction: a refused file changes nothing.

The file is read once, in chunks of a thousand lines. A line whose digest is stored is skipped, so importing the
same file again writes only the row of the import.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Row, Table, bindparam, insert, select, update

from idp.audit import events, log
from idp.foundation import clock, dates
from idp.foundation.database import connection, savepoint, session
from idp.schools import bulk, codes, gias, imports, index, succession, words
from idp.schools.files import Sources
from idp.schools.gias import FileRefused, Line, Oddity
from idp.schools.models import RegisterImport, School, SchoolChange

CHUNK_SIZE: Final = 1000
"""Rows that are read and written together."""
MAX_LISTED_ODDITIES: Final = 1000
"""Oddities that are listed; all are counted. Bounded, because a bad file could have very many."""
MAX_MISSING_SHARE: Final = 0.02
"""Share of our open schools that may be missing from a file; with more it is refused as incomplete."""

IMPORTS: Table = RegisterImport.__table__  # type: ignore[assignment]
SCHOOLS: Table = School.__table__  # type: ignore[assignment]
CHANGES: Table = SchoolChange.__table__  # type: ignore[assignment]
NOT_REPORTED: Final = frozenset({"digest", "name_key", "standing", "last_changed_on", "last_seen_in", "head_teacher"})
"""Columns whose changes are not reported. A head teacher's name is personal data, so it gets no history."""

ReportProgress = Callable[[int, float], None]
"""Called after each chunk with the number of rows read, and the share of the file, 0 to 1."""

T = TypeVar("T")


@dataclass(slots=True)
class Summary:
    """What an import did, or would do."""

    source: str
    dated: date | None = None
    newest_change_on: date | None = None
    rows: int = 0
    added: int = 0
    changed: int = 0
    closed: int = 0
    reopened: int = 0
    left: int = 0
    returned: int = 0
    links: int | None = None
    unknown_codes: int = 0
    repairs: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    oddities: list[Oddity] = field(default_factory=list)

    def note(self, oddities: Iterable[Oddity]) -> None:
        """Count oddities, and list them up to `MAX_LISTED_ODDITIES`."""
        for oddity in oddities:
            if oddity.kind == "unknown_code":
                self.unknown_codes += 1
            else:
                self.repairs += 1
            if len(self.oddities) < MAX_LISTED_ODDITIES:
                self.oddities.append(oddity)


class Known(NamedTuple):
    """A school in the database; `digest` is None if it had left the register."""

    id: int
    digest: bytes | None
    is_open: bool


@dataclass(slots=True)
class _Import:
    """The state of a running import."""

    id: int
    summary: Summary
    words: dict[str, int]
    known: dict[str, Known]
    """Schools that the file has not listed yet; in the end, those that have left the register."""
    is_first: bool


def run(
    sources: Sources,
    *,
    by: str = "cli",
    dry_run: bool = False,
    accept_shrink: bool = False,
    progress: ReportProgress | None = None,
) -> Summary:
    """Import the register, for `by` in the audit log; with `dry_run` only report what it would do.

    Raises `FileRefused` for a file that is older than the last, damaged, or lacks more than `MAX_MISSING_SHARE` of
    our open schools (unless `accept_shrink`).
    """
    started = time.perf_counter()
    summary = Summary(sources.schools.name, sources.schools.dated, repairs=sources.schools.replaced, dry_run=dry_run)
    with bulk.exclusive_lock(IMPORTS), savepoint() if dry_run else nullcontext() as trial:
        last = imports.latest()  # a concurrent import waits for the lock, and then finds everything imported
        if last and last.dated and summary.dated:
            _refuse_older(summary.dated, last.dated)
        row = _insert_import(summary)
        current_import = _Import(row.id, summary, index.load(), known := _load(), is_first=not known)
        _read(
            sources,
            current_import,
            last,
            accept_shrink=accept_shrink,
            progress=progress or (lambda _rows, _share: None),
        )
        if not dry_run:  # PostgreSQL would keep the statistics of what is rolled back
            _update_statistics(summary)
        summary.seconds = round(time.perf_counter() - started, 2)
        _store_outcome(row, summary, by)
        if trial:
            trial.rollback()
    return summary


def _update_statistics(summary: Summary) -> None:
    """Update the search index's counts and the database's statistics.

    However few schools changed: PostgreSQL's autovacuum may have counted the tables during a first import, when none of
    its rows was visible yet, and a search planned for empty tables takes minutes for only 300 schools.
    """
    if any((summary.added, summary.changed, summary.closed, summary.reopened, summary.returned)):
        bulk.analyze(SCHOOLS, index.WORDS, index.SCHOOL_WORDS, index.TRIGRAMS)
        index.refresh_counts()


def _insert_import(summary: Summary) -> RegisterImport:
    row = RegisterImport(
        source=summary.source, imported_at=clock.now(), rows=0, added=0, changed=0, closed=0, reopened=0, left=0
    )
    session().add(row)
    session().flush()
    return row


def _store_outcome(row: RegisterImport, summary: Summary, by: str) -> None:
    for name in ("dated", "newest_change_on", "rows", "added", "changed", "closed", "reopened", "left"):
        setattr(row, name, getattr(summary, name))
    extra = ("links", "returned", "unknown_codes", "repairs", "seconds")
    row.details = {name: getattr(summary, name) for name in extra}
    session().flush()
    counts = {name: getattr(summary, name) for name in ("rows", "added", "changed", "closed", "reopened", "left")}
    log.record(events.REGISTER_IMPORTED, by=by, subject=str(row.id), source=summary.source, **counts)


def _read(
    sources: Sources, current: _Import, last: RegisterImport | None, *, accept_shrink: bool, progress: ReportProgress
) -> None:
    newest, open_before = "", sum(known.is_open for known in current.known.values())
    with sources.schools.text() as text:
        for chunk in _in_chunks(gias.lines(text), CHUNK_SIZE):
            current.summary.rows += len(chunk)
            newest = max(newest, *(line.last_changed for line in chunk))
            _apply_chunk(chunk, current)
            progress(current.summary.rows, min(sources.schools.stream.tell() / sources.schools.size, 1.0))
    if not current.summary.rows:
        raise FileRefused(f"{current.summary.source} has a heading and no schools. Please download it again.")
    current.summary.newest_change_on = date.fromisoformat(newest) if newest else None
    if last and not current.summary.dated and current.summary.newest_change_on and last.newest_change_on:
        _refuse_older(current.summary.newest_change_on, last.newest_change_on)
    current.summary.dated = current.summary.dated or current.summary.newest_change_on
    _mark_missing(current, open_before=open_before, accept_shrink=accept_shrink)
    if sources.links:
        with sources.links.text() as text:
            current.summary.links = succession.replace(gias.links(text))


def _refuse_older(dated: date, last: date) -> None:
    if dated < last:
        raise FileRefused(
            f"This file is of {dates.day(dated)}, older than the one imported last, of {dates.day(last)}. "
            "Importing it would bring back what has changed since: please take the newest."
        )


def _in_chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while chunk := list(islice(items, size)):
        yield chunk


def _load() -> dict[str, Known]:
    """All stored schools of the register by URN; for one that has left, `digest` is None, so that any line differs."""
    statement = select(
        SCHOOLS.c.register_id, SCHOOLS.c.id, SCHOOLS.c.digest, SCHOOLS.c.status_code, SCHOOLS.c.left_register_on
    ).where(SCHOOLS.c.register == gias.REGISTER)
    return {
        urn: Known(id_, None if left else digest, status in codes.OPEN_STATUSES and not left)
        for urn, id_, digest, status, left in session().execute(statement.execution_options(yield_per=CHUNK_SIZE))
    }


def _apply_chunk(chunk: list[Line], current: _Import) -> None:
    """Add the new schools of `chunk` and update those that differ; remove all of them from `current.known`."""
    added, differing = [], {}
    for line in chunk:
        known = current.known.pop(line.urn, None)
        if known is None:
            added.append(line)
        elif known.digest != line.digest:
            differing[known.id] = line
    if added:
        _add(added, current)
    if differing:
        _update_schools(differing, current)


def _values(line: Line, current: _Import) -> dict[str, Any] | None:
    """The row of a school's line; None, with an oddity, for a line that cannot be converted."""
    try:
        columns, oddities = gias.school(line)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        current.summary.note([gias.Oddity("left_out", line.urn, type(error).__name__, str(error))])
        return None
    current.summary.note(oddities)
    columns["name_key"] = words.fold(columns["name"])
    columns["last_seen_in"] = current.id
    columns["left_register_on"] = None
    return columns


def _add(lines: list[Line], current: _Import) -> None:
    rows = [row for line in lines if (row := _values(line, current))]
    if not rows:
        return
    columns = ("first_seen_in", *rows[0])
    bulk.add(SCHOOLS, columns, [(current.id, *row.values()) for row in rows])
    statement = select(SCHOOLS.c.register_id, SCHOOLS.c.id).where(SCHOOLS.c.last_seen_in == current.id)
    statement = statement.order_by(SCHOOLS.c.id.desc()).limit(len(rows))
    ids: dict[str, int] = dict(session().execute(statement).all())
    index.add({ids[row["register_id"]]: index.words_of(row["name_key"], row["town"]) for row in rows}, current.words)
    current.summary.added += len(rows)
    if not current.is_first:  # in the first import every school is new, which is not worth reporting
        _insert_changes([(school, "added", {}) for school in ids.values()], current)


def _update_schools(lines: Mapping[int, Line], current: _Import) -> None:
    new_rows = {school: row for school, line in lines.items() if (row := _values(line, current))}
    if not new_rows:
        return
    old_rows = session().execute(select(SCHOOLS).where(SCHOOLS.c.id.in_(list(new_rows)))).all()
    changes = [change for old in old_rows if (change := _change(old, new_rows[old.id], current))]
    columns: dict[str, Any] = {name: bindparam(name) for name in next(iter(new_rows.values()))}
    rewrite = update(SCHOOLS).where(SCHOOLS.c.id == bindparam("by_id")).values(columns)
    connection().execute(rewrite, [row | {"by_id": school} for school, row in new_rows.items()])
    index.replace(
        {school: index.words_of(row["name_key"], row["town"]) for school, row in new_rows.items()}, current.words
    )
    _insert_changes(changes, current)


def _change(old: Row[Any], new: Mapping[str, Any], current: _Import) -> tuple[int, str, dict[str, Any]] | None:
    """The change of a school, which is also counted; None if nothing is to be reported."""
    old_values = old._mapping  # noqa: SLF001  its public name
    differences = {
        name: [_to_json(old_values[name]), _to_json(value)]
        for name, value in new.items()
        if name not in NOT_REPORTED and old_values[name] != value
    }
    if old_values["left_register_on"]:
        kind = "returned"
    elif (old_values["status_code"] == codes.CLOSED) != (new["status_code"] == codes.CLOSED):
        kind = "closed" if new["status_code"] == codes.CLOSED else "reopened"
    else:
        kind = "changed"
    if kind == "changed" and not differences:
        return None
    setattr(current.summary, kind, getattr(current.summary, kind) + 1)
    return old.id, kind, differences


def _to_json(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def _mark_missing(current: _Import, *, open_before: int, accept_shrink: bool) -> None:
    """Mark the schools that are missing from the file; refuse the file if there are too many."""
    open_missing = sum(known.is_open for known in current.known.values())
    if open_missing > MAX_MISSING_SHARE * open_before and not accept_shrink:
        raise FileRefused(
            f"The file lacks {open_missing:,} of our {open_before:,} open schools, so it is probably incomplete. "
            "If you are sure that it is, import it again and accept that it has shrunk (--accept-shrink)."
        )
    missing_ids = [known.id for known in current.known.values() if known.digest is not None]
    current.summary.left = len(missing_ids)
    today = current.summary.dated or clock.today()
    for ids in _in_chunks(iter(missing_ids), CHUNK_SIZE):
        session().execute(update(SCHOOLS).where(SCHOOLS.c.id.in_(ids)).values(left_register_on=today))
    _insert_changes([(school, "left", {}) for school in missing_ids], current)


def _insert_changes(changes: list[tuple[int, str, dict[str, Any]]], current: _Import) -> None:
    rows = [
        {"school_id": school, "import_id": current.id, "kind": kind, "details": details, "told_at": None}
        for school, kind, details in changes
    ]
    if rows:
        connection().execute(insert(CHANGES), rows)
