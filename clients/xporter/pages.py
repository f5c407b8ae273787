"""Pages of a collection and of what changed in it, as a partner may see them."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import structs

from clients.xporter import cursors, storage
from clients.xporter.cursors import Position
from clients.xporter.fields import Filter, FilteredRecord, Grant
from clients.xporter.snapshots import Snapshot
from clients.xporter.storage import Collection, Rows, School

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100


class View(NamedTuple):
    """What one partner may see of one collection of one school."""

    school: School
    collection: str
    grant: Grant
    client_id: str
    state: Collection | None
    """None if the collection was never received."""

    @property
    def version(self) -> int:
        """The version of the newest change in the collection."""
        return self.state.version if self.state else 0

    @property
    def total(self) -> int:
        """How many records there are."""
        return self.state.total if self.state else 0

    @property
    def bound_to(self) -> bytes:
        """What its cursors are bound to: client, scopes, collection and members."""
        return self.client_id.encode() + b"\0" + self.grant.text

    def cursor(self, position: Position) -> str:
        """The cursor of a position in this view."""
        return cursors.write(position, self.school, self.bound_to)


class Page(NamedTuple):
    """Records, and the cursors from which to read on."""

    records: list[FilteredRecord]
    next: str | None
    """The cursor of the next page; None on the last."""
    delta: str | None
    """The cursor from which later changes are read; None if the listing was narrowed."""
    deleted: list[str] | None = None
    """The ids of records that are gone, in a page of changes."""

    @property
    def size(self) -> int:
        """The number of records in it, deleted ones included."""
        return len(self.records) + len(self.deleted or ())


def build(view: View, position: Position, rows: Rows, limit: int) -> Page:
    """The page at a position, from its rows: `limit` of them, and one more if there is a next page."""
    return _changes(view, position, rows, limit) if position.kind == "changes" else _list(view, position, rows, limit)


def stream(connection: Snapshot, view: View, position: Position) -> Iterator[list[FilteredRecord]]:
    """All records from a position in a listing, in batches, without holding them in memory."""
    narrowed = {"student": position.student, "date_from": position.date_from, "date_to": position.date_to}
    for rows in storage.pages(connection, view.school.id, view.collection, **narrowed):
        yield view.grant.filter.apply_all(rows)


def stream_all(
    connection: Snapshot, school: School, collection: str, member_filter: Filter
) -> Iterator[dict[str, Any]]:
    """All records of a collection as dictionaries, with what the filter lets pass."""
    for rows in storage.pages(connection, school.id, collection):
        yield from msgspec.to_builtins(member_filter.apply_all(rows))


def delta_after(view: View, position: Position) -> str | None:
    """The cursor of the changes since a listing began."""
    if position.student or position.date_from or position.date_to:
        return None
    return view.cursor(Position(view.collection, "changes", position.version))


def _list(view: View, position: Position, rows: Rows, limit: int) -> Page:
    more = None
    if len(rows.ids) > limit:
        more = view.cursor(structs.replace(position, after=rows.ids[limit - 1]))
    return Page(view.grant.filter.apply_all(rows)[:limit], more, delta_after(view, position))


def _changes(view: View, position: Position, rows: Rows, limit: int) -> Page:
    """A page of changes: what was added or changed as it is now, and the ids of what is gone.

    At its end the next changes are read from the version at which this was read, or from the last one shown.
    """
    is_last = len(rows.ids) <= limit
    reached = max(view.school.version, position.version) if is_last else rows.versions[limit - 1]
    cursor = view.cursor(Position(view.collection, "changes", reached))
    shown = view.grant.filter.apply_all(rows)[:limit]
    deleted = [record_id for record_id, record in zip(rows.ids, shown, strict=False) if record is None]
    present = [record for record in shown if record is not None]
    return Page(present, None if is_last else cursor, cursor, deleted)
