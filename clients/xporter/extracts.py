"""Receiving extracts: announced, sent in pieces, checked, and applied or refused.

What two requests could decide at once is decided by one UPDATE, conditional on the expected state and offset. Received
bytes are in the database, so any process can continue after another was killed.
"""

import hashlib
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Final

from sqlalchemy import Connection, Row, and_, case, delete, func, insert, or_, select, update

from clients.xporter.database import Database, insert_once
from clients.xporter.problems import Problem
from clients.xporter.tables import extracts, pieces, schools

MAX_BYTES: Final = 100_000_000
MAX_PIECE_BYTES: Final = 4 << 20
MAX_PIECES: Final = 2_000
MAX_UNFINISHED: Final = 3
"""How many unfinished extracts a school may have; a further one replaces the oldest."""
MAX_FINISHED: Final = 50
"""How many finished extracts of a school are kept, with their results."""
MAX_AHEAD_SECONDS: Final = 900
"""How far the endpoint's clock may be ahead. An extract with a later date would make all after it seem older."""
CLAIM_SECONDS: Final = 120
UNFINISHED: Final = ("receiving", "checking")


@dataclass(frozen=True, slots=True)
class Announcement:
    """The announcement of an extract, which an endpoint sends before its bytes."""

    id: str
    mis: str
    bytes: int
    sha256: str
    made_at: float

    @classmethod
    def read(cls, document: Any, now: float) -> "Announcement":
        """The announcement, checked. Raises `Problem`."""
        if not isinstance(document, dict):
            raise Problem("invalid_request", "The body must be a JSON object.")
        extract_id, mis = document.get("id"), document.get("mis")
        if not isinstance(extract_id, str) or not _is_uuid(extract_id):
            raise Problem("invalid_request", "id must be a UUID in its usual form, in small letters.")
        if not isinstance(mis, str) or not 0 < len(mis) <= 40 or not mis.isascii() or not mis.isprintable():
            raise Problem("invalid_request", "mis must be the code of the school's system.")
        size, sha256 = document.get("bytes"), document.get("sha256")
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise Problem("invalid_request", "bytes must be the size of the file.")
        if size > MAX_BYTES:
            raise Problem("too_large", f"An extract has at most {MAX_BYTES} bytes.", max_bytes=MAX_BYTES)
        if not isinstance(sha256, str) or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise Problem("invalid_request", "sha256 must be the SHA-256 of the file in hexadecimal, in small letters.")
        made_at = parse_time(document.get("made_at"))
        if made_at > now + MAX_AHEAD_SECONDS:
            detail = "made_at is in the future. Is the clock of the endpoint right?"
            raise Problem("invalid_request", detail, server_time=format_time(now))
        return cls(extract_id, mis, size, sha256, made_at)


class Extract:
    """The row of an extract, typed."""

    def __init__(self, row: Row[Any]) -> None:
        self.school_id, self.id, self.state = int(row.school_id), str(row.id), str(row.state)
        self.bytes, self.sha256, self.offset = int(row.bytes), str(row.sha256), int(row.offset)
        self.mis, self.made_at, self.applied_at = str(row.mis), float(row.made_at), row.applied_at
        self.counts, self.problems, self.refusal = row.counts, row.problems, row.refusal
        self.attempts = int(row.attempts)


def announce(database: Database, estab_id: str, announcement: Announcement, now: float) -> tuple[Extract, bool]:
    """The extract, and whether it is new. Raises `Problem` if its id stands for another file."""
    with database.write() as connection:
        school = {"estab_id": estab_id, "epoch": uuid.uuid4().hex, "version": 0, "forgotten_version": 0}
        insert_once(connection, schools, school | {"created_at": now})
        school_id = connection.execute(
            select(schools.c.id).where(schools.c.estab_id == estab_id).with_for_update()
        ).scalar_one()
        if (extract := _find(connection, school_id, announcement.id)) is not None:
            if (extract.bytes, extract.sha256) != (announcement.bytes, announcement.sha256):
                raise Problem("conflict")
            return extract, False
        _drop_surplus(connection, school_id)
        row = {
            "school_id": school_id, "id": announcement.id, "state": "receiving", "mis": announcement.mis,
            "bytes": announcement.bytes, "sha256": announcement.sha256, "made_at": announcement.made_at, "offset": 0,
            "created_at": now, "changed_at": now, "claimed_until": 0.0, "attempts": 0, "counts": {}, "problems": [],
        }  # fmt: skip
        connection.execute(insert(extracts).values(row))
        created = _find(connection, school_id, announcement.id)
    assert created is not None
    return created, True


