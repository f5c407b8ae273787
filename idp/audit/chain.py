"""The hash chain of the audit log: each link covers its entry and the link before it, so tampering is detected.

A link is an HMAC by a key derived from the sealing key: access to the database alone is not enough to create one.
Requests insert entries unchained, because chaining there would queue all of them behind one row (performance.md §2);
the worker calls `seal` every second. Two things cannot be detected: changes to an entry before it is sealed, and
removing entries after the newest checkpoint that left the machine. That is why sealing is frequent, and why
checkpoints (`checkpoints`) are exported.

A chain that began before links were keyed has plain SHA-256 links at its start. They are accepted up to a signed
checkpoint, and only before the first keyed link; `seal` signs a checkpoint where they end.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, cast

import structlog
from sqlalchemy import Table, bindparam, func, select, update

from idp.audit import checkpoints
from idp.audit.log import canonical, salted
from idp.audit.models import Checkpoint, Details, Entry
from idp.foundation import crypto, dates, runtime
from idp.foundation.database import connection, session
from idp.foundation.queries import Query
from idp.foundation.web.transactions import TransactionFactory

FIRST_LINK: Final = bytes(32)
"""The link before the first entry."""

_ENTRIES: Final = cast("Table", Entry.__table__)
_DETAILS: Final = cast("Table", Details.__table__)
_PAGE_SIZE: Final = 1000
_LOCK_ID: Final = 7_203_118
"""The id of PostgreSQL's advisory lock for sealing: an arbitrary number, used only here."""


class EntryRow(NamedTuple):
    """An entry, as its link covers it."""

    id: int
    at: datetime
    event: str
    actor: str
    estab: str | None
    client: str | None
    subject: str | None
    facts: dict[str, Any]
    details_digest: bytes | None


class SealedRow(NamedTuple):
    """An entry of the chain, with its details if they were not erased."""

    entry: EntryRow
    position: int
    chained: bytes
    salt: bytes | None
    details: dict[str, Any] | None


_ENTRY = tuple(_ENTRIES.c[name] for name in EntryRow._fields)
_UNSEALED_IDS = select(_ENTRIES.c.id).where(_ENTRIES.c.position.is_(None)).order_by(_ENTRIES.c.id)
_UNSEALED: Final = Query(
    EntryRow, select(*_ENTRY).where(_ENTRIES.c.position.is_(None)).order_by(_ENTRIES.c.id).limit(bindparam("limit"))
)
_BY_ID: Final = Query(EntryRow, select(*_ENTRY).where(_ENTRIES.c.id == bindparam("by_id")))
_SEALED: Final = Query(
    SealedRow,
    select(*_ENTRY, _ENTRIES.c.position, _ENTRIES.c.chained, _DETAILS.c.salt, _DETAILS.c.said.label("details"))
    .outerjoin(_DETAILS, _DETAILS.c.entry_id == _ENTRIES.c.id)
    .where(_ENTRIES.c.position >= bindparam("begins"))
    .order_by(_ENTRIES.c.position)
    .limit(_PAGE_SIZE),
    not_null=frozenset({"position", "chained"}),
)

LinkKind = Literal["keyed", "plain", "wrong", "unknown"]
"""How an entry is linked to the one before it; `unknown` if that one is missing."""

