"""The chain over the entries: each hash covers its entry and the hash before it, so that tampering shows.

Requests insert entries unchained, because chaining there would queue them all behind one row (performance.md
§2). The worker calls `seal` every second. Two things cannot be seen: what is done to an entry before it is
sealed, and cutting off the end behind the newest checkpoint. That is why sealing is quick, and why
checkpoints (`checkpoints`) leave the machine.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from sqlalchemy import Row, Select, Table, bindparam, func, select, update

from idp.audit import checkpoints
from idp.audit.log import canonical, salted
from idp.audit.models import Checkpoint, Details, Entry
from idp.foundation.database import connection, session

BEGINNING: Final = bytes(32)
"""What stands before the first entry."""

_ENTRIES: Final = cast("Table", Entry.__table__)
_DETAILS: Final = cast("Table", Details.__table__)
_PAGE: Final = 1000
_LOCK: Final = 7_203_118
"""The advisory lock of whoever seals, on PostgreSQL; any number that is nobody else's."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something is not as it was sealed: where in the chain, in which entry (None if it is gone), and what."""

    position: int
    entry: int | None
    what: str


class Tampered(Exception):
    """The chain is not as it was sealed. `faults` say where."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        first = faults[0]
        super().__init__(f"{len(faults)} faults, the first at position {first.position}: {first.what}")


@dataclass(slots=True)
class Report:
    """What `verify` looked at and found. `waiting` entries are not sealed yet and were not looked at."""

    begins: int
    ends: int = 0
    checked: int = 0
    checkpoints: int = 0
    waiting: int = 0
    faults: list[Fault] = field(default_factory=list)


def seal(most: int = _PAGE) -> int:
    """Give up to `most` committed entries their place in the chain; returns how many. One worker at a time."""
    if not _alone():
        return 0
    here = connection()
    position, chained = end() or (0, BEGINNING)
    waiting = select(_ENTRIES).where(_ENTRIES.c.position.is_(None)).order_by(_ENTRIES.c.id).limit(most)
    sealed = []
    for row in here.execute(waiting):
        position += 1
        chained = link(chained, position, row)
        sealed.append({"its_id": row.id, "position": position, "chained": chained})
    if sealed:
        its_place = update(_ENTRIES).where(_ENTRIES.c.id == bindparam("its_id"))
        here.execute(its_place.values(position=bindparam("position"), chained=bindparam("chained")), sealed)
    return len(sealed)


def checkpoint() -> str | None:
    """Sign the chain's end, having looked at what was added since the last time; the line to keep elsewhere.

    None where nothing was added. Raises `Tampered` instead of signing a chain that is not as it was sealed.
    """
    found = end()
    if found is None or session().get(Checkpoint, found[0]) is not None:
        return None
    report = verify()
    if report.faults:
        raise Tampered(report.faults)
    return checkpoints.write(*found)


def end() -> tuple[int, bytes] | None:
    """Position and hash of the last sealed entry; None while there is none."""
    last = select(_ENTRIES.c.position, _ENTRIES.c.chained).where(_ENTRIES.c.position.is_not(None))
    found = session().execute(last.order_by(_ENTRIES.c.position.desc()).limit(1)).one_or_none()
    return None if found is None else (found.position, found.chained)


def link(before: bytes, position: int, row: Row[Any]) -> bytes:
    """The hash of the entry `row` at `position`, after the hash `before`."""
    said = [
        position, row.id, row.at.isoformat(), row.event, row.actor, row.estab, row.client, row.subject, row.facts,
        row.details_digest.hex() if row.details_digest else None,
    ]  # fmt: skip
    return hashlib.sha256(before + canonical(said)).digest()


def verify(*, from_start: bool = False, known: Iterable[Checkpoint] = ()) -> Report:
    """Walk the chain from the newest checkpoint, or from its start, and report whatever is not as it was sealed.

    `known` are checkpoints kept elsewhere (`checkpoints.parsed`): the walk begins no later than the oldest of
    them, and a chain that was cut off and signed anew contradicts them.
    """
    elsewhere = list(known)
    kept, forged = checkpoints.kept(all_of_them=from_start or bool(elsewhere))
    signed = {each.position: each for each in [*kept, *elsewhere]}
    begins = 1 if from_start or not signed else min([*(each.position for each in elsewhere), max(signed)])
    report = Report(begins=begins, checkpoints=len(signed))
    report.faults += [Fault(each.position, None, _forged(each)) for each in forged]
    report.faults += _walk(report, signed)
    report.faults += [
        Fault(position, None, f"cut off: the checkpoint of {each.at:%d %B %Y %H:%M} knows it, the chain has not got it")
        for position, each in sorted(signed.items())
        if position > report.ends
    ]
    report.waiting = session().scalar(select(func.count()).where(_ENTRIES.c.position.is_(None))) or 0
    return report


def _walk(report: Report, signed: Mapping[int, Checkpoint]) -> Iterator[Fault]:
    """Every fault from `report.begins` to the end. After one, the walk goes on with what is stored there."""
    expected, before = report.begins, BEGINNING if report.begins == 1 else None
    for row in _rows(report.begins):
        if row.position > expected:
            gone = f"{expected} to {row.position - 1} are" if row.position - 1 > expected else f"{expected} is"
            yield Fault(expected, None, f"missing: {gone} gone from before entry {row.id}")
            before = None
        if fault := _fault(row, before, signed.get(row.position)):
            yield Fault(row.position, row.id, fault)
        expected, before = row.position + 1, row.chained
        report.checked += 1
        report.ends = row.position


def _fault(row: Row[Any], before: bytes | None, signed: Checkpoint | None) -> str | None:
    """What is wrong with one entry. `before` is None where the hash before it is not known."""
    if before is not None and link(before, row.position, row) != row.chained:
        return "altered, moved, or put in: the entry is not what was sealed at this place"
    if signed is not None and signed.chained != row.chained:
        return f"sealed anew: the checkpoint of {signed.at:%d %B %Y %H:%M} has another hash here"
    if row.salt is not None and (row.details_digest is None or salted(row.salt, row.said) != row.details_digest):
        return "altered: its details are not those that were recorded"
    return None


def _rows(begins: int) -> Iterator[Row[Any]]:
    """The sealed entries with their details, in the order of the chain, a page at a time."""
    page: Select[Any] = (
        select(_ENTRIES, _DETAILS.c.salt, _DETAILS.c.said)
        .outerjoin(_DETAILS, _DETAILS.c.entry_id == _ENTRIES.c.id)
        .order_by(_ENTRIES.c.position)
        .limit(_PAGE)
    )
    while rows := session().execute(page.where(_ENTRIES.c.position >= begins)).all():
        yield from rows
        begins = rows[-1].position + 1


def _forged(checkpoint: Checkpoint) -> str:
    return f"the checkpoint of {checkpoint.at:%d %B %Y %H:%M} does not bear our signature"


def _alone() -> bool:
    """Whether nobody else is sealing; holds until the transaction ends. SQLite has one writer in any case."""
    if session().get_bind().dialect.name != "postgresql":
        return True
    return bool(session().scalar(select(func.pg_try_advisory_xact_lock(_LOCK))))