def add_piece(database: Database, estab_id: str, extract_id: str, offset: int, data: bytes, now: float) -> Extract:
    """Append the bytes; a piece that was received before changes nothing. Raises `Problem`."""
    with database.write() as connection:
        extract = _find_row(connection, estab_id, extract_id)
        end = offset + len(data)
        if end > extract.bytes:
            raise Problem("invalid_request", "These are more bytes than were announced.", offset=extract.offset)
        is_extract = and_(extracts.c.school_id == extract.school_id, extracts.c.id == extract_id)
        added = connection.execute(
            update(extracts)
            .where(is_extract, extracts.c.state == "receiving", extracts.c.offset == offset)
            .values(offset=end, changed_at=now, state="checking" if end == extract.bytes else "receiving")
        )
        if added.rowcount == 1:
            _store(connection, extract, offset, data)
        elif not _was_received(connection, extract, offset, data):
            current = _find_row(connection, estab_id, extract_id)
            raise Problem("offset_mismatch", offset=current.offset, state=current.state)
        return _find_row(connection, estab_id, extract_id)


def find(database: Database, estab_id: str, extract_id: str) -> Extract:
    """The extract. Raises `Problem`."""
    with database.read() as connection:
        return _find_row(connection, estab_id, extract_id)


def delete_all(database: Database, estab_id: str) -> bool:
    """Delete everything that is stored of the school; returns whether there was anything."""
    with database.write() as connection:
        return connection.execute(delete(schools).where(schools.c.estab_id == estab_id)).rowcount > 0


# For the worker


def claim(database: Database, now: float, *, free_since: float) -> Extract | None:
    """An extract that is to be checked, claimed for `CLAIM_SECONDS`; None if no claim of one ended by `free_since`."""
    with database.write() as connection:
        waiting = and_(extracts.c.state == "checking", extracts.c.claimed_until <= free_since)
        row = connection.execute(select(extracts).where(waiting).order_by(extracts.c.changed_at).limit(1)).one_or_none()
        if row is None:
            return None
        is_claimable = and_(extracts.c.school_id == row.school_id, extracts.c.id == row.id, waiting)
        values = {"claimed_until": now + CLAIM_SECONDS, "attempts": extracts.c.attempts + 1}
        if connection.execute(update(extracts).where(is_claimable).values(values)).rowcount == 0:
            return None
        return _find(connection, row.school_id, row.id)


def release(database: Database, extract: Extract, until: float, *, count: bool = True) -> None:
    """Let the extract be claimed again from `until` on; without `count` this attempt is not counted."""
    values: dict[str, Any] = {"claimed_until": until}
    if not count:
        values["attempts"] = case((extracts.c.attempts > 0, extracts.c.attempts - 1), else_=0)
    with database.write() as connection:
        connection.execute(update(extracts).where(_is_checking(extract)).values(values))


def release_all(database: Database) -> None:
    """Release all claims, at the start of a process: the one before it may have been killed."""
    with database.write() as connection:
        connection.execute(update(extracts).where(extracts.c.state == "checking").values(claimed_until=0.0))


def finish(connection: Connection, extract: Extract, **values: Any) -> bool:
    """Store the result, and delete the bytes; False if the extract is no longer being checked."""
    if connection.execute(update(extracts).where(_is_checking(extract)).values(values)).rowcount == 0:
        return False
    conditions = pieces.c.school_id == extract.school_id, pieces.c.extract_id == extract.id
    connection.execute(delete(pieces).where(*conditions))
    return True