_log = structlog.get_logger("idp.audit")


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A difference from what was sealed: its position in the chain, the entry (None if missing), and a description."""

    position: int
    entry: int | None
    what: str


class TamperedChain(Exception):
    """The chain differs from what was sealed; `discrepancies` lists where."""

    def __init__(self, discrepancies: list[Discrepancy]) -> None:
        self.discrepancies = discrepancies
        first = discrepancies[0]
        super().__init__(f"{len(discrepancies)} discrepancies, the first at position {first.position}: {first.what}")


@dataclass(slots=True)
class Report:
    """The result of `verify`. `waiting` entries are not sealed yet and were not checked."""

    begins: int
    ends: int = 0
    checked: int = 0
    checkpoints: int = 0
    waiting: int = 0
    discrepancies: list[Discrepancy] = field(default_factory=list)


def seal(limit: int = _PAGE_SIZE) -> int:
    """Add up to `limit` committed entries to the chain; returns how many. Only one worker at a time does it."""
    if not _try_lock():
        return 0
    db_connection, key = connection(), next(_keys())
    position, hash_so_far = end() or (0, FIRST_LINK)
    rows, sealed = _unsealed_entries(limit), []
    if rows and position and _is_unkeyed(position):
        _sign_unkeyed(position, hash_so_far)
    for row in rows:
        position += 1
        hash_so_far = link(hash_so_far, position, row, key)
        sealed.append({"by_id": row.id, "position": position, "chained": hash_so_far})
    if sealed:
        statement = update(_ENTRIES).where(_ENTRIES.c.id == bindparam("by_id"))
        db_connection.execute(statement.values(position=bindparam("position"), chained=bindparam("chained")), sealed)
    return len(sealed)


def _unsealed_entries(limit: int) -> list[EntryRow]:
    """The oldest entries that are not sealed; those that cannot be read are logged and left unsealed."""
    try:
        return _UNSEALED.all(limit=limit)
    except ValueError:  # invalid JSON
        rows = []
        for entry_id in connection().scalars(_UNSEALED_IDS.limit(limit)).all():
            try:
                rows += _BY_ID.all(by_id=entry_id)
            except ValueError as error:
                _log.error("audit entry set aside", row=entry_id, reason=str(error))
        return rows


def checkpoint() -> str | None:
    """Verify the entries since the last checkpoint, and sign the chain's end; returns the line to keep elsewhere.

    None if nothing was added. Raises `TamperedChain` instead of signing a chain that differs from what was sealed.
    """
    last_sealed = end()
    if last_sealed is None or session().get(Checkpoint, last_sealed[0]) is not None:
        return None
    report = verify()
    if report.discrepancies:
        raise TamperedChain(report.discrepancies)
    return checkpoints.write(*last_sealed)


def end() -> tuple[int, bytes] | None:
    """Position and hash of the last sealed entry; None while there is none."""
    statement = select(_ENTRIES.c.position, _ENTRIES.c.chained).where(_ENTRIES.c.position.is_not(None))
    row = session().execute(statement.order_by(_ENTRIES.c.position.desc()).limit(1)).one_or_none()
    return None if row is None else (row.position, row.chained)


def link(before: bytes, position: int, row: EntryRow, key: bytes | None) -> bytes:
    """The link of the entry `row` at `position`, after the link `before`; without a key, a plain SHA-256 link."""
    fields = [
        position, row.id, row.at.isoformat(), row.event, row.actor, row.estab, row.client, row.subject, row.facts,
        row.details_digest.hex() if row.details_digest else None,
    ]  # fmt: skip
    message = before + canonical(fields)
    return hashlib.sha256(message).digest() if key is None else hmac.digest(key, message, "sha256")


def verify(
    *, from_start: bool = False, external: Iterable[Checkpoint] = (), unkeyed_to: int = 0,
    transaction: TransactionFactory = nullcontext,
) -> Report:  # fmt: skip
    """Verify the chain from the newest checkpoint, or from its start, and report every difference.

    `external` are checkpoints kept elsewhere (`checkpoints.parsed`): the walk begins no later than the oldest of
    them, and a chain that was cut off and signed again contradicts them. Each page of entries is read
    in a `transaction` of its own: a long walk in one would keep SQLite's writers waiting. Unkeyed links are good as
    far as the newest checkpoint, or `unkeyed_to`, the position that is about to be signed.
    """
    external_checkpoints = list(external)
    with transaction():
        keys = tuple(_keys())
        stored, forged = checkpoints.stored(all_of_them=from_start or bool(external_checkpoints))
        waiting = session().scalar(select(func.count()).where(_ENTRIES.c.position.is_(None))) or 0
    signed = {checkpoint.position: checkpoint for checkpoint in [*stored, *external_checkpoints]}
    begins = (
        1
        if from_start or not signed
        else min([*(checkpoint.position for checkpoint in external_checkpoints), max(signed)])
    )
    report = Report(begins=begins, checkpoints=len(signed), waiting=waiting)
    report.discrepancies += [Discrepancy(checkpoint.position, None, _forged(checkpoint)) for checkpoint in forged]
    report.discrepancies += _walk(report, signed, keys, max([*signed, unkeyed_to]), transaction)
    report.discrepancies += [
        Discrepancy(
            position,
            None,
            f"cut off: the checkpoint of {dates.day_and_time(checkpoint.at)} contains it, the chain does not",
        )
        for position, checkpoint in sorted(signed.items())
        if position > report.ends
    ]
    return report


def _walk(
    report: Report, signed: Mapping[int, Checkpoint], keys: Sequence[bytes], unkeyed_to: int,
    transaction: TransactionFactory,
) -> Iterator[Discrepancy]:  # fmt: skip
    """Every discrepancy from `report.begins` to the end. After one, it continues with the stored link."""
    expected, before = report.begins, FIRST_LINK if report.begins == 1 else None
    is_keyed = False
    for row in _rows(report.begins, transaction):
        if row.position > expected:
            missing = f"{expected} to {row.position - 1} are" if row.position - 1 > expected else f"{expected} is"
            yield Discrepancy(expected, None, f"missing: {missing} gone from before entry {row.entry.id}")
            before = None
        link_kind = _kind_of_link(before, row, keys)
        is_keyed = is_keyed or link_kind == "keyed"
        if link_kind == "plain" and (is_keyed or row.position > unkeyed_to):
            yield Discrepancy(
                row.position, row.entry.id, "linked without our key: access to the database was enough to do it"
            )
        elif what := _describe_discrepancy(row, link_kind, signed.get(row.position)):
            yield Discrepancy(row.position, row.entry.id, what)
        expected, before = row.position + 1, row.chained
        report.checked += 1
        report.ends = row.position


def _kind_of_link(before: bytes | None, row: SealedRow, keys: Sequence[bytes]) -> LinkKind:
    """How `row` is linked to the link `before` it; unknown if that is missing (None)."""
    if before is None:
        return "unknown"
    if any(crypto.constant_time_compare(link(before, row.position, row.entry, key), row.chained) for key in keys):
        return "keyed"
    return "plain" if link(before, row.position, row.entry, None) == row.chained else "wrong"


def _describe_discrepancy(row: SealedRow, link_kind: LinkKind, signed: Checkpoint | None) -> str | None:
    """What is wrong with one entry."""
    if link_kind == "wrong":
        return "altered, moved, or put in: the entry is not what was sealed at this place"
    if signed is not None and signed.chained != row.chained:
        return f"sealed anew: the checkpoint of {dates.day_and_time(signed.at)} has another hash here"
    if row.salt is not None and salted(row.salt, row.details) != row.entry.details_digest:
        return "altered: its details are not those that were recorded"
    return None


def _rows(begins: int, transaction: TransactionFactory) -> Iterator[SealedRow]:
    """The sealed entries with their details, in the order of the chain, a page at a time."""
    while True:
        with transaction():
            rows = _SEALED.all(begins=begins)
        if not rows:
            return
        yield from rows
        begins = rows[-1].position + 1


def _is_unkeyed(position: int) -> bool:
    """Whether the entry at `position`, the last one, was linked before links were keyed."""
    *before, row = _SEALED.all(begins=position - 1)
    return _kind_of_link(before[0].chained if before else FIRST_LINK, row, tuple(_keys())) == "plain"


def _sign_unkeyed(position: int, chained: bytes) -> None:
    """Sign a checkpoint, once, where the unkeyed links end; not if the chain was changed, which `verify` reports."""
    if session().get(Checkpoint, position) is not None:
        return
    if verify(from_start=True, unkeyed_to=position).discrepancies:
        _log.error("audit chain not signed", reason="it is not as it was sealed: see idp audit verify --from-start")
        return
    _log.warning("audit links are keyed from now on", checkpoint=checkpoints.write(position, chained))


def _keys() -> Iterator[bytes]:
    """The keys of links, from the sealing keys: the first one links, all of them verify."""
    return (crypto.hmac_sha256(key, "audit link") for key in runtime.settings().secrets.sealing.values())


def _forged(checkpoint: Checkpoint) -> str:
    return f"the checkpoint of {dates.day_and_time(checkpoint.at)} does not bear our signature"


def _try_lock() -> bool:
    """Take the lock for sealing if it is free, until the transaction ends. SQLite has one writer in any case."""
    if session().get_bind().dialect.name != "postgresql":
        return True
    return bool(session().scalar(select(func.pg_try_advisory_xact_lock(_LOCK_ID))))
