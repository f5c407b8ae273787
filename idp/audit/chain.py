"""The chain over the entries: each link covers its entry and the link before it, so that tampering shows.

A link is an HMAC by a key derived from the sealing key: access to the database alone is not enough to make one.
Requests insert entries unchained, because chaining there would queue them all behind one row (performance.md §2). The
worker calls `seal` every second. Two things cannot be seen: what is done to an entry before it is sealed, and cutting
off the end behind the newest checkpoint that left the machine. That is why sealing is quick, and why checkpoints
(`checkpoints`) are exported.

A chain begun before links were keyed has plain SHA-256 links at its start. They are good as far as a signed
checkpoint reaches, and only before the first keyed one; `seal` signs where they end before it goes on keyed.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import structlog
from sqlalchemy import Row, Select, Table, bindparam, func, select, update

from idp.audit import checkpoints
from idp.audit.log import canonical, salted
from idp.audit.models import Checkpoint, Details, Entry
from idp.foundation import crypto, dates, runtime
from idp.foundation.database import connection, session

BEGINNING: Final = bytes(32)
"""What stands before the first entry."""

_ENTRIES: Final = cast("Table", Entry.__table__)
_DETAILS: Final = cast("Table", Details.__table__)
_PAGE: Final = 1000
_LOCK: Final = 7_203_118
"""PostgreSQL's advisory lock for sealing; any number that is used for nothing else."""


LinkKind = Literal["keyed", "plain", "wrong", "unknown"]
"""How an entry is linked to the one before it; unknown where that one is missing."""

_log = structlog.get_logger("idp.audit")


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
    here, key = connection(), next(_keys())
    position, chained = end() or (0, BEGINNING)
    rows, sealed = _waiting(most), []
    if rows and position and _is_unkeyed(position):
        _sign_unkeyed(position, chained)
    for row in rows:
        position += 1
        chained = link(chained, position, row, key)
        sealed.append({"its_id": row.id, "position": position, "chained": chained})
    if sealed:
        its_place = update(_ENTRIES).where(_ENTRIES.c.id == bindparam("its_id"))
        here.execute(its_place.values(position=bindparam("position"), chained=bindparam("chained")), sealed)
    return len(sealed)


def _waiting(most: int) -> list[Row[Any]]:
    """The oldest entries that are not sealed; those that cannot be read stay where they are, and the log says so."""
    unsealed = select(_ENTRIES).where(_ENTRIES.c.position.is_(None)).order_by(_ENTRIES.c.id).limit(most)
    here = connection()
    try:
        return list(here.execute(unsealed).all())
    except ValueError:  # JSON that is none
        rows = []
        for entry_id in here.scalars(unsealed.with_only_columns(_ENTRIES.c.id)).all():
            try:
                rows.append(here.execute(select(_ENTRIES).where(_ENTRIES.c.id == entry_id)).one())
            except ValueError as fault:
                _log.error("audit entry set aside", row=entry_id, because=str(fault))
        return rows


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


def link(before: bytes, position: int, row: Row[Any], key: bytes | None) -> bytes:
    """The link of the entry `row` at `position`, after the link `before`; without a key, as it was before keys."""
    said = [
        position, row.id, row.at.isoformat(), row.event, row.actor, row.estab, row.client, row.subject, row.facts,
        row.details_digest.hex() if row.details_digest else None,
    ]  # fmt: skip
    covered = before + canonical(said)
    return hashlib.sha256(covered).digest() if key is None else hmac.digest(key, covered, "sha256")


