"""Pages of a collection and of what changed in it, as a partner may see them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import structs
from sqlalchemy import Connection

from clients.xporter import cursors, storage
from clients.xporter.cursors import Place
from clients.xporter.fields import Filter, FilteredRecord
from clients.xporter.storage import Collection, Record, School

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100
DECODED_AT_ONCE: Final = 100
"""Records of a stream that are decoded together."""


@dataclass(frozen=True)
class View:
    """What one partner may see of one collection of one school."""

    school: School
    collection: str
    members: frozenset[str]
    filter: Filter
    """Passes these members."""
    client_id: str
    scopes: frozenset[str]
    """The granted scopes that name a member of any collection."""
    state: Collection | None
    """None if the collection was never received."""

    @property
    def version(self) -> int:
        """Of the newest change in the collection."""
        return self.state.version if self.state else 0

    @property
    def total(self) -> int:
        """How many records there are."""
        return self.state.total if self.state else 0

    @cached_property
    def bound_to(self) -> bytes:
        """What its cursors are good for."""
        parts = [self.client_id, " ".join(sorted(self.scopes)), self.collection, " ".join(sorted(self.members))]
        return "\0".join(parts).encode()

    def cursor(self, place: Place) -> str:
        """The cursor of a place in this view."""
        return cursors.write(place, self.school, self.bound_to)

    def place(self, cursor: str) -> Place:
        """The place of a cursor. Raises `Problem`."""
        return cursors.read(cursor, self.school, self.bound_to)

    def beginning(self) -> Place:
        """The place at which a listing begins."""
        return Place(self.collection, "listing", self.school.version)


@dataclass(frozen=True, slots=True)
class Page:
    """Records, and where to go on."""

    records: list[FilteredRecord]
    next: str | None
    """The cursor of the next page; None on the last."""
    delta: str | None
    """The cursor from which changes are read later; None where the listing was narrowed."""
    deleted: list[str] | None = None
    """The ids of records that are gone, in a page of changes."""

    @property
    def count(self) -> int:
        """The number of records in it, deleted ones included."""
        return len(self.records) + len(self.deleted or ())


def read(connection: Connection, view: View, place: Place, limit: int) -> Page:
    """The page at a place."""
    return (
        _changes(connection, view, place, limit) if place.kind == "changes" else _list(connection, view, place, limit)
    )


def stream(connection: Connection, view: View, place: Place) -> Iterator[FilteredRecord]:
    """All records from a place in a listing, without holding them in memory."""
    records = storage.stream(
        connection, view.school.id, view.collection, student=place.student, date_from=place.date_from,
        date_to=place.date_to,
    )  # fmt: skip
    return (record for batch in _filtered(view.filter, records) for record in batch)


def stream_all(
    connection: Connection, school: School, collection: str, member_filter: Filter
) -> Iterator[dict[str, Any]]:
    """All records of a collection as dictionaries, with what the filter lets pass."""
    for batch in _filtered(member_filter, storage.stream(connection, school.id, collection)):
        yield from msgspec.to_builtins(batch)


def _filtered(member_filter: Filter, records: Iterator[Record]) -> Iterator[list[FilteredRecord]]:
    while batch := list(islice(records, DECODED_AT_ONCE)):
        yield member_filter.apply_all(batch)


def delta_after(view: View, place: Place) -> str | None:
    """The cursor of the changes since a listing began."""
    if place.student or place.date_from or place.date_to:
        return None
    return view.cursor(Place(view.collection, "changes", place.version))


def _list(connection: Connection, view: View, place: Place, limit: int) -> Page:
    rows = storage.page(
        connection, view.school.id, view.collection, after=place.after, limit=limit + 1, student=place.student,
        date_from=place.date_from, date_to=place.date_to,
    )  # fmt: skip
    shown = rows[:limit]
    more = view.cursor(structs.replace(place, after=shown[-1][0])) if len(rows) > limit else None
    return Page(view.filter.apply_all(shown), more, delta_after(view, place))


def _changes(connection: Connection, view: View, place: Place, limit: int) -> Page:
    """A page of changes: what was added or changed as it is now, and the ids of what is gone.

    At its end the next changes are read from the version at which this was read, or from the last one shown.
    """
    records = storage.changes(connection, view.school.id, view.collection, since=place.version, limit=limit + 1)
    shown, is_last = records[:limit], len(records) <= limit
    reached = max(view.school.version, place.version) if is_last else shown[-1].version
    cursor = view.cursor(Place(view.collection, "changes", reached))
    present = [record for record in shown if record.data is not None]
    deleted = [record.id for record in shown if record.data is None]
    return Page(view.filter.apply_all(present), None if is_last else cursor, cursor, deleted)
