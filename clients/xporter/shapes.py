"""The shape of each collection's records: types of members, which are required, and which refer to other records.

The provider publishes which members there are, and under which scope each is served. This module adds what a program
has to know besides; a member that is not listed here is text, or a list of texts.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Final, TypeAlias, cast

import msgspec
from msgspec import Meta, Struct

MAX_KEY_LENGTH: Final = 100
Text: TypeAlias = Annotated[str, Meta(max_length=4000)]
Key: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_KEY_LENGTH)]
Texts: TypeAlias = Annotated[list[Text], Meta(max_length=1000)]
Keys: TypeAlias = Annotated[list[Key], Meta(max_length=5000)]
Minutes: TypeAlias = Annotated[int, Meta(ge=0, le=1440)]
Weekday: TypeAlias = Annotated[int, Meta(ge=1, le=7)]


class ContactOf(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One pupil of a contact."""

    student: Key
    relationship: Text | None = None
    priority: Annotated[int, Meta(ge=0, le=100)] | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """One collection: types other than text, members that must be there, and the collections that members refer to."""

    types: Mapping[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    references: Mapping[str, str] = field(default_factory=dict)


def _shape(required: str = "", *, references: Mapping[str, str] | None = None, **types: Any) -> Shape:
    return Shape(types, frozenset(required.split()), references or {})


SHAPES: Final[Mapping[str, Shape]] = {
    "terms": _shape("name", starts_on=date, ends_on=date),
    "year_groups": _shape("name"),
    "registration_groups": _shape("name", references={"year_group": "year_groups"}, year_group=Key),
    "houses": _shape("name"),
    "students": _shape(
        "legal_given_name legal_family_name",
        references={"year_group": "year_groups", "registration_group": "registration_groups", "house": "houses"},
        birth_date=date, entry_date=date, leaving_date=date, year_group=Key, registration_group=Key, house=Key,
        free_school_meals=bool, pupil_premium=bool, looked_after=bool, has_ehc_plan=bool, sen_needs=Texts,
        medical_conditions=Texts, allergies=Texts, dietary_needs=Texts,
    ),
    "contacts": _shape(
        "name", references={"students": "students"}, students=Annotated[list[ContactOf], Meta(max_length=100)]
    ),
    "staff": _shape("name"),
    "classes": _shape("name", references={"students": "students", "teachers": "staff"}, students=Keys, teachers=Keys),
    "periods": _shape("name", weekday=Weekday),
    "lessons": _shape(
        "period", references={"period": "periods", "class": "classes", "staff": "staff"},
        period=Key, staff=Keys, **{"class": Key},
    ),
    "attendance": _shape(
        "student date session mark", references={"student": "students"}, student=Key, date=date, minutes_late=Minutes
    ),
    "assessments": _shape("name student", references={"student": "students"}, student=Key, date=date),
}  # fmt: skip
_UNKNOWN_SHAPE: Final = Shape()
_PREFIX: Final = "m_"  # members may be named as Python's keywords are
_STUDENT, _DATE = f"{_PREFIX}student", f"{_PREFIX}date"


class Reader:
    """Reads the records of one collection, and resolves their references."""

    def __init__(self, collection: str, members: Collection[str]) -> None:
        shape = SHAPES.get(collection, _UNKNOWN_SHAPE)
        self.references = [
            (name, _PREFIX + name, target) for name, target in shape.references.items() if name in members
        ]
        """Members that refer to others, the names of their attributes, and the collections that they refer to."""
        self._required = shape.required
        self._has_student = shape.references.get("student") == "students" and "student" in members
        self._has_date = "date" in members and shape.types.get("date") is date
        kind = msgspec.defstruct(
            collection,
            [
                *(_required(name, shape) for name in sorted(shape.required.intersection(members))),
                *(_optional(name, shape) for name in sorted(set(members) - shape.required)),
            ],
            rename=lambda name: name.removeprefix(_PREFIX),
            forbid_unknown_fields=True,
            omit_defaults=True,
            gc=False,  # no record can refer to itself, and there are hundreds of thousands
        )
        self.decode: Callable[[msgspec.Raw], Struct] = msgspec.json.Decoder(kind).decode

    def referred(self, record: Struct) -> Iterator[tuple[str, str, str]]:
        """Every reference of the record: its member, the collection it refers to, and the key."""
        for member, attribute, target in self.references:
            value = getattr(record, attribute)
            if isinstance(value, str):
                yield member, target, value
            elif value is not None:
                for entry in value:
                    yield member, target, _key_of(entry)

    def resolve(self, record: Struct, ids: Mapping[str, Mapping[str, str]]) -> None:
        """Put our ids, which `ids` has by collection and key, in the place of keys; an entry of a list counts once.

        MIS list a person twice whom they have moved out and in again. Raises `KeyError`.
        """
        for _, attribute, target in self.references:
            value = getattr(record, attribute)
            if isinstance(value, str):
                setattr(record, attribute, ids[target][value])
            elif value and isinstance(value[0], ContactOf):
                for entry in value:
                    entry.student = ids[target][entry.student]
                setattr(record, attribute, [entry for n, entry in enumerate(value) if entry not in value[:n]])
            elif value:
                setattr(record, attribute, list(dict.fromkeys([ids[target][key] for key in value])))

    def forget(self, record: Struct, keys: Mapping[str, Collection[str]]) -> bool:
        """Take references to these keys, by collection, out of the record; False if a required one was among them."""
        for member, attribute, target in self.references:
            value, gone = getattr(record, attribute), keys.get(target, ())
            if isinstance(value, str):
                if value in gone:
                    if member in self._required:
                        return False
                    setattr(record, attribute, None)
            elif value is not None:
                left = [entry for entry in value if _key_of(entry) not in gone]
                setattr(record, attribute, left)
        return True

    def student_of(self, record: Struct) -> str | None:
        """The pupil that the record is about."""
        return cast("str", getattr(record, _STUDENT)) if self._has_student else None

    def date_of(self, record: Struct) -> str | None:
        """The day that the record is about."""
        value = getattr(record, _DATE) if self._has_date else None
        return value.isoformat() if value else None


def _key_of(entry: "ContactOf | str") -> str:
    return entry.student if isinstance(entry, ContactOf) else entry


def _required(name: str, shape: Shape) -> tuple[str, Any]:
    return _PREFIX + name, shape.types.get(name, Text)


def _optional(name: str, shape: Shape) -> tuple[str, Any, None]:
    kind = shape.types.get(name, Text | Texts if shape is _UNKNOWN_SHAPE else Text)
    return _PREFIX + name, kind | None, None
