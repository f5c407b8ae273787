"""Arbor: JSON over HTTP, with a username and a password of its own (HTTP Basic)."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..values import InvalidValue, clock_time, day, email, minutes, priority, telephone, text, upn, weekday, yes_or_no
from .credentials import Credentials
from .json_pages import JsonPages
from .tables import Field, Table, TableReader

PAGE_SIZE = 250


def ids(value: Any) -> list[str] | None:
    """The ids of referenced objects."""
    return _members(value, "id")


def names(value: Any) -> list[str] | None:
    """The names of listed objects."""
    return _members(value, "name")


def first_name(value: Any) -> str | None:
    """The name of the first listed object."""
    return next(iter(names(value) or ()), None)


def guardians(value: Any) -> list[dict[str, Any]] | None:
    """The pupils of a contact."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidValue("should be a list of objects")
    links = []
    for item in value:
        student = item.get("student")
        link = {
            "student": text(student.get("id")) if isinstance(student, dict) else None,
            "relationship": text(item.get("relationship")),
            "priority": priority(item.get("guardianPriority")),
        }
        if link["student"] is None:
            raise InvalidValue("names a pupil without an id")
        links.append({name: member for name, member in link.items() if member is not None})
    return links or None


def _members(value: Any, member: str) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidValue("should be a list of objects")
    return [plain for item in value if (plain := text(item.get(member))) is not None] or None


ID = (Field("", "id"),)
TABLES = {
    "terms": Table(
        "terms",
        ID,
        (
            Field("name", "name"), Field("academic_year", "academicYear.name"), Field("starts_on", "startDate", day),
            Field("ends_on", "endDate", day),
        ),
    ),
    "year_groups": Table(
        "year-groups", ID, (Field("name", "name"), Field("national_curriculum_year", "nationalCurriculumYear"))
    ),
    "registration_groups": Table(
        "registration-forms", ID, (Field("name", "name"), Field("year_group", "yearGroup.id"))
    ),
    "houses": Table("houses", ID, (Field("name", "name"),)),
    "students": Table(
        "students",
        ID,
        (
            Field("legal_given_name", "person.legalFirstName"), Field("legal_family_name", "person.legalLastName"),
            Field("preferred_given_name", "person.preferredFirstName"),
            Field("preferred_family_name", "person.preferredLastName"), Field("middle_names", "person.middleNames"),
            Field("birth_date", "person.dateOfBirth", day), Field("upn", "uniquePupilNumber", upn),
            Field("year_group", "yearGroup.id"), Field("registration_group", "registrationForm.id"),
            Field("house", "house.id"), Field("entry_date", "enrolmentStartDate", day),
            Field("leaving_date", "enrolmentEndDate", day), Field("ethnicity", "person.ethnicity.name"),
            Field("first_language", "person.nativeLanguages", first_name),
            Field("free_school_meals", "freeSchoolMeals", yes_or_no),
            Field("pupil_premium", "pupilPremium", yes_or_no), Field("looked_after", "inCare", yes_or_no),
            Field("sen_status", "senStatus.name"), Field("sen_needs", "senNeeds", names),
            Field("has_ehc_plan", "hasEhcp", yes_or_no), Field("medical_conditions", "medicalConditions", names),
            Field("allergies", "allergies", names), Field("dietary_needs", "dietaryRequirements", names),
            Field("doctor", "doctor.name"),
        ),
    ),
    "contacts": Table(
        "guardians",
        ID,
        (
            Field("name", "displayName"), Field("telephone", "primaryTelephoneNumber", telephone),
            Field("email", "primaryEmailAddress", email), Field("address", "primaryPostalAddress"),
            Field("students", "guardianRelationships", guardians),
        ),
    ),
    "staff": Table(
        "staff",
        ID,
        (
            Field("name", "displayName"), Field("role", "positionTitle"), Field("email", "workEmail", email),
            Field("staff_code", "staffCode"),
        ),
    ),
    "classes": Table(
        "teaching-groups",
        ID,
        (
            Field("name", "name"), Field("subject", "subject.name"), Field("students", "students", ids),
            Field("teachers", "teachers", ids),
        ),
    ),
    "periods": Table(
        "timetable-slots",
        ID,
        (
            Field("name", "name"), Field("weekday", "dayOfWeek", weekday),
            Field("starts_at", "startTime", clock_time), Field("ends_at", "endTime", clock_time),
        ),
    ),
    "lessons": Table(
        "lessons",
        ID,
        (
            Field("period", "timetableSlot.id"), Field("class", "teachingGroup.id"), Field("room", "room.name"),
            Field("staff", "staff", ids),
        ),
    ),
    "attendance": Table(
        "attendance-marks",
        (Field("", "student.id"), Field("", "date", day), Field("", "rollCall")),
        (
            Field("student", "student.id"), Field("date", "date", day), Field("session", "rollCall"),
            Field("mark", "mark"), Field("reason", "markDescription"),
            Field("minutes_late", "minutesLate", minutes),
        ),
    ),
    "assessments": Table(
        "assessment-marks",
        (
            Field("", "student.id"), Field("", "assessment.name"), Field("", "subject.name", is_optional=True),
            Field("", "date", day, is_optional=True),
        ),
        (
            Field("name", "assessment.name"), Field("student", "student.id"), Field("subject", "subject.name"),
            Field("result", "mark"), Field("date", "date", day),
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Basic:
    credentials: Credentials

    def headers(self, *, renew: bool) -> Mapping[str, str]:
        pair = f"{self.credentials.username}:{self.credentials.password}".encode()
        return {"Authorization": f"Basic {b64encode(pair).decode()}"}


def reader(url: str, credentials: Credentials, wait: Callable[[float], None]) -> TableReader:
    """A reader of the school's own URL at Arbor."""
    pages = JsonPages(
        "Arbor", f"{url.rstrip('/')}/rest-v2",
        lambda number: {"page": str(number), "page-size": str(PAGE_SIZE)}, _Basic(credentials), wait, PAGE_SIZE,
    )  # fmt: skip
    return TableReader(pages, TABLES)