def verify(
    *, from_start: bool = False, known: Iterable[Checkpoint] = (), unkeyed_to: int = 0,
    reading: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Report:  # fmt: skip
    """Walk the chain from the newest checkpoint, or from its start, and report whatever is not as it was sealed.

    `known` are checkpoints kept elsewhere (`checkpoints.parsed`): the walk begins no later than the oldest of
    them, and a chain that was cut off and signed anew contradicts them. Each page of entries is read in a `reading`
    of its own: a long walk in one transaction would keep SQLite's writers waiting. Unkeyed links are good as far as
    the newest checkpoint, or `unkeyed_to`, the position that is about to be signed.
    """
    elsewhere = list(known)
    with reading():
        keys = tuple(_keys())
        kept, forged = checkpoints.kept(all_of_them=from_start or bool(elsewhere))
        waiting = session().scalar(select(func.count()).where(_ENTRIES.c.position.is_(None))) or 0
    signed = {each.position: each for each in [*kept, *elsewhere]}
    begins = 1 if from_start or not signed else min([*(each.position for each in elsewhere), max(signed)])
    report = Report(begins=begins, checkpoints=len(signed), waiting=waiting)
    report.faults += [Fault(each.position, None, _forged(each)) for each in forged]
    report.faults += _walk(report, signed, keys, max([*signed, unkeyed_to]), reading)
    report.faults += [
        Fault(
            position,
            None,
            f"cut off: the checkpoint of {dates.day_and_time(each.at)} knows it, the chain has not got it",
        )
        for position, each in sorted(signed.items())
        if position > report.ends
    ]
    return report


def _walk(
    report: Report, signed: Mapping[int, Checkpoint], keys: Sequence[bytes], unkeyed_to: int,
    reading: Callable[[], AbstractContextManager[Any]],
) -> Iterator[Fault]:  # fmt: skip
    """Every fault from `report.begins` to the end. After one, the walk goes on with what is stored there."""
    expected, before = report.begins, BEGINNING if report.begins == 1 else None
    is_keyed = False
    for row in _rows(report.begins, reading):
        if row.position > expected:
            gone = f"{expected} to {row.position - 1} are" if row.position - 1 > expected else f"{expected} is"
            yield Fault(expected, None, f"missing: {gone} gone from before entry {row.id}")
            before = None
        kind = _kind_of_link(before, row, keys)
        is_keyed = is_keyed or kind == "keyed"
        if kind == "plain" and (is_keyed or row.position > unkeyed_to):
            yield Fault(row.position, row.id, "linked without our key: access to the database was enough to do it")
        elif fault := _fault(row, kind, signed.get(row.position)):
            yield Fault(row.position, row.id, fault)
        expected, before = row.position + 1, row.chained
        report.checked += 1
        report.ends = row.position


def _kind_of_link(before: bytes | None, row: Row[Any], keys: Sequence[bytes]) -> LinkKind:
    """How `row` is linked to what stands before it; unknown where that is not known (None)."""
    if before is None:
        return "unknown"
    if any(crypto.same(link(before, row.position, row, key), row.chained) for key in keys):
        return "keyed"
    return "plain" if link(before, row.position, row, None) == row.chained else "wrong"


def _fault(row: Row[Any], kind: LinkKind, signed: Checkpoint | None) -> str | None:
    """What is wrong with one entry."""
    if kind == "wrong":
        return "altered, moved, or put in: the entry is not what was sealed at this place"
    if signed is not None and signed.chained != row.chained:
        return f"sealed anew: the checkpoint of {dates.day_and_time(signed.at)} has another hash here"
    if row.salt is not None and salted(row.salt, row.said) != row.details_digest:
        return "altered: its details are not those that were recorded"
    return None


def _rows(begins: int, reading: Callable[[], AbstractContextManager[Any]]) -> Iterator[Row[Any]]:
    """The sealed entries with their details, in the order of the chain, a page at a time."""
    page: Select[Any] = (
        select(_ENTRIES, _DETAILS.c.salt, _DETAILS.c.said)
        .outerjoin(_DETAILS, _DETAILS.c.entry_id == _ENTRIES.c.id)
        .order_by(_ENTRIES.c.position)
        .limit(_PAGE)
    )
    while True:
        with reading():
            rows = session().execute(page.where(_ENTRIES.c.position >= begins)).all()
        if not rows:
            return
        yield from rows
        begins = rows[-1].position + 1


def _is_unkeyed(position: int) -> bool:
    """Whether the entry at `position`, the last one, was linked before links were keyed."""
    last_two = select(_ENTRIES).where(_ENTRIES.c.position >= position - 1).order_by(_ENTRIES.c.position)
    *before, row = session().execute(last_two).all()
    return _kind_of_link(before[0].chained if before else BEGINNING, row, tuple(_keys())) == "plain"


def _sign_unkeyed(position: int, chained: bytes) -> None:
    """Sign, once, where the unkeyed links end. Not if the chain is not as it was sealed: `verify` reports that."""
    if session().get(Checkpoint, position) is not None:
        return
    if verify(from_start=True, unkeyed_to=position).faults:
        _log.error("audit chain not signed", because="it is not as it was sealed: see idp audit verify --from-start")
        return
    _log.warning("audit links are keyed from now on", checkpoint=checkpoints.write(position, chained))


def _keys() -> Iterator[bytes]:
    """The keys of links, from the sealing keys: the first one links, all of them verify."""
    return (crypto.keyed(key, "audit link") for key in runtime.settings().secrets.sealing.values())


def _forged(checkpoint: Checkpoint) -> str:
    return f"the checkpoint of {dates.day_and_time(checkpoint.at)} does not bear our signature"


def _alone() -> bool:
    """Take the lock for sealing if it is free, until the transaction ends. SQLite has one writer in any case."""
    if session().get_bind().dialect.name != "postgresql":
        return True
    return bool(session().scalar(select(func.pg_try_advisory_xact_lock(_LOCK))))
