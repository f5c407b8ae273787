"""Bring the register up to date from a file, in the caller's one transaction: a refusal changes nothing.

The file is read once, a thousand lines at a time. A line whose digest we have is not looked at again, so
the same file a second time writes nothing but the note that it was read.
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
from idp.foundation.database import connection, session
from idp.schools import bulk, codes, gias, index, links, words
from idp.schools.files import Sources
from idp.schools.gias import FileRefused, Line, Oddity
from idp.schools.models import RegisterImport, School, SchoolChange

CHUNK: Final = 1000
LISTED: Final = 1000
"""Oddities that are listed; all are counted. What a file is odd in must not fill the memory."""
MISSING: Final = 0.02
"""Share of our open schools that a new file may lack before it is taken for half a file."""

IMPORTS: Table = RegisterImport.__table__  # type: ignore[assignment]
SCHOOLS: Table = School.__table__  # type: ignore[assignment]
CHANGES: Table = SchoolChange.__table__  # type: ignore[assignment]
UNTOLD: Final = frozenset({"digest", "name_key", "standing", "last_changed_on", "last_seen_in", "head_teacher"})
"""What changes without anybody having to be told; a head teacher's name is kept once, not in a history."""

Progress = Callable[[int, float], None]
"""Called now and then with the rows read and the share of the file they are, 0 to 1."""

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

    def note(self, odd: Iterable[Oddity]) -> None:
        """Count what was odd, and list it as far as the list goes."""
        for oddity in odd:
            if oddity.kind == "unknown_code":
                self.unknown_codes += 1
            else:
                self.repairs += 1
            if len(self.oddities) < LISTED:
                self.oddities.append(oddity)


class Known(NamedTuple):
    """A school we have; `digest` is None when it had left the register before."""

    id: int
    digest: bytes | None
    is_open: bool


@dataclass(slots=True)
class _Import:
    """An import under way."""

    id: int
    told: Summary
    words: dict[str, int]
    known: dict[str, Known]
    """What the file has not mentioned yet; in the end, what has left the register."""
    is_first: bool


