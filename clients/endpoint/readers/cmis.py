"""CMIS (Facility): CSV reports in one folder, whose columns have the names of its database.

A pupil's CourseYear is a bare number, and a Slot is a period.
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
from .tables import Field, Gather, Table, TableReader

PUPIL = Field("", "StudentId")

TABLES = {
    "terms": Table(
        "Terms",
        (Field("", "SetId"), Field("", "Term")),
        (
            Field("name", "Term"), Field("academic_year", "SetId"), Field("starts_on", "StartDate", day),
            Field("ends_on", "EndDate", day),
        ),
    ),
    "year_groups": Table(
        "Students",
        (Field("", "CourseYear", year_group),),
        (Field("name", "CourseYear", year_group), Field("national_curriculum_year", "CourseYear", curriculum_year)),
        repeats=True,
        is_derived=True,
    ),
    "registration_groups": Table(
        "Students",
        (Field("", "ClassGroupId"),),
        (Field("name", "ClassGroupId"), Field("year_group", "CourseYear", year_group)),
        repeats=True,
        is_derived=True,
    ),
    "houses": Table("Students", (Field("", "HouseId"),), (Field("name", "HouseId"),), repeats=True, is_derived=True),
    "students": Table(
        "Students",
        (PUPIL,),
        (
            Field("legal_given_name", "Forename"), Field("legal_family_name", "Surname"),
            Field("preferred_given_name", "PreferredForename"), Field("preferred_family_name", "PreferredSurname"),
            Field("middle_names", "MiddleNames"), Field("birth_date", "DateOfBirth", day), Field("upn", "UPN", upn),
            Field("year_group", "CourseYear", year_group), Field("registration_group", "ClassGroupId"),
            Field("house", "HouseId"), Field("entry_date", "DateOfEntry", day),
            Field("leaving_date", "DateOfLeaving", day), Field("ethnicity", "EthnicOrigin"),
            Field("first_language", "HomeLanguage"), Field("free_school_meals", "FreeMeals", yes_or_no),
            Field("pupil_premium", "PupilPremium", yes_or_no), Field("looked_after", "LookedAfter", yes_or_no),
            Field("sen_status", "SENStage"), Field("sen_needs", "SENType", texts),
            Field("has_ehc_plan", "EHCPlan", yes_or_no), Field("medical_conditions", "MedicalNotes", texts),
            Field("allergies", "Allergies", texts), Field("dietary_needs", "Diet", texts), Field("doctor", "Doctor"),
        ),
    ),
    "contacts": Table(
        "Contacts",
        (Field("", "ContactId"),),
        (
            Field("name", "ContactName"), Field("telephone", "Telephone", telephone), Field("email", "EMail", email),
            Field("address", "Address"),
        ),
        gathers=(
            Gather(
                "students",
                "StudentContacts",
                "ContactId",
                (
                    Field("student", "StudentId"), Field("relationship", "Relation"),
                    Field("priority", "ContactOrder", priority),
                ),
            ),
        ),
    ),
    "staff": Table(
        "Lecturers",
        (Field("", "LecturerId"),),
        (
            Field("name", "LecturerName"), Field("role", "JobTitle"), Field("email", "EMail", email),
            Field("staff_code", "LecturerId"),
        ),
    ),
    "classes": Table(
        "Modules",
        (Field("", "GroupId"),),
        (Field("name", "GroupId"), Field("subject", "ModuleName")),
        gathers=(
            Gather("students", "StudentGroups", "GroupId", (PUPIL,)),
            Gather("teachers", "Modules", "GroupId", (Field("", "LecturerId"),)),
        ),
        repeats=True,
    ),
    "periods": Table(
        "Slots",
        (Field("", "SlotId"),),
        (
            Field("name", "SlotId"), Field("weekday", "DayNum", weekday), Field("starts_at", "StartTime", clock_time),
            Field("ends_at", "EndTime", clock_time),
        ),
    ),
    "lessons": Table(
        "Timetable",
        (Field("", "SlotId"), Field("", "GroupId")),
        (
            Field("period", "SlotId"), Field("class", "GroupId"), Field("room", "RoomId"),
            Field("staff", "LecturerId", texts),
        ),
    ),
    "attendance": Table(
        "Registers",
        (PUPIL, Field("", "RegDate", day), Field("", "AMPM")),
        (
            Field("student", "StudentId"), Field("date", "RegDate", day), Field("session", "AMPM"),
            Field("mark", "AttendCode"), Field("reason", "AttendName"),
            Field("minutes_late", "MinsLate", minutes),
        ),
    ),
    "assessments": Table(
        "Assessments",
        (
            PUPIL, Field("", "AssessmentName"), Field("", "SubjectName", is_optional=True),
            Field("", "AssessDate", day, is_optional=True),
        ),
        (
            Field("name", "AssessmentName"), Field("student", "StudentId"), Field("subject", "SubjectName"),
            Field("result", "Grade"), Field("date", "AssessDate", day),
        ),
    ),
}  # fmt: skip


def reader(folder: Path) -> TableReader:
    """A reader of the reports in this folder."""
    return TableReader(CsvFolder(folder), TABLES)
