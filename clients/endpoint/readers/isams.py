"""iSAMS: JSON over HTTP, with a token for the client id and secret of a REST API application (client credentials)."""

from collections.abc import Callable, Mapping
from typing import Any

import requests

from ..http_session import without_netrc
from ..records import UnreadableReport
from ..values import (
    InvalidValue,
    clock_time,
    curriculum_year,
    day,
    email,
    minutes,
    priority,
    telephone,
    text,
    texts,
    upn,
    weekday,
    yes_or_no,
)
from .credentials import Credentials
from .json_pages import TIMEOUT_SECONDS, JsonPages
from .tables import Field, Table, TableReader, full_name

PAGE_SIZE = 250


def first_item(value: Any) -> str | None:
    """The first item of a list."""
    return next(iter(texts(value) or ()), None)


def pupil_links(value: Any) -> list[dict[str, Any]] | None:
    """The pupils of a contact."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidValue("should be a list of objects")
    result = []
    for item in value:
        link = {
            "student": text(item.get("schoolId")),
            "relationship": text(item.get("relationship")),
            "priority": priority(item.get("contactOrder")),
        }
        if link["student"] is None:
            raise InvalidValue("names a pupil without a school id")
        result.append({name: member for name, member in link.items() if member is not None})
    return result or None


PUPIL = Field("", "schoolId")
TABLES = {
    "terms": Table(
        "terms",
        (Field("", "schoolYear"), Field("", "name")),
        (
            Field("name", "name"), Field("academic_year", "schoolYear"), Field("starts_on", "startDate", day),
            Field("ends_on", "finishDate", day),
        ),
    ),
    "year_groups": Table(
        "yeargroups",
        (Field("", "code"),),
        (Field("name", "name"), Field("national_curriculum_year", "ncYear", curriculum_year)),
    ),
    "registration_groups": Table(
        "forms", (Field("", "form"),), (Field("name", "form"), Field("year_group", "yearGroup"))
    ),
    "houses": Table("houses", (Field("", "houseName"),), (Field("name", "houseName"),)),
    "students": Table(
        "students",
        (PUPIL,),
        (
            Field("legal_given_name", "forename"), Field("legal_family_name", "surname"),
            Field("preferred_given_name", "preferredName"), Field("preferred_family_name", "preferredSurname"),
            Field("middle_names", "middleNames"), Field("birth_date", "dob", day),
            Field("upn", "uniquePupilNumber", upn), Field("year_group", "yearGroup"),
            Field("registration_group", "formGroup"), Field("house", "academicHouse"),
            Field("entry_date", "enrolmentDate", day), Field("leaving_date", "leavingDate", day),
            Field("ethnicity", "ethnicity"), Field("first_language", "languages", first_item),
            Field("free_school_meals", "freeSchoolMeals", yes_or_no), Field("pupil_premium", "pupilPremium", yes_or_no),
            Field("looked_after", "inCare", yes_or_no), Field("sen_status", "senStatus"),
            Field("sen_needs", "senNeeds", texts), Field("has_ehc_plan", "hasEhcp", yes_or_no),
            Field("medical_conditions", "medicalConditions", texts), Field("allergies", "allergies", texts),
            Field("dietary_needs", "dietaryNeeds", texts), Field("doctor", "doctor"),
        ),
    ),
    "contacts": Table(
        "contacts",
        (Field("", "contactId"),),
        (
            Field("forename", "forename"), Field("surname", "surname"), Field("telephone", "telephone", telephone),
            Field("email", "emailAddress", email), Field("address", "address"),
            Field("students", "students", pupil_links),
        ),
        combine=full_name,
    ),
    "staff": Table(
        "employees",
        (Field("", "initials"),),
        (
            Field("forename", "forename"), Field("surname", "surname"), Field("role", "jobTitle"),
            Field("email", "schoolEmailAddress", email), Field("staff_code", "initials"),
        ),
        combine=full_name,
    ),
    "classes": Table(
        "sets",
        (Field("", "setCode"),),
        (
            Field("name", "setCode"), Field("subject", "subject"), Field("students", "studentIds", texts),
            Field("teachers", "teacherInitials", texts),
        ),
    ),
    "periods": Table(
        "periods",
        (Field("", "name"),),
        (
            Field("name", "name"), Field("weekday", "day", weekday), Field("starts_at", "startTime", clock_time),
            Field("ends_at", "finishTime", clock_time),
        ),
    ),
    "lessons": Table(
        "timetables",
        (Field("", "period"), Field("", "setCode")),
        (
            Field("period", "period"), Field("class", "setCode"), Field("room", "room"),
            Field("staff", "teacherInitials", texts),
        ),
    ),
    "attendance": Table(
        "registrations",
        (PUPIL, Field("", "date", day), Field("", "registrationPeriod")),
        (
            Field("student", "schoolId"), Field("date", "date", day), Field("session", "registrationPeriod"),
            Field("mark", "code"), Field("reason", "reason"), Field("minutes_late", "minutesLate", minutes),
        ),
    ),
    "assessments": Table(
        "assessments",
        (
            PUPIL, Field("", "assessmentName"), Field("", "subject", is_optional=True),
            Field("", "date", day, is_optional=True),
        ),
        (
            Field("name", "assessmentName"), Field("student", "schoolId"), Field("subject", "subject"),
            Field("result", "grade"), Field("date", "date", day),
        ),
    ),
}  # fmt: skip


class _Token:
    """A token for the client id and secret, requested when it is first needed (RFC 6749 §4.4)."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self._url, self._credentials, self._token = f"{url}/auth/connect/token", credentials, ""

    def headers(self, *, renew: bool) -> Mapping[str, str]:
        if renew or not self._token:
            self._token = self._request()
        return {"Authorization": f"Bearer {self._token}"}

    def _request(self) -> str:
        form = {
            "grant_type": "client_credentials", "client_id": self._credentials.username,
            "client_secret": self._credentials.password, "scope": "restapi",
        }  # fmt: skip
        response = requests.post(
            self._url, data=form, auth=without_netrc, timeout=TIMEOUT_SECONDS, allow_redirects=False
        )  # fmt: skip
        try:
            token = response.json().get("access_token") if response.status_code == 200 else None
        except (ValueError, AttributeError):
            token = None
        if response.status_code >= 500:
            raise UnreadableReport(
                f"iSAMS is failing ({response.status_code} for its sign-in). The agent will try again."
            )
        if not isinstance(token, str):
            raise UnreadableReport(
                f"iSAMS did not accept the client id and secret ({response.status_code}). Check both; register again."
            )
        return token


def reader(url: str, credentials: Credentials, wait: Callable[[float], None]) -> TableReader:
    """A reader of the school's own URL at iSAMS."""
    url = url.rstrip("/")
    pages = JsonPages(
        "iSAMS", f"{url}/api", lambda number: {"page": str(number), "pageSize": str(PAGE_SIZE)},
        _Token(url, credentials), wait, PAGE_SIZE,
    )  # fmt: skip
    return TableReader(pages, TABLES)
