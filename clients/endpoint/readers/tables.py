"""How rows become records: the module of an MIS declares its tables, and `TableReader` reads them.

A `Table` makes a collection of the rows of one source. Where the MIS has the items of a list in rows of their own (a
class's members, a contact's pupils), a `Gather` collects them.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from .. import values
from ..records import MAX_ITEMS, MAX_KEY_LENGTH, MAX_OTHER_ITEMS, REQUIRED, Problems, Record, UnreadableReport
from ..values import Converter, InvalidValue, RepairedValue


class Missing:
    """The type of `MISSING`, which stands for a value whose column or member is absent."""


MISSING: Final = Missing()
Row = Mapping[str, Any]
"""The values of a row by column; for JSON, by the path of the member (`person.legalFirstName`)."""
ITEMS_KEPT: Final = "; what was sent of it before stays"
RECORD_KEPT: Final = "; what was sent under its key before stays"
"""Of a row whose values may be in the wrong columns, so that the key may be another one's."""


class Damaged(dict[str, Any]):
    """A row of which only the key is used: its values may be in the wrong columns."""


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a record, and the column with its value."""

    member: str
    column: str
    convert: Converter = values.text
    is_optional: bool = False
    """Whether a part of a key may be empty."""


@dataclass(frozen=True, slots=True)
class Gather:
    """Rows of another report, each of which adds an item to a list of a record."""

    member: str
    source: str
    owner: str
    """The column with the key of the record that the list belongs to."""
    fields: tuple[Field, ...]
    """If it is one field without a member's name, the items are its values; otherwise they are objects."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of `source`, as records."""

    source: str
    key: tuple[Field, ...]
    """The columns that make the key, joined by a bar; of a key that is too long, the first and a digest of all."""
    fields: tuple[Field, ...]
    gathers: tuple[Gather, ...] = ()
    repeats: bool = False
    """Whether rows may share a key. The first one is taken; the others are problems unless this is set."""
    is_derived: bool = False
    """Whether rows are about something else, such as pupils, and may have no key: not every pupil has a house."""
    combine: Callable[[dict[str, Any]], dict[str, Any]] = lambda data: data
    """Combines members from several columns, such as forename and surname, into one."""


class Source(Protocol):
    """Where rows come from."""

    def rows(self, source: str, problems: Problems) -> Iterator[tuple[int, Row]]:
        """The rows of a source with their numbers. Raises `UnreadableReport`."""
        ...

    def name(self, source: str) -> str:
        """The source's name for a person: the name of the file, say."""
        ...

    @property
    def has_headings(self) -> bool:
        """Whether every row has every column. In JSON, members without a value may be left out."""
        ...


@dataclass(frozen=True, slots=True)
class TableReader:
    """A reader of an MIS whose collections are declared as tables."""

    source: Source
    tables: Mapping[str, Table]

    def read(self, collection: str, problems: Problems) -> Iterator[Record]:
        """See `Reader.read`."""
        table = self.tables[collection]
        gathered = [(gather, *self._gather(gather, problems)) for gather in table.gathers]
        seen: set[str] = set()
        unreadable: dict[str, int] = {}
        name, is_checked = self.source.name(table.source), not self.source.has_headings
        for number, row in self.source.rows(table.source, problems):
            if not is_checked:
                _check_columns(table, collection, row, name, problems)
                is_checked = True
            is_damaged = isinstance(row, Damaged)
            is_key_optional = is_damaged or table.is_derived
            key = _key(table.key, row, name, number, Problems() if is_key_optional else problems)
            if key is None:
                continue
            if key in seen:
                if not (table.repeats or is_damaged):
                    problems.add(name, number, table.key[0].column, "is there twice; the first one was taken")
                continue
            data = None if is_damaged else _data(table, REQUIRED[collection], row, name, number, problems)
            if data is None or any(key in incomplete for _, _, incomplete in gathered):
                unreadable.setdefault(key, number)
                continue
            seen.add(key)
            for gather, items, _ in gathered:
                if key in items:
                    data[gather.member] = items.pop(key)
            _limit_lists(collection, data, name, number, problems)
            yield Record(key, data, name, number)
        yield from (Record(key, None, name, number) for key, number in unreadable.items() if key not in seen)

    def _gather(self, gather: Gather, problems: Problems) -> tuple[dict[str, list[Any]], set[str]]:
        """The items by the key of their owner, and the owners of which an item cannot be read."""
        items: dict[str, list[Any]] = {}
        incomplete: set[str] = set()
        name, is_plain = self.source.name(gather.source), not gather.fields[0].member
        owner = (Field("", gather.owner),)
        for number, row in self.source.rows(gather.source, problems):
            is_damaged = isinstance(row, Damaged)
            key = _key(owner, row, name, number, Problems() if is_damaged else problems)
            if key is None:
                continue
            if is_damaged:
                incomplete.add(key)
                continue
            item: Any
            if is_plain:
                item = _value(gather.fields[0], row, name, number, problems)
                new = item if isinstance(item, list) else [item]
            else:
                item = _convert(gather.fields, row, name, number, problems)
                new = [item] if gather.fields[0].member in item else [None]
            if new == [None]:
                problems.add(
                    name, number, gather.fields[0].column, f"is missing, so this row was left out{RECORD_KEPT}"
                )
                incomplete.add(key)
                continue
            existing = items.setdefault(key, [])
            existing += [value for value in new if value not in existing]
        return items, incomplete