@contextmanager
def file_of(database: Database, extract: Extract) -> Iterator[tuple[IO[bytes], str]]:
    """The whole file, which is gone after the block or with the process, and the SHA-256 of its content."""
    digest = hashlib.sha256()
    conditions = pieces.c.school_id == extract.school_id, pieces.c.extract_id == extract.id
    with tempfile.TemporaryFile() as file:
        offset = 0
        while True:  # a transaction for each piece: a long one would keep the database from tidying up
            with database.read() as connection:
                data = connection.execute(select(pieces.c.data).where(*conditions, pieces.c.offset == offset)).scalar()
            if data is None:
                break
            digest.update(data)
            file.write(data)
            offset += len(data)
        yield file, digest.hexdigest()


def parse_time(text: object) -> float:
    """A time in ISO 8601 with its offset from UTC, in seconds since 1970. Raises `Problem`."""
    try:
        moment = datetime.fromisoformat(text if isinstance(text, str) else "")
        seconds = moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        seconds = None
    if seconds is None:
        raise Problem("invalid_request", "made_at must be a time such as 2026-11-29T06:00:00Z.")
    return seconds


def format_time(seconds: float) -> str:
    """A time, in seconds since 1970, in ISO 8601 and UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _find_row(connection: Connection, estab_id: str, extract_id: str) -> Extract:
    joined = extracts.join(schools, schools.c.id == extracts.c.school_id)
    conditions = schools.c.estab_id == estab_id, extracts.c.id == extract_id
    row = connection.execute(select(extracts).select_from(joined).where(*conditions)).one_or_none()
    if row is None:
        raise Problem("not_found", "There is no such extract. It may have been replaced by a newer one.")
    return Extract(row)


def _find(connection: Connection, school_id: int, extract_id: str) -> Extract | None:
    conditions = extracts.c.school_id == school_id, extracts.c.id == extract_id
    row = connection.execute(select(extracts).where(*conditions)).one_or_none()
    return Extract(row) if row else None


def _is_checking(extract: Extract) -> Any:
    return and_(
        extracts.c.school_id == extract.school_id, extracts.c.id == extract.id, extracts.c.state == "checking"
    )  # fmt: skip


def _store(connection: Connection, extract: Extract, offset: int, data: bytes) -> None:
    conditions = pieces.c.school_id == extract.school_id, pieces.c.extract_id == extract.id
    if connection.execute(select(func.count()).select_from(pieces).where(*conditions)).scalar_one() >= MAX_PIECES:
        raise Problem("invalid_request", "The pieces are too small.", max_piece_bytes=MAX_PIECE_BYTES)
    row: Mapping[str, Any] = {"school_id": extract.school_id, "extract_id": extract.id, "offset": offset, "data": data}
    connection.execute(insert(pieces).values(row))


def _was_received(connection: Connection, extract: Extract, offset: int, data: bytes) -> bool:
    """Whether this piece was received before, and only its response was lost.

    After the check, its bytes are deleted, and only its offset is compared.
    """
    if extract.state not in UNFINISHED:
        return offset + len(data) <= extract.offset
    conditions = pieces.c.school_id == extract.school_id, pieces.c.extract_id == extract.id, pieces.c.offset == offset
    return connection.execute(select(pieces.c.data).where(*conditions)).scalar() == data


def _drop_surplus(connection: Connection, school_id: int) -> None:
    """Delete the oldest extracts, so that there is room for another one."""
    for states, limit in ((UNFINISHED, MAX_UNFINISHED - 1), (("applied", "refused"), MAX_FINISHED)):
        conditions = extracts.c.school_id == school_id, extracts.c.state.in_(states)
        newest_first = extracts.c.created_at.desc(), extracts.c.id
        surplus = connection.scalars(
            select(extracts.c.id).where(*conditions).order_by(*newest_first).offset(limit)
        ).all()
        if surplus:
            connection.execute(delete(extracts).where(extracts.c.school_id == school_id, extracts.c.id.in_(surplus)))


def drop_old(connection: Connection, *, unfinished_before: float, finished_before: float) -> int:
    """Delete extracts that did not arrive in time, and old results; returns how many."""
    receiving = and_(extracts.c.state == "receiving", extracts.c.changed_at < unfinished_before)
    finished = and_(extracts.c.state.in_(("applied", "refused")), extracts.c.changed_at < finished_before)
    return connection.execute(delete(extracts).where(or_(receiving, finished))).rowcount


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
