"""Records, in the form that is the same for every MIS, and the problems found while reading them.

A record is a line of an extract: its collection, its key in the MIS, and its members. Members without a value are left
out. Members that refer to other records hold those records' keys.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from .errors import printable

MAX_KEY_LENGTH: Final = 100
MAX_ITEMS: Final = {"contacts.students": 100, "classes.students": 5000, "classes.teachers": 5000, "lessons.staff": 5000}
"""How long lists may be, by collection and member; the receiver refuses longer ones."""
MAX_OTHER_ITEMS: Final = 1000
COLLECTIONS: Final = (
    "terms", "year_groups", "registration_groups", "houses", "students", "contacts", "staff", "classes", "periods",
    "lessons", "attendance", "assessments",
)  # fmt: skip
"""All collections, in the order of an extract: each comes after those that it refers to."""
REFERENCES: Final[dict[str, dict[str, str]]] = {
    "registration_groups": {"year_group": "year_groups"},
    "students": {"year_group": "year_groups", "registration_group": "registration_groups", "house": "houses"},
    "contacts": {"students": "students"},
    "classes": {"students": "students", "teachers": "staff"},
    "lessons": {"period": "periods", "class": "classes", "staff": "staff"},
    "attendance": {"student": "students"},
    "assessments": {"student": "students"},
}
"""By collection: the members that refer to records of another collection, and which one."""
REQUIRED: Final[dict[str, frozenset[str]]] = {
    "terms": frozenset({"name"}),
    "year_groups": frozenset({"name"}),
    "registration_groups": frozenset({"name"}),
    "houses": frozenset({"name"}),
    "students": frozenset({"legal_given_name", "legal_family_name"}),
    "contacts": frozenset({"name"}),
    "staff": frozenset({"name"}),
    "classes": frozenset({"name"}),
    "periods": frozenset({"name"}),
    "lessons": frozenset({"period", "class"}),
    "attendance": frozenset({"student", "date", "session", "mark"}),
    "assessments": frozenset({"name", "student"}),
}
"""By collection: the members without which a record is left out."""


class Record(NamedTuple):
    """One record, and where it was read."""

    key: str
    data: dict[str, Any] | None
    """None if the MIS has the record but its row cannot be read. The receiver then keeps what was sent before."""
    source: str
    row: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a value or a row. The text never repeats the value: it may be personal data."""

    source: str
    """The file, sheet or path, by its name at the MIS."""
    row: int
    """The row, counted from 1; in a table, row 1 has the headings. 0 if the problem concerns the whole source."""
    column: str
    message: str

    def __str__(self) -> str:
        row, column = [f"row {self.row}"] if self.row else [], [self.column] if self.column else []
        return printable(f"{', '.join([self.source, *row, *column])}: {self.message}")


@dataclass
class Problems:
    """All problems of one extract; only the first thousand are listed."""

    MAX_LISTED = 1000

    listed: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """The number of problems by source."""

    def add(self, source: str, row: int, column: str, message: str) -> None:
        """Add a problem."""
        self.counts[source] += 1
        if len(self.listed) < self.MAX_LISTED:
            self.listed.append(Problem(source, row, column, message))

    def __len__(self) -> int:
        return self.counts.total()


class UnreadableReport(Exception):
    """A collection could not be read to its end, as when a file is missing. The message says what to do."""

    def __str__(self) -> str:
        return printable(super().__str__())