def run(
    sources: Sources,
    *,
    by: str = "cli",
    dry_run: bool = False,
    accept_shrink: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Import the register, for `by` in the audit log; with `dry_run` only find out what that would do.

    Raises `FileRefused` for a file that is older than the last, damaged, or without more than `MISSING` of
    our open schools (unless `accept_shrink`).
    """
    started = time.perf_counter()
    summary = Summary(sources.schools.name, sources.schools.dated, repairs=sources.schools.replaced, dry_run=dry_run)
    with bulk.alone(IMPORTS), session().begin_nested() if dry_run else nullcontext() as trial:
        last = latest()  # a second import at once has waited, and finds everything done
        if last and last.dated and summary.dated:
            _refuse_older(summary.dated, last.dated)
        noted = _note(summary)
        under_way = _Import(noted.id, summary, index.load(), known := _load(), is_first=not known)
        _read(sources, under_way, last, accept_shrink=accept_shrink, progress=progress or (lambda _rows, _share: None))
        _settle(summary)
        summary.seconds = round(time.perf_counter() - started, 2)
        _note_outcome(noted, summary, by)
        if trial:
            trial.rollback()
    return summary


def _settle(summary: Summary) -> None:
    """Leave the search words as the import's changes want them, and the database knowing what it holds now."""
    if any((summary.added, summary.changed, summary.closed, summary.reopened, summary.returned)):
        index.settle()
    if summary.added > CHUNK:
        bulk.survey(SCHOOLS, index.WORDS, index.SCHOOL_WORDS, index.TRIGRAMS)


def latest() -> RegisterImport | None:
    """The last import, or None when there has been none."""
    return session().scalar(select(RegisterImport).order_by(RegisterImport.id.desc()).limit(1))


def _note(summary: Summary) -> RegisterImport:
    noted = RegisterImport(
        source=summary.source, imported_at=clock.now(), rows=0, added=0, changed=0, closed=0, reopened=0, left=0
    )
    session().add(noted)
    session().flush()
    return noted


def _note_outcome(noted: RegisterImport, summary: Summary, by: str) -> None:
    for name in ("dated", "newest_change_on", "rows", "added", "changed", "closed", "reopened", "left"):
        setattr(noted, name, getattr(summary, name))
    extra = ("links", "returned", "unknown_codes", "repairs", "seconds")
    noted.details = {name: getattr(summary, name) for name in extra}
    session().flush()
    counts = {name: getattr(summary, name) for name in ("rows", "added", "changed", "closed", "reopened", "left")}
    log.record(events.REGISTER_IMPORTED, by=by, subject=str(noted.id), source=summary.source, **counts)


def _read(
    sources: Sources, its: _Import, last: RegisterImport | None, *, accept_shrink: bool, progress: Progress
) -> None:
    newest, open_before = "", sum(known.is_open for known in its.known.values())
    with sources.schools.text() as text:
        for chunk in _in_chunks(gias.lines(text), CHUNK):
            its.told.rows += len(chunk)
            newest = max(newest, *(line.last_changed for line in chunk))
            _take(chunk, its)
            progress(its.told.rows, min(sources.schools.stream.tell() / sources.schools.size, 1.0))
    if not its.told.rows:
        raise FileRefused(f"{its.told.source} has a heading and no schools. Please download it again.")
    its.told.newest_change_on = date.fromisoformat(newest) if newest else None
    if last and not its.told.dated and its.told.newest_change_on and last.newest_change_on:
        _refuse_older(its.told.newest_change_on, last.newest_change_on)
    its.told.dated = its.told.dated or its.told.newest_change_on
    _mark_missing(its, open_before=open_before, accept_shrink=accept_shrink)
    if sources.links:
        with sources.links.text() as text:
            its.told.links = links.replace(gias.links(text))


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
    """Every school of the register that we have, by URN; one that has left counts as different from any line."""
    ours = select(
        SCHOOLS.c.register_id, SCHOOLS.c.id, SCHOOLS.c.digest, SCHOOLS.c.status_code, SCHOOLS.c.left_register_on
    ).where(SCHOOLS.c.register == gias.REGISTER)
    return {
        urn: Known(id_, None if left else digest, status in codes.IS_OPEN and not left)
        for urn, id_, digest, status, left in session().execute(ours.execution_options(yield_per=CHUNK))
    }


def _take(chunk: list[Line], its: _Import) -> None:
    """Add the schools of `chunk` that are new and rewrite those that differ; cross all of them off `its.known`."""
    added, differing = [], {}
    for line in chunk:
        known = its.known.pop(line.urn, None)
        if known is None:
            added.append(line)
        elif known.digest != line.digest:
            differing[known.id] = line
    if added:
        _add(added, its)
    if differing:
        _rewrite(differing, its)


def _values(line: Line, its: _Import) -> dict[str, Any] | None:
    """A school's row as `line` has it; None for a line we cannot make one of, which is noted and keeps no other."""
    try:
        kept, odd = gias.school(line)
    except (ArithmeticError, LookupError, TypeError, ValueError) as fault:
        its.told.note([gias.Oddity("left_out", line.urn, type(fault).__name__, str(fault))])
        return None
    its.told.note(odd)
    kept["name_key"] = words.fold(kept["name"])
    kept["last_seen_in"] = its.id
    kept["left_register_on"] = None
    return kept


def _add(lines: list[Line], its: _Import) -> None:
    rows = [row for line in lines if (row := _values(line, its))]
    if not rows:
        return
    columns = ("first_seen_in", *rows[0])
    bulk.add(SCHOOLS, columns, [(its.id, *row.values()) for row in rows])
    newest = select(SCHOOLS.c.register_id, SCHOOLS.c.id).where(SCHOOLS.c.last_seen_in == its.id)
    newest = newest.order_by(SCHOOLS.c.id.desc()).limit(len(rows))
    ids: dict[str, int] = dict(session().execute(newest).all())
    index.add({ids[row["register_id"]]: index.words_of(row["name_key"], row["town"]) for row in rows}, its.words)
    its.told.added += len(rows)
    if not its.is_first:  # when the register begins, every school is new, and nobody waits to hear it
        _note_changes([(school, "added", {}) for school in ids.values()], its)


def _rewrite(lines: Mapping[int, Line], its: _Import) -> None:
    news = {school: row for school, line in lines.items() if (row := _values(line, its))}
    if not news:
        return
    olds = session().execute(select(SCHOOLS).where(SCHOOLS.c.id.in_(list(news)))).all()
    changes = [change for old in olds if (change := _change(old, news[old.id], its))]
    columns: dict[str, Any] = {name: bindparam(name) for name in next(iter(news.values()))}
    rewrite = update(SCHOOLS).where(SCHOOLS.c.id == bindparam("its_id")).values(columns)
    connection().execute(rewrite, [row | {"its_id": school} for school, row in news.items()])
    index.replace({school: index.words_of(row["name_key"], row["town"]) for school, row in news.items()}, its.words)
    _note_changes(changes, its)


def _change(old: Row[Any], new: Mapping[str, Any], its: _Import) -> tuple[int, str, dict[str, Any]] | None:
    """What became of a school, counted; None if there is nothing to tell."""
    was = old._mapping  # noqa: SLF001  its public name
    differs = {
        name: [_told(was[name]), _told(value)]
        for name, value in new.items()
        if name not in UNTOLD and was[name] != value
    }
    if was["left_register_on"]:
        kind = "returned"
    elif (was["status_code"] == codes.CLOSED) != (new["status_code"] == codes.CLOSED):
        kind = "closed" if new["status_code"] == codes.CLOSED else "reopened"
    else:
        kind = "changed"
    if kind == "changed" and not differs:
        return None
    setattr(its.told, kind, getattr(its.told, kind) + 1)
    return old.id, kind, differs


def _told(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def _mark_missing(its: _Import, *, open_before: int, accept_shrink: bool) -> None:
    """Mark the schools that the file has no longer, unless there are too many for that to be true."""
    open_gone = sum(known.is_open for known in its.known.values())
    if open_gone > MISSING * open_before and not accept_shrink:
        raise FileRefused(
            f"The file lacks {open_gone:,} of our {open_before:,} open schools, so it is probably not whole. "
            "If you are sure that it is, import it again and accept that it has shrunk (--accept-shrink)."
        )
    gone = [known.id for known in its.known.values() if known.digest is not None]
    its.told.left = len(gone)
    today = its.told.dated or clock.today()
    for some in _in_chunks(iter(gone), CHUNK):
        session().execute(update(SCHOOLS).where(SCHOOLS.c.id.in_(some)).values(left_register_on=today))
    _note_changes([(school, "left", {}) for school in gone], its)


def _note_changes(changes: list[tuple[int, str, dict[str, Any]]], its: _Import) -> None:
    rows = [
        {"school_id": school, "import_id": its.id, "kind": kind, "details": details, "told_at": None}
        for school, kind, details in changes
    ]
    if rows:
        connection().execute(insert(CHANGES), rows)
