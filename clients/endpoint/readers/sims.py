"""SIMS: CSV reports of its report designer, exported by a scheduled CommandReporter into one folder.

Year groups, registration groups and houses have no reports of their own: they are read from the pupils' rows.
"""

from pathlib import Path

from ..values import (
    clock_time,
    curriculum_year,
    day,
    email,
    minutes,
    priority,
    telephone,
    texts,
    upn,
    weekday,
    year_group,
    yes_or_no,
)
from .csv_files import CsvFolder
from .tables import Field, Gather, Table, TableReader, full_name

PUPIL = Field("", "Adno")

TABLES = {
    "terms": Table(
        "Terms",
        (Field("", "Academic Year"), Field("", "Term")),
        (
            Field("name", "Term"), Field("academic_year", "Academic Year"), Field("starts_on", "Start Date", day),
            Field("ends_on", "End Date", day),
        ),
    ),
    "year_groups": Table(
        "Students",
        (Field("", "Year", year_group),),
        (Field("name", "Year", year_group), Field("national_curriculum_year", "Year", curriculum_year)),
        repeats=True,
        is_derived=True,
    ),
    "registration_groups": Table(
        "Students",
        (Field("", "Reg"),),
        (Field("name", "Reg"), Field("year_group", "Year", year_group)),
        repeats=True,
        is_derived=True,
    ),
    "houses": Table("Students", (Field("", "House"),), (Field("name", "House"),), repeats=True, is_derived=True),
    "students": Table(
        "Students",
        (PUPIL,),
        (
            Field("legal_given_name", "Legal Forename"), Field("legal_family_name", "Legal Surname"),
            Field("preferred_given_name", "Preferred Forename"), Field("preferred_family_name", "Preferred Surname"),
            Field("middle_names", "Middle Name(s)"), Field("birth_date", "DOB", day), Field("upn", "UPN", upn),
            Field("year_group", "Year", year_group), Field("registration_group", "Reg"), Field("house", "House"),
            Field("entry_date", "Date of Admission", day), Field("leaving_date", "Date of Leaving", day),
            Field("ethnicity", "Ethnicity"), Field("first_language", "First Language"),
            Field("free_school_meals", "Eligible for free meals", yes_or_no),
            Field("pupil_premium", "Pupil Premium Indicator", yes_or_no), Field("looked_after", "In Care", yes_or_no),
            Field("sen_status", "SEN Status"), Field("sen_needs", "SEN Needs", texts),
            Field("has_ehc_plan", "EHCP", yes_or_no), Field("medical_conditions", "Medical Conditions", texts),
            Field("allergies", "Allergies", texts), Field("dietary_needs", "Dietary Needs", texts),
            Field("doctor", "Medical Practice"),
        ),
    ),
    "contacts": Table(
        "Contacts",
        (Field("", "Contact ID"),),
        (
            Field("forename", "Forename"), Field("surname", "Surname"), Field("telephone", "Telephone", telephone),
            Field("email", "Email", email), Field("address", "Address"),
        ),
        gathers=(
            Gather(
                "students",
                "Contacts",
                "Contact ID",
                (
                    Field("student", "Adno"), Field("relationship", "Relationship"),
                    Field("priority", "Priority", priority),
                ),
            ),
        ),
        repeats=True,
        combine=full_name,
    ),
    "staff": Table(
        "Staff",
        (Field("", "Staff Code"),),
        (
            Field("forename", "Forename"), Field("surname", "Surname"), Field("role", "Role"),
            Field("email", "Work Email", email), Field("staff_code", "Staff Code"),
        ),
        combine=full_name,
    ),
    "classes": Table(
        "Classes",
        (Field("", "Class"),),
        (Field("name", "Class"), Field("subject", "Subject"), Field("teachers", "Teachers", texts)),
        gathers=(Gather("students", "Class Members", "Class", (PUPIL,)),),
    ),
    "periods": Table(
        "Periods",
        (Field("", "Period"),),
        (
            Field("name", "Period"), Field("weekday", "Day", weekday), Field("starts_at", "Start Time", clock_time),
            Field("ends_at", "End Time", clock_time),
        ),
    ),
    "lessons": Table(
        "Timetable",
        (Field("", "Period"), Field("", "Class")),
        (Field("period", "Period"), Field("class", "Class"), Field("room", "Room"), Field("staff", "Staff", texts)),
    ),
    "attendance": Table(
        "Attendance",
        (PUPIL, Field("", "Date", day), Field("", "Session")),
        (
            Field("student", "Adno"), Field("date", "Date", day), Field("session", "Session"), Field("mark", "Mark"),
            Field("reason", "Meaning"), Field("minutes_late", "Minutes Late", minutes),
        ),
    ),
    "assessments": Table(
        "Results",
        (
            PUPIL, Field("", "Aspect"), Field("", "Subject", is_optional=True),
            Field("", "Result Date", day, is_optional=True),
        ),
        (
            Field("name", "Aspect"), Field("student", "Adno"), Field("subject", "Subject"), Field("result", "Result"),
            Field("date", "Result Date", day),
        ),
    ),
}  # fmt: skip


def reader(folder: Path) -> TableReader:
    """A reader of the reports in this folder."""
    return TableReader(CsvFolder(folder), TABLES)