def full_name(data: dict[str, Any]) -> dict[str, Any]:
    """The members with `forename` and `surname` combined into one name."""
    parts = [data.pop(part) for part in ("forename", "surname") if part in data]
    return {"name": " ".join(parts), **data} if parts else data


def _check_columns(table: Table, collection: str, row: Row, name: str, problems: Problems) -> None:
    """Report missing columns. Raises `UnreadableReport` if one of them is required."""
    needed = {field.column for field in table.key}
    needed |= {field.column for field in table.fields if field.member in REQUIRED[collection]}
    if missing := sorted(needed - row.keys()):
        raise UnreadableReport(
            f"{name} has no column {', '.join(missing)}. Check the report's columns, and export it again."
        )
    for column in sorted({field.column for field in table.fields} - row.keys()):
        problems.add(name, 1, column, "is not among the columns, so it is not known for any row")


def _key(fields: tuple[Field, ...], row: Row, name: str, number: int, problems: Problems) -> str | None:
    parts = []
    for field in fields:
        value = _value(field, row, name, number, problems)
        if value is None and not field.is_optional:
            problems.add(name, number, field.column, "is missing, so this row was left out")
            return None
        parts.append("" if value is None else str(value))
    key = "|".join(parts)
    if len(key) > MAX_KEY_LENGTH and len(parts) > 1:  # the name of an assessment may be long
        key = f"{parts[0]}|{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    if len(key) > MAX_KEY_LENGTH:
        problems.add(name, number, fields[0].column, f"is longer than {MAX_KEY_LENGTH} characters; row left out")
        return None
    return key


def _data(
    table: Table, required: frozenset[str], row: Row, name: str, number: int, problems: Problems
) -> dict[str, Any] | None:
    """The members of the record in this row; None if a required one is missing."""
    data = table.combine(_convert(table.fields, row, name, number, problems))
    if missing := sorted(required - data.keys()):
        columns = [field.column for field in table.fields if field.member in missing] or missing
        problems.add(name, number, ", ".join(columns), f"is missing, so this row was left out{ITEMS_KEPT}")
        return None
    return data


def _limit_lists(collection: str, data: dict[str, Any], name: str, number: int, problems: Problems) -> None:
    for member, value in data.items():
        most = MAX_ITEMS.get(f"{collection}.{member}", MAX_OTHER_ITEMS)
        if isinstance(value, list) and len(value) > most:
            problems.add(name, number, member, f"has more than {most} items; the first {most} were taken")
            data[member] = value[:most]


def _convert(fields: tuple[Field, ...], row: Row, name: str, number: int, problems: Problems) -> dict[str, Any]:
    data = {}
    for field in fields:
        value = _value(field, row, name, number, problems)
        if value is not None:
            data[field.member] = value
    return data


def _value(field: Field, row: Row, name: str, number: int, problems: Problems) -> Any:
    value = row.get(field.column, MISSING)
    if value is MISSING:
        return None
    try:
        return field.convert(value)
    except RepairedValue as repaired:
        problems.add(name, number, field.column, str(repaired))
        return repaired.value
    except InvalidValue as error:
        problems.add(name, number, field.column, f"{error}, so it was left out")
        return None
