"""A school with one record or more of every collection, in which each value shows of which member it is."""

import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path

from sqlalchemy import delete, insert, update

from clients.xporter import tables
from clients.xporter.tokens import Access
from tests.clients.xporter.support import ESTAB

CATALOGUE = tomllib.loads((Path(__file__).parents[3] / "config" / "scopes.toml").read_text("utf-8"))["scope"]
SCOPE_OF = {
    member: scope
    for scope, entry in CATALOGUE.items()
    if entry["kind"] == "data"
    for members in entry["fields"].values()
    for member in members
}
"""The scope of each `collection.member`, from the catalogue."""
DATA_SCOPES = sorted(set(SCOPE_OF.values()))
PUBLISHED = {
    "scopes": [
        {
            "scope": scope, "kind": entry["kind"], "title": entry["title"], "explanation": entry["explanation"],
            "special_category": entry.get("special_category", False),
            "fields": [
                {"title": title, "members": entry["fields"][title] if entry["kind"] == "data" else []}
                for title in entry.get("fields", ())
            ],
        }
        for scope, entry in CATALOGUE.items()
    ]
}  # fmt: skip
"""The response of `GET /api/scopes`."""


def mark(member, number=0):
    """A text that no other member's value contains."""
    return f"<{member}/{number}>"


def a_school(pupils=3):
    """Records by collection and id: each text is the `mark` of its member, and each date or number is used once."""

    def texts(collection, number, *members):
        return {member: mark(f"{collection}.{member}", number) for member in members}

    years = {"year-1": texts("year_groups", 1, "name", "national_curriculum_year")}
    groups = {"group-1": texts("registration_groups", 1, "name") | {"year_group": "year-1"}}
    students = {
        f"student-{n:04}": texts(
            "students", n, "legal_given_name", "legal_family_name", "preferred_given_name", "preferred_family_name",
            "middle_names", "upn", "ethnicity", "first_language", "sen_status", "doctor",
        )
        | {
            "birth_date": "2012-01-31", "year_group": "year-1", "registration_group": "group-1", "house": "house-1",
            "entry_date": "2023-09-02", "leaving_date": "2030-07-20", "free_school_meals": True,
            "pupil_premium": False, "looked_after": False, "has_ehc_plan": True,
            "sen_needs": [mark("students.sen_needs", n)], "allergies": [mark("students.allergies", n)],
            "medical_conditions": [mark("students.medical_conditions", n)], "dietary_needs": [],
        }
        for n in range(pupils)
    }  # fmt: skip
    student_ids = list(students)
    return {
        "terms": {
            "term-1": texts("terms", 1, "name")
            | {"academic_year": "2026/2027", "starts_on": "2026-09-03", "ends_on": "2026-12-18"}
        },
        "year_groups": years,
        "registration_groups": groups,
        "houses": {"house-1": texts("houses", 1, "name")},
        "students": students,
        "contacts": {
            "contact-1": texts("contacts", 1, "name", "telephone", "email", "address")
            | {"students": [{"student": student_ids[0], "relationship": mark("contacts.students"), "priority": 1}]}
        },
        "staff": {"staff-1": texts("staff", 1, "name", "role", "email", "staff_code")},
        "classes": {
            "class-1": texts("classes", 1, "name", "subject") | {"students": student_ids, "teachers": ["staff-1"]}
        },
        "periods": {"period-1": texts("periods", 1, "name") | {"weekday": 5, "starts_at": "09:07", "ends_at": "10:11"}},
        "lessons": {
            "lesson-1": texts("lessons", 1, "room") | {"period": "period-1", "class": "class-1", "staff": ["staff-1"]}
        },
        "attendance": {
            f"mark-{n:04}": texts("attendance", n, "session", "mark", "reason")
            | {"student": student, "date": f"2026-11-{n % 28 + 1:02}", "minutes_late": 7}
            for n, student in enumerate(student_ids)
        },
        "assessments": {
            f"result-{n:04}": texts("assessments", n, "name", "subject", "result")
            | {"student": student, "date": "2026-10-09"}
            for n, student in enumerate(student_ids)
        },
    }


def expected(collection, record_id, record, scopes):
    """The expected form of the record under these scopes."""
    granted = {name: value for name, value in record.items() if SCOPE_OF[f"{collection}.{name}"] in scopes}
    return {"id": record_id} | granted


class Stored:
    """The data of one school in the database of an application."""

    def __init__(self, app, data, estab=ESTAB, school_id=1):
        self.database, self.fields = app.extensions["xporter"].database, app.extensions["xporter"].fields
        self.id, self.version, self.data = school_id, 0, data
        with self.database.write() as connection:
            connection.execute(
                insert(tables.schools).values(
                    id=school_id, estab_id=estab, epoch=f"epoch of {estab}", version=0, forgotten_version=0,
                    last_made_at=1_790_000_000, last_extract_at=1_790_000_100, created_at=1_780_000_000,
                )
            )  # fmt: skip
        self.put(data)

    def put(self, data):
        """Add or change these records."""
        with self.database.write() as connection:
            for collection, new_records in data.items():
                for record_id, record in new_records.items():
                    self.version += 1
                    where = (tables.records.c.school_id == self.id, tables.records.c.id == record_id)
                    connection.execute(delete(tables.records).where(*where, tables.records.c.collection == collection))
                    text = json.dumps(record)
                    connection.execute(
                        insert(tables.records).values(
                            school_id=self.id, collection=collection, id=record_id, key=record_id, data=text,
                            digest=hashlib.sha256(text.encode()).digest(), version=self.version,
                            student=record.get("student"), date=record.get("date"),
                        )
                    )  # fmt: skip
                    self.data[collection] = self.data.get(collection, {}) | {record_id: record}
                self._update_totals(connection, collection)

    def remove(self, collection, *ids):
        """Delete these records, as an extract does in which they are missing."""
        with self.database.write() as connection:
            for record_id in ids:
                self.version += 1
                where = (tables.records.c.collection == collection, tables.records.c.id == record_id)
                deleted = {"data": None, "deleted_at": 1_790_000_200, "version": self.version}
                connection.execute(update(tables.records).where(*where).values(deleted))
                del self.data[collection][record_id]
            self._update_totals(connection, collection)

    def forget_deletions(self):
        """Delete the record of which records were deleted so far."""
        with self.database.write() as connection:
            connection.execute(update(tables.schools).values(forgotten_version=self.version))

    def _update_totals(self, connection, collection):
        where = (tables.collections.c.school_id == self.id, tables.collections.c.collection == collection)
        connection.execute(delete(tables.collections).where(*where))
        connection.execute(
            insert(tables.collections).values(
                school_id=self.id, collection=collection, total=len(self.data[collection]), version=self.version,
                changed_at=1_790_000_000 + self.version,
            )
        )  # fmt: skip
        connection.execute(update(tables.schools).where(tables.schools.c.id == self.id).values(version=self.version))


class Granted:
    """A fake of `Tokens`: every request has the access that a test grants."""

    def __init__(self):
        self.access = Access("Bearer", "assembly", ESTAB, "verified", frozenset(DATA_SCOPES))

    def check(self, _request):
        return self.access

    def grant(self, *scopes, **overrides):
        """Grant these scopes, in place of those before."""
        self.access = replace(self.access, scopes=frozenset(scopes), **overrides)


class IdleReporter:
    """A fake of `Reporter`, without a thread: tests report when they need to."""

    def ensure_running(self):
        pass

    def stop(self):
        pass
