"""Records: what every MIS has in common, and problems with what was read.

A record is a line of an extract: its collection, the key that the MIS has for it, and its members. Members that are not
known are left out. Members that refer to other records hold those records' keys.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

MAX_KEY_LENGTH: Final = 100
COLLECTIONS: Final = (
    "terms", "year_groups", "registration_groups", "houses", "students", "contacts", "staff", "classes", "periods",
    "lessons", "attendance", "assessments",
)  # fmt: skip
"""In the order of an extract: what is referred to comes first."""
REFERENCES: Final[dict[str, dict[str, str]]] = {
    "registration_groups": {"year_group": "year_groups"},
    "students": {"year_group": "year_groups", "registration_group": "registration_groups", "house": "houses"},
    "contacts": {"students": "students"},
    "classes": {"students": "students", "teachers": "staff"},
    "lessons": {"period": "periods", "class": "classes", "staff": "staff"},
    "attendance": {"student": "students"},
    "assessments": {"student": "students"},
}
"""Members that refer to records of another collection."""
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
"""Members without which a record means nothing."""


class Record(NamedTuple):
    """One record, and where it was read."""

    key: str
    data: dict[str, Any]
    source: str
    row: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a value or a row. The text never repeats the value: it may be personal data."""

    source: str
    """The file, sheet or address, by its name at the MIS."""
    row: int
    """As a person counts: in a table the first row has the headings. 0 if it is about the source as a whole."""
    column: str
    message: str

    def __str__(self) -> str:
        place = [self.source, *([f"row {self.row}"] if self.row else []), *([self.column] if self.column else [])]
        return f"{', '.join(place)}: {self.message}"


@dataclass
class Problems:
    """All problems of one extract: the first thousand in full, the others counted."""

    MAX_LISTED = 1000

    listed: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """How many there are of each source."""

    def add(self, source: str, row: int, column: str, message: str) -> None:
        """Note a problem."""
        self.counts[source] += 1
        if len(self.listed) < self.MAX_LISTED:
            self.listed.append(Problem(source, row, column, message))

    def __len__(self) -> int:
        return self.counts.total()


class Unreadable(Exception):
    """A collection could not be read as a whole: a file is missing, or the MIS did not answer. Says what to do."""
