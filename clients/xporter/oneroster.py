"""OneRoster 1.2 (1EdTech): the school's records as the resources that partners' software already reads.

Resources are made from records that the filter has passed, and each resource declares the members that it can show. A
resource is there if what OneRoster requires of it is granted: a person has a name, a class has a title. What our
records do not have is left out; ids are the same as in `/v1`.

A course is all classes of one subject, and a school year all terms that name it, since the MIS has neither: their ids
are derived. OneRoster's end of a session is the day after its last, and its school year the year in which that ends.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from clients.xporter.fields import ID

Item = dict[str, Any]
BASE: Final = "/ims/oneroster/rostering/v1p2"
_NAMES: Final = uuid.UUID("0d2f1c1e-6a7b-5c37-9d2d-55c1b7a5f0aa")
"""The namespace of derived ids (RFC 9562 §5.5)."""
_COMMON: Final = ("sourcedId", "status", "dateLastModified")
_STUDENT_NAMES: Final = frozenset({"students.legal_given_name", "students.legal_family_name"})
_FIRST_MONTH: Final = 8
"""A session that ends in this month or later belongs to a school year that ends in the next year."""
_ROLES: Final = (
    ("assistant", "aide"), ("headteacher", "principal"), ("head teacher", "principal"), ("principal", "principal"),
    ("teacher", "teacher"), ("tutor", "teacher"), ("head of", "teacher"), ("counsellor", "counselor"),
)  # fmt: skip
"""Words in the name of a role at a school, and OneRoster's role; the first that occurs decides."""
_RELATIONSHIPS: Final = (
    ("guardian", "guardian"), ("carer", "guardian"), ("mother", "parent"), ("father", "parent"), ("parent", "parent"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of resource: its names, what it can show, and what has to be granted for it."""

    name: str
    singular: str
    fields: tuple[str, ...]
    members: frozenset[str]
    """The `collection.member`s that it can show."""
    needs: tuple[frozenset[str], ...]
    """Sets of members, of which at least one must be granted completely; if there are none, nothing is required."""

    def is_available(self, granted: Callable[[str], frozenset[str]]) -> bool:
        """Whether enough is granted; `granted` gives the granted members of a collection."""
        return not self.needs or any(all(_is_granted(name, granted) for name in names) for names in self.needs)


class Roster:
    """The resources of one school, as one partner may see them."""

    def __init__(
        self, estab_id: str, url: str, changed_at: Mapping[str, str], records: Callable[[str], Iterable[Item]]
    ) -> None:
        """`changed_at` says of each collection when it last changed; `records` gives those that the filter passed."""
        self._estab_id, self._url, self._changed_at, self._records = estab_id, url, changed_at, records

    def items(self, name: str) -> Iterator[Item]:
        """All items of the resource of that name."""
        makers: dict[str, Callable[[], Iterator[Item]]] = {
            "orgs": self._orgs, "schools": self._orgs, "academicSessions": self._sessions, "terms": self._terms,
            "gradingPeriods": lambda: iter(()), "users": self._users, "students": self._students,
            "teachers": self._teachers, "classes": self._classes, "courses": self._courses,
            "enrollments": self._enrollments, "demographics": self._demographics,
        }  # fmt: skip
        return makers[name]()

    def classes_of(self, user_id: str) -> frozenset[str]:
        """The ids of the classes in which a person learns or teaches."""
        return frozenset(
            record[ID]
            for record in self._records("classes")
            if user_id in record.get("students", ()) or user_id in record.get("teachers", ())
        )

    def members_of(self, class_id: str) -> frozenset[str]:
        """The ids of those who learn or teach in a class."""
        for record in self._records("classes"):
            if record[ID] == class_id:
                return frozenset([*record.get("students", ()), *record.get("teachers", ())])
        return frozenset()

    def _item(self, collection: str, sourced_id: str, **members: Any) -> Item:
        changed_at = self._changed_at.get(collection, "1970-01-01T00:00:00Z")
        item = {"sourcedId": sourced_id, "status": "active", "dateLastModified": changed_at}
        return item | {name: value for name, value in members.items() if value not in (None, "", [])}

    def _ref(self, kind: str, path: str, sourced_id: str) -> Item:
        return {"href": f"{self._url}{BASE}/{path}/{sourced_id}", "sourcedId": sourced_id, "type": kind}

    @property
    def _school(self) -> Item:
        return self._ref("org", "schools", self._estab_id)

    def _derived(self, *parts: str) -> str:
        return str(uuid.uuid5(_NAMES, "/".join((self._estab_id, *parts))))

    def _orgs(self) -> Iterator[Item]:
        yield self._item("", self._estab_id, name=self._estab_id, type="school", identifier=self._estab_id) | {
            "dateLastModified": max(self._changed_at.values(), default="1970-01-01T00:00:00Z")
        }

    def _sessions(self) -> Iterator[Item]:
        terms = list(self._terms())
        years: dict[str, list[Item]] = defaultdict(list)
        for term in terms:
            if "parent" in term:
                years[term["parent"]["sourcedId"]].append(term)
        for year, parts in years.items():
            yield self._item(
                "terms", year, title=parts[0]["schoolYear"], type="schoolYear", schoolYear=parts[0]["schoolYear"],
                startDate=min(part["startDate"] for part in parts), endDate=max(part["endDate"] for part in parts),
                children=[self._ref("academicSession", "academicSessions", part["sourcedId"]) for part in parts],
            )  # fmt: skip
        yield from terms

    def _terms(self) -> Iterator[Item]:
        """The terms that have a beginning and an end, as OneRoster requires."""
        for record in self._records("terms"):
            begin, last = _day(record.get("starts_on")), _day(record.get("ends_on"))
            if begin and last and last < date.max and "name" in record:
                end = last + timedelta(days=1)
                year = _school_year(record.get("academic_year"), last)
                parent = self._derived("year", year) if "academic_year" in record else None
                yield self._item(
                    "terms", record[ID], title=record["name"], type="term", startDate=begin.isoformat(),
                    endDate=end.isoformat(), schoolYear=year,
                    parent=self._ref("academicSession", "academicSessions", parent) if parent else None,
                )  # fmt: skip

    def _users(self) -> Iterator[Item]:
        yield from self._students()
        yield from self._staff()
        yield from self._contacts()

    def _students(self) -> Iterator[Item]:
        grades = {record[ID]: record.get("national_curriculum_year") for record in self._records("year_groups")}
        agents: dict[str, list[Item]] = defaultdict(list)
        for contact in self._records("contacts"):
            for student in dict.fromkeys(link.get("student") for link in contact.get("students", ())):
                agents[student].append(self._ref("user", "users", contact[ID]))
        for record in self._records("students"):
            if "legal_given_name" not in record and "legal_family_name" not in record:
                continue
            grade, upn = grades.get(record.get("year_group")), record.get("upn")
            yield self._user(
                "students", record[ID], record.get("legal_given_name", ""), record.get("legal_family_name", ""),
                self._role("student", record.get("entry_date"), record.get("leaving_date")),
                middleName=record.get("middle_names"), preferredFirstName=record.get("preferred_given_name"),
                preferredLastName=record.get("preferred_family_name"), grades=[grade] if grade else [],
                userIds=[{"type": "UPN", "identifier": upn}] if upn else [], identifier=upn,
                agents=agents.get(record[ID], []),
            )  # fmt: skip

    def _teachers(self) -> Iterator[Item]:
        return (item for item in self._staff() if item["roles"][0]["role"] in {"teacher", "principal"})

    def _staff(self) -> Iterator[Item]:
        teaching = {teacher for record in self._records("classes") for teacher in record.get("teachers", ())}
        for record in self._records("staff"):
            if "name" not in record:
                continue
            default = "teacher" if record[ID] in teaching else "administrator"
            role = _lookup(_ROLES, record.get("role"), default)
            given, family = _split_name(record["name"])
            yield self._user(
                "staff", record[ID], given, family, self._role(role), identifier=record.get("staff_code"),
                email=record.get("email"),
            )  # fmt: skip

    def _contacts(self) -> Iterator[Item]:
        for record in self._records("contacts"):
            if "name" not in record:
                continue
            links = record.get("students", ())
            role = _lookup(_RELATIONSHIPS, links[0].get("relationship"), "relative") if links else "guardian"
            given, family = _split_name(record["name"])
            yield self._user(
                "contacts", record[ID], given, family, self._role(role), email=record.get("email"),
                phone=record.get("telephone"),
            )  # fmt: skip

    def _user(
        self, collection: str, sourced_id: str, given: str, family: str, role: Item, **members: Any
    ) -> Item:  # fmt: skip
        required = {"enabledUser": "true", "givenName": given, "familyName": family, "roles": [role]}
        item = self._item(collection, sourced_id, username=sourced_id, primaryOrg=self._school, **members)
        return item | required

    def _role(self, role: str, begin: str | None = None, end: str | None = None) -> Item:
        dates = {name: value for name, value in (("beginDate", begin), ("endDate", end)) if value}
        return {"roleType": "primary", "role": role, "org": self._school} | dates

    def _classes(self) -> Iterator[Item]:
        terms = [self._ref("academicSession", "academicSessions", term["sourcedId"]) for term in self._terms()]
        for record in self._records("classes"):
            if "name" in record:
                course, _ = self._course_of(record)
                yield self._item(
                    "classes", record[ID], title=record["name"], classType="scheduled",
                    course=self._ref("course", "courses", course), school=self._school,
                    subjects=[record["subject"]] if record.get("subject") else [],
                ) | {"terms": terms}  # fmt: skip

    def _course_of(self, record: Item) -> tuple[str, str]:
        """The id and title of the course that a class belongs to: its subject, or else the class itself."""
        if subject := record.get("subject"):
            return self._derived("subject", subject), subject
        return self._derived("class", record[ID]), record["name"]

    def _courses(self) -> Iterator[Item]:
        seen = set()
        for record in self._records("classes"):
            if "name" in record:
                course, title = self._course_of(record)
                if course not in seen:
                    seen.add(course)
                    subjects = [title] if record.get("subject") else []
                    yield self._item("classes", course, title=title, org=self._school, subjects=subjects)

    def _enrollments(self) -> Iterator[Item]:
        for record in self._records("classes"):
            for collection, role in (("students", "student"), ("teachers", "teacher")):
                for number, user in enumerate(record.get(collection, ())):
                    yield self._item(
                        "classes", self._derived("enrollment", record[ID], user), role=role,
                        user=self._ref("user", "users", user), school=self._school,
                        primary="true" if role == "teacher" and number == 0 else "false",
                        **{"class": self._ref("class", "classes", record[ID])},
                    )  # fmt: skip

    def _demographics(self) -> Iterator[Item]:
        for record in self._records("students"):
            yield self._item("students", record[ID], birthDate=record.get("birth_date"))


_USER_FIELDS: Final = (
    *_COMMON, "username", "userIds", "enabledUser", "givenName", "familyName", "middleName", "preferredFirstName",
    "preferredLastName", "roles", "primaryOrg", "identifier", "email", "phone", "agents", "grades",
)  # fmt: skip
_SESSION_FIELDS: Final = (*_COMMON, "title", "startDate", "endDate", "type", "parent", "children", "schoolYear")
_ORG_FIELDS: Final = (*_COMMON, "name", "type", "identifier")
_TERMS: Final = frozenset({"terms.name", "terms.academic_year", "terms.starts_on", "terms.ends_on"})
_STUDENTS: Final = frozenset({
    *_STUDENT_NAMES, "students.preferred_given_name", "students.preferred_family_name", "students.middle_names",
    "students.upn", "students.year_group", "students.entry_date", "students.leaving_date",
    "year_groups.national_curriculum_year", "contacts.students",
})  # fmt: skip
_STAFF: Final = frozenset({"staff.name", "staff.role", "staff.email", "staff.staff_code", "classes.teachers"})
_CONTACTS: Final = frozenset({"contacts.name", "contacts.students", "contacts.telephone", "contacts.email"})
_CLASSES: Final = frozenset({"classes.name", "classes.subject"})
_NO_NEEDS: Final[tuple[frozenset[str], ...]] = ()


def _needs(*members: str) -> tuple[frozenset[str], ...]:
    return (frozenset(members),)


_DATED_TERMS: Final = _needs("terms.name", "terms.starts_on", "terms.ends_on")
RESOURCES: Final = {
    resource.name: resource
    for resource in (
        Resource("orgs", "org", _ORG_FIELDS, frozenset(), _NO_NEEDS),
        Resource("schools", "org", _ORG_FIELDS, frozenset(), _NO_NEEDS),
        Resource("academicSessions", "academicSession", _SESSION_FIELDS, _TERMS, _DATED_TERMS),
        Resource("terms", "academicSession", _SESSION_FIELDS, _TERMS, _DATED_TERMS),
        Resource("gradingPeriods", "academicSession", _SESSION_FIELDS, frozenset(), _needs("terms.name")),
        Resource(
            "users", "user", _USER_FIELDS, _STUDENTS | _STAFF | _CONTACTS,
            (_STUDENT_NAMES, frozenset({"staff.name"}), frozenset({"contacts.name"})),
        ),
        Resource("students", "user", _USER_FIELDS, _STUDENTS, (_STUDENT_NAMES,)),
        Resource("teachers", "user", _USER_FIELDS, _STAFF, _needs("staff.name")),
        Resource(
            "classes", "class", (*_COMMON, "title", "classType", "course", "school", "terms", "subjects"),
            _CLASSES | _TERMS, _needs("classes.name"),
        ),
        Resource("courses", "course", (*_COMMON, "title", "org", "subjects"), _CLASSES, _needs("classes.name")),
        Resource(
            "enrollments", "enrollment", (*_COMMON, "user", "class", "school", "role", "primary"),
            frozenset({"classes.students", "classes.teachers"}), _needs("classes.name"),
        ),
        Resource(
            "demographics", "demographics", (*_COMMON, "birthDate"), frozenset({"students.birth_date"}),
            _needs("students.birth_date"),
        ),
    )
}  # fmt: skip

PLURALS: Final = {
    "org": "orgs", "academicSession": "academicSessions", "user": "users", "class": "classes", "course": "courses",
    "enrollment": "enrollments", "demographics": "demographics",
}  # fmt: skip
"""The name of a list in a response, by that of one item."""


def _is_granted(name: str, granted: Callable[[str], frozenset[str]]) -> bool:
    collection, _, member = name.partition(".")
    return member in granted(collection)


def _lookup(words: Iterable[tuple[str, str]], text: str | None, default: str) -> str:
    """The value of the first word that the text contains, or `default`."""
    lowered = (text or "").casefold()
    return next((value for word, value in words if word in lowered), default)


def _split_name(name: str) -> tuple[str, str]:
    """Given and family name of a name that the MIS has as one: the last word is the family name."""
    given, _, family = name.strip().rpartition(" ")
    return given.strip(), family


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _school_year(academic_year: str | None, last: date) -> str:
    """The year in which the school year ends, of "2026/2027" or "2026-27"; without one, from a day in it."""
    begins = (academic_year or "")[:4]
    if begins.isascii() and begins.isdigit() and len(begins) == len("2026"):
        return str(int(begins) + 1)
    return str(last.year + (last.month >= _FIRST_MONTH))
