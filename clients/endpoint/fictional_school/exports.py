"""Write the fictional school in the export format of each MIS. `clients.endpoint.readers` reads these files.

| MIS | form | dates | encoding |
|---|---|---|---|
| SIMS | CSV reports, every value quoted | dd/mm/yyyy | Windows-1252 |
| CMIS | CSV reports | dd/mm/yyyy | UTF-8 with a byte order mark |
| Pupil Asset | one workbook, a sheet for each report | dates of the spreadsheet | |
| Arbor | JSON over HTTP, a page at a time | ISO 8601 | UTF-8 |
| iSAMS | JSON over HTTP, a page at a time | ISO 8601 with a time | UTF-8 |
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from openpyxl import Workbook

from .school import DAYS, School

Data = Mapping[str, Any]
Table = tuple[Sequence[str], Iterable[Sequence[Any]]]
"""Headings, and rows."""
TITLES = {"Mother": "Mrs", "Father": "Mr", "Carer": "Ms"}


def write(school: School, folder: Path, mis: str) -> None:
    """Write what this MIS exports into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    EXPORTS[mis](school, folder)


def _yes(value: bool | None, yes: str = "Yes", no: str = "No") -> str:
    return "" if value is None else yes if value else no


def _day(value: str | None) -> str:
    return f"{date.fromisoformat(value):%d/%m/%Y}" if value else ""


def _list(values: Iterable[str] | None) -> str:
    return "; ".join(values or ())


def _name(data: Data) -> tuple[str, str]:
    """Forename and surname of a contact or a member of staff."""
    forename, _, surname = data["name"].partition(" ")
    return forename, surname


# CSV reports


def _write_csv(path: Path, table: Table, encoding: str, quoting: Any) -> None:
    # Written to a temporary file that takes the report's place, so that an agent never reads half a report.
    headings, rows = table
    unfinished = path.with_suffix(".new")
    with unfinished.open("w", encoding=encoding, newline="") as to:
        writer = csv.writer(to, quoting=quoting)
        writer.writerow(headings)
        writer.writerows(rows)
    unfinished.replace(path)


def _write_sims(school: School, folder: Path) -> None:
    for name, table in _sims_tables(school).items():
        _write_csv(folder / f"{name}.csv", table, "cp1252", csv.QUOTE_ALL)


def _write_cmis(school: School, folder: Path) -> None:
    for name, table in _cmis_tables(school).items():
        _write_csv(folder / f"{name}.csv", table, "utf-8-sig", csv.QUOTE_MINIMAL)


def _sims_tables(school: School) -> dict[str, Table]:
    def t_or_f(value: bool | None) -> str:
        return _yes(value, "T", "F")

    return {
        "Students": (
            (
                "Adno", "UPN", "Legal Surname", "Legal Forename", "Preferred Surname", "Preferred Forename",
                "Middle Name(s)", "DOB", "Year", "Reg", "House", "Date of Admission", "Date of Leaving", "Ethnicity",
                "First Language", "Eligible for free meals", "Pupil Premium Indicator", "In Care", "SEN Status",
                "SEN Needs", "EHCP", "Medical Conditions", "Allergies", "Dietary Needs", "Medical Practice",
            ),
            (
                (
                    key, data["upn"], data["legal_family_name"], data["legal_given_name"],
                    data["preferred_family_name"], data["preferred_given_name"], data.get("middle_names", ""),
                    _day(data["birth_date"]), data["year_group"], data["registration_group"], data["house"],
                    _day(data["entry_date"]), _day(data.get("leaving_date")), data["ethnicity"],
                    data["first_language"], t_or_f(data["free_school_meals"]), t_or_f(data["pupil_premium"]),
                    t_or_f(data["looked_after"]), data.get("sen_status", ""), _list(data.get("sen_needs")),
                    t_or_f(data.get("has_ehc_plan")), _list(data.get("medical_conditions")),
                    _list(data.get("allergies")), _list(data.get("dietary_needs")), data.get("doctor", ""),
                )
                for key, data in school["students"].items()
            ),
        ),
        "Contacts": (
            (
                "Contact ID", "Title", "Forename", "Surname", "Adno", "Relationship", "Priority", "Telephone", "Email",
                "Address",
            ),
            (
                (
                    key, TITLES[link["relationship"]], *_name(data), link["student"], link["relationship"],
                    link["priority"], data["telephone"], data["email"], data["address"],
                )
                for key, data in school["contacts"].items()
                for link in data["students"]
            ),
        ),
        "Staff": (
            ("Staff Code", "Title", "Forename", "Surname", "Role", "Work Email"),
            ((key, "", *_name(data), data["role"], data["email"]) for key, data in school["staff"].items()),
        ),
        "Terms": (
            ("Academic Year", "Term", "Start Date", "End Date"),
            (
                (data["academic_year"], data["name"], _day(data["starts_on"]), _day(data["ends_on"]))
                for data in school["terms"].values()
            ),
        ),
        "Classes": (
            ("Class", "Subject", "Teachers"),
            ((key, data["subject"], _list(data["teachers"])) for key, data in school["classes"].items()),
        ),
        "Class Members": (
            ("Class", "Adno"),
            ((key, pupil) for key, data in school["classes"].items() for pupil in data["students"]),
        ),
        "Periods": (
            ("Period", "Day", "Start Time", "End Time"),
            (
                (key, DAYS[data["weekday"] - 1], data["starts_at"], data["ends_at"])
                for key, data in school["periods"].items()
            ),
        ),
        "Timetable": (
            ("Period", "Class", "Room", "Staff"),
            (
                (data["period"], data["class"], data["room"], _list(data["staff"]))
                for data in school["lessons"].values()
            ),
        ),
        "Attendance": (
            ("Adno", "Date", "Session", "Mark", "Meaning", "Minutes Late"),
            (
                (
                    data["student"], _day(data["date"]), data["session"], data["mark"], data.get("reason", ""),
                    data.get("minutes_late", ""),
                )
                for data in school["attendance"].values()
            ),
        ),
        "Results": (
            ("Adno", "Aspect", "Subject", "Result", "Result Date"),
            (
                (data["student"], data["name"], data["subject"], data["result"], _day(data["date"]))
                for data in school["assessments"].values()
            ),
        ),
    }  # fmt: skip


def _cmis_tables(school: School) -> dict[str, Table]:
    def y_or_n(value: bool | None) -> str:
        return _yes(value, "Y", "N")

    return {
        "Students": (
            (
                "StudentId", "UPN", "Forename", "MiddleNames", "Surname", "PreferredForename", "PreferredSurname",
                "DateOfBirth", "CourseYear", "ClassGroupId", "HouseId", "DateOfEntry", "DateOfLeaving", "EthnicOrigin",
                "HomeLanguage", "FreeMeals", "PupilPremium", "LookedAfter", "SENStage", "SENType", "EHCPlan",
                "MedicalNotes", "Allergies", "Diet", "Doctor",
            ),
            (
                (
                    key, data["upn"], data["legal_given_name"], data.get("middle_names", ""),
                    data["legal_family_name"], data["preferred_given_name"], data["preferred_family_name"],
                    _day(data["birth_date"]), data["year_group"].removeprefix("Year "), data["registration_group"],
                    data["house"], _day(data["entry_date"]), _day(data.get("leaving_date")), data["ethnicity"],
                    data["first_language"], y_or_n(data["free_school_meals"]), y_or_n(data["pupil_premium"]),
                    y_or_n(data["looked_after"]), data.get("sen_status", ""), _list(data.get("sen_needs")),
                    y_or_n(data.get("has_ehc_plan")), _list(data.get("medical_conditions")),
                    _list(data.get("allergies")), _list(data.get("dietary_needs")), data.get("doctor", ""),
                )
                for key, data in school["students"].items()
            ),
        ),
        "Contacts": (
            ("ContactId", "ContactName", "Telephone", "EMail", "Address"),
            (
                (key, data["name"], data["telephone"], data["email"], data["address"])
                for key, data in school["contacts"].items()
            ),
        ),
        "StudentContacts": (
            ("StudentId", "ContactId", "Relation", "ContactOrder"),
            (
                (link["student"], key, link["relationship"], link["priority"])
                for key, data in school["contacts"].items()
                for link in data["students"]
            ),
        ),
        "Lecturers": (
            ("LecturerId", "LecturerName", "JobTitle", "EMail"),
            ((key, data["name"], data["role"], data["email"]) for key, data in school["staff"].items()),
        ),
        "Terms": (
            ("SetId", "Term", "StartDate", "EndDate"),
            (
                (data["academic_year"], data["name"], _day(data["starts_on"]), _day(data["ends_on"]))
                for data in school["terms"].values()
            ),
        ),
        "Modules": (
            ("GroupId", "ModuleName", "LecturerId"),
            (
                (key, data["subject"], teacher)
                for key, data in school["classes"].items()
                for teacher in data["teachers"]
            ),
        ),
        "StudentGroups": (
            ("GroupId", "StudentId"),
            ((key, pupil) for key, data in school["classes"].items() for pupil in data["students"]),
        ),
        "Slots": (
            ("SlotId", "DayNum", "StartTime", "EndTime"),
            (
                (key, data["weekday"], data["starts_at"], data["ends_at"])
                for key, data in school["periods"].items()
            ),
        ),
        "Timetable": (
            ("SlotId", "GroupId", "RoomId", "LecturerId"),
            (
                (data["period"], data["class"], data["room"], _list(data["staff"]))
                for data in school["lessons"].values()
            ),
        ),
        "Registers": (
            ("StudentId", "RegDate", "AMPM", "AttendCode", "AttendName", "MinsLate"),
            (
                (
                    data["student"], _day(data["date"]), data["session"], data["mark"], data.get("reason", ""),
                    data.get("minutes_late", ""),
                )
                for data in school["attendance"].values()
            ),
        ),
        "Assessments": (
            ("StudentId", "AssessmentName", "SubjectName", "Grade", "AssessDate"),
            (
                (data["student"], data["name"], data["subject"], data["result"], _day(data["date"]))
                for data in school["assessments"].values()
            ),
        ),
    }  # fmt: skip


# A workbook


def _write_pupil_asset(school: School, folder: Path) -> None:
    book = Workbook(write_only=True)
    for name, (headings, rows) in _pupil_asset_tables(school).items():
        sheet = book.create_sheet(name)
        sheet.append(list(headings))
        for row in rows:
            sheet.append(list(row))
    unfinished = folder / "Pupil Asset export.new"
    book.save(unfinished)
    unfinished.replace(folder / "Pupil Asset export.xlsx")


def _pupil_asset_tables(school: School) -> dict[str, Table]:
    def day(value: str | None) -> date | None:
        return date.fromisoformat(value) if value else None

    return {
        "Pupils": (
            (
                "Pupil ID", "UPN", "Forename", "Middle names", "Surname", "Known as", "Known as surname",
                "Date of birth", "Year group", "Class", "House", "Start date", "Leaving date", "Ethnicity",
                "First language", "FSM", "Pupil premium", "Looked after", "SEN stage", "SEN needs", "EHC plan",
                "Medical conditions", "Allergies", "Dietary needs", "GP",
            ),
            (
                (
                    int(key), data["upn"], data["legal_given_name"], data.get("middle_names"),
                    data["legal_family_name"], data["preferred_given_name"], data["preferred_family_name"],
                    day(data["birth_date"]), data["year_group"], data["registration_group"], data["house"],
                    day(data["entry_date"]), day(data.get("leaving_date")), data["ethnicity"], data["first_language"],
                    data["free_school_meals"], data["pupil_premium"], data["looked_after"], data.get("sen_status"),
                    _list(data.get("sen_needs")), data.get("has_ehc_plan"), _list(data.get("medical_conditions")),
                    _list(data.get("allergies")), _list(data.get("dietary_needs")), data.get("doctor"),
                )
                for key, data in school["students"].items()
            ),
        ),
        "Contacts": (
            ("Contact ID", "Contact name", "Pupil ID", "Relationship", "Order", "Phone", "Email", "Address"),
            (
                (
                    key, data["name"], int(link["student"]), link["relationship"], link["priority"],
                    data["telephone"], data["email"], data["address"],
                )
                for key, data in school["contacts"].items()
                for link in data["students"]
            ),
        ),
        "Staff": (
            ("Initials", "Name", "Job title", "Email"),
            ((key, data["name"], data["role"], data["email"]) for key, data in school["staff"].items()),
        ),
        "Terms": (
            ("Academic year", "Term", "Starts", "Ends"),
            (
                (data["academic_year"], data["name"], day(data["starts_on"]), day(data["ends_on"]))
                for data in school["terms"].values()
            ),
        ),
        "Teaching groups": (
            ("Group", "Subject", "Teachers"),
            ((key, data["subject"], _list(data["teachers"])) for key, data in school["classes"].items()),
        ),
        "Group members": (
            ("Group", "Pupil ID"),
            ((key, int(pupil)) for key, data in school["classes"].items() for pupil in data["students"]),
        ),
        "Periods": (
            ("Period", "Day", "Start", "End"),
            (
                (key, DAYS[data["weekday"] - 1], data["starts_at"], data["ends_at"])
                for key, data in school["periods"].items()
            ),
        ),
        "Timetable": (
            ("Period", "Group", "Room", "Teachers"),
            (
                (data["period"], data["class"], data["room"], _list(data["staff"]))
                for data in school["lessons"].values()
            ),
        ),
        "Attendance": (
            ("Pupil ID", "Date", "Session", "Code", "Reason", "Minutes late"),
            (
                (
                    int(data["student"]), day(data["date"]), data["session"], data["mark"], data.get("reason"),
                    data.get("minutes_late"),
                )
                for data in school["attendance"].values()
            ),
        ),
        "Assessments": (
            ("Pupil ID", "Assessment", "Subject", "Result", "Date"),
            (
                (int(data["student"]), data["name"], data["subject"], data["result"], day(data["date"]))
                for data in school["assessments"].values()
            ),
        ),
    }  # fmt: skip


# JSON, which `server` serves a page at a time


def _write_json(school: School, folder: Path, items: Mapping[str, Callable[[str, Data], Data]]) -> None:
    for path, convert in items.items():
        name, _, collection = path.partition(" ")
        listed = [convert(key, data) for key, data in school[collection or name].items()]
        unfinished = folder / f"{name}.new"
        unfinished.write_text(json.dumps(listed, ensure_ascii=False), "utf-8")
        unfinished.replace(folder / f"{name}.json")


def _without_none(item: Data) -> Data:
    return {name: value for name, value in item.items() if value is not None}


def _write_arbor(school: School, folder: Path) -> None:
    def student(key: str, data: Data) -> Data:
        return {
            "id": int(key), "entityType": "Student", "uniquePupilNumber": data["upn"],
            "person": _without_none({
                "legalFirstName": data["legal_given_name"], "legalLastName": data["legal_family_name"],
                "middleNames": data.get("middle_names"), "preferredFirstName": data["preferred_given_name"],
                "preferredLastName": data["preferred_family_name"], "dateOfBirth": data["birth_date"],
                "ethnicity": {"name": data["ethnicity"]},
                "nativeLanguages": [{"name": data["first_language"]}],
            }),
            "yearGroup": {"id": data["year_group"]}, "registrationForm": {"id": data["registration_group"]},
            "house": {"id": data["house"]}, "enrolmentStartDate": data["entry_date"],
            "enrolmentEndDate": data.get("leaving_date"), "freeSchoolMeals": data["free_school_meals"],
            "pupilPremium": data["pupil_premium"], "inCare": data["looked_after"],
            "senStatus": {"name": data["sen_status"]} if "sen_status" in data else None,
            "senNeeds": [{"name": need} for need in data.get("sen_needs", ())], "hasEhcp": data.get("has_ehc_plan"),
            "medicalConditions": [{"name": name} for name in data.get("medical_conditions", ())],
            "allergies": [{"name": name} for name in data.get("allergies", ())],
            "dietaryRequirements": [{"name": name} for name in data.get("dietary_needs", ())],
            "doctor": {"name": data["doctor"]} if "doctor" in data else None,
        }  # fmt: skip

    def contact(key: str, data: Data) -> Data:
        return {
            "id": key, "displayName": data["name"], "primaryTelephoneNumber": data["telephone"],
            "primaryEmailAddress": data["email"], "primaryPostalAddress": data["address"],
            "guardianRelationships": [
                {
                    "student": {"id": int(link["student"])}, "relationship": link["relationship"],
                    "guardianPriority": link["priority"],
                }
                for link in data["students"]
            ],
        }  # fmt: skip

    def staff(key: str, data: Data) -> Data:
        return {
            "id": key, "displayName": data["name"], "staffCode": data["staff_code"], "workEmail": data["email"],
            "positionTitle": data["role"],
        }  # fmt: skip

    def attendance(_key: str, data: Data) -> Data:
        return {
            "student": {"id": int(data["student"])}, "date": data["date"], "rollCall": data["session"],
            "mark": data["mark"], "markDescription": data.get("reason"), "minutesLate": data.get("minutes_late"),
        }  # fmt: skip

    _write_json(
        school,
        folder,
        {
            "terms": lambda key, data: {
                "id": key, "academicYear": {"name": data["academic_year"]}, "name": data["name"],
                "startDate": data["starts_on"], "endDate": data["ends_on"],
            },
            "year-groups year_groups": lambda key, data: {
                "id": key, "name": data["name"], "nationalCurriculumYear": data["national_curriculum_year"],
            },
            "registration-forms registration_groups": lambda key, data: {
                "id": key, "name": data["name"], "yearGroup": {"id": data["year_group"]},
            },
            "houses": lambda key, data: {"id": key, "name": data["name"]},
            "students": student,
            "guardians contacts": contact,
            "staff": staff,
            "teaching-groups classes": lambda key, data: {
                "id": key, "name": data["name"], "subject": {"name": data["subject"]},
                "students": [{"id": int(pupil)} for pupil in data["students"]],
                "teachers": [{"id": teacher} for teacher in data["teachers"]],
            },
            "timetable-slots periods": lambda key, data: {
                "id": key, "name": data["name"], "dayOfWeek": data["weekday"], "startTime": data["starts_at"],
                "endTime": data["ends_at"],
            },
            "lessons": lambda key, data: {
                "id": key, "timetableSlot": {"id": data["period"]}, "teachingGroup": {"id": data["class"]},
                "room": {"name": data["room"]}, "staff": [{"id": teacher} for teacher in data["staff"]],
            },
            "attendance-marks attendance": attendance,
            "assessment-marks assessments": lambda _key, data: {
                "student": {"id": int(data["student"])}, "assessment": {"name": data["name"]},
                "subject": {"name": data["subject"]}, "mark": data["result"], "date": data["date"],
            },
        },
    )  # fmt: skip


def _write_isams(school: School, folder: Path) -> None:
    def midnight(value: str | None) -> str | None:
        return f"{value}T00:00:00" if value else None

    def student(key: str, data: Data) -> Data:
        return {
            "schoolId": key, "forename": data["legal_given_name"], "surname": data["legal_family_name"],
            "middleNames": data.get("middle_names"), "preferredName": data["preferred_given_name"],
            "preferredSurname": data["preferred_family_name"], "dob": midnight(data["birth_date"]),
            "uniquePupilNumber": data["upn"], "yearGroup": data["year_group"],
            "formGroup": data["registration_group"], "academicHouse": data["house"],
            "enrolmentDate": midnight(data["entry_date"]), "leavingDate": midnight(data.get("leaving_date")),
            "ethnicity": data["ethnicity"], "languages": [data["first_language"]],
            "freeSchoolMeals": data["free_school_meals"], "pupilPremium": data["pupil_premium"],
            "inCare": data["looked_after"], "senStatus": data.get("sen_status"), "senNeeds": data.get("sen_needs", []),
            "hasEhcp": data.get("has_ehc_plan"), "medicalConditions": data.get("medical_conditions", []),
            "allergies": data.get("allergies", []), "dietaryNeeds": data.get("dietary_needs", []),
            "doctor": data.get("doctor"),
        }  # fmt: skip

    def contact(key: str, data: Data) -> Data:
        forename, surname = _name(data)
        return {
            "contactId": key, "forename": forename, "surname": surname, "telephone": data["telephone"],
            "emailAddress": data["email"], "address": data["address"],
            "students": [
                {"schoolId": link["student"], "relationship": link["relationship"], "contactOrder": link["priority"]}
                for link in data["students"]
            ],
        }  # fmt: skip

    def employee(key: str, data: Data) -> Data:
        forename, surname = _name(data)
        return {
            "initials": key, "forename": forename, "surname": surname, "schoolEmailAddress": data["email"],
            "jobTitle": data["role"],
        }  # fmt: skip

    _write_json(
        school,
        folder,
        {
            "terms": lambda _key, data: {
                "schoolYear": data["academic_year"], "name": data["name"], "startDate": midnight(data["starts_on"]),
                "finishDate": midnight(data["ends_on"]),
            },
            "yeargroups year_groups": lambda key, data: {
                "code": key, "name": data["name"], "ncYear": int(data["national_curriculum_year"]),
            },
            "forms registration_groups": lambda _key, data: {"form": data["name"], "yearGroup": data["year_group"]},
            "houses": lambda _key, data: {"houseName": data["name"]},
            "students": student,
            "contacts": contact,
            "employees staff": employee,
            "sets classes": lambda key, data: {
                "setCode": key, "subject": data["subject"], "studentIds": data["students"],
                "teacherInitials": data["teachers"],
            },
            "periods": lambda key, data: {
                "name": key, "day": data["weekday"], "startTime": f"{data['starts_at']}:00",
                "finishTime": f"{data['ends_at']}:00",
            },
            "timetables lessons": lambda _key, data: {
                "period": data["period"], "setCode": data["class"], "room": data["room"],
                "teacherInitials": data["staff"],
            },
            "registrations attendance": lambda _key, data: {
                "schoolId": data["student"], "date": midnight(data["date"]), "registrationPeriod": data["session"],
                "code": data["mark"], "reason": data.get("reason"), "minutesLate": data.get("minutes_late"),
            },
            "assessments": lambda _key, data: {
                "schoolId": data["student"], "assessmentName": data["name"], "subject": data["subject"],
                "grade": data["result"], "date": midnight(data["date"]),
            },
        },
    )  # fmt: skip


EXPORTS: dict[str, Callable[[School, Path], None]] = {
    "sims": _write_sims,
    "cmis": _write_cmis,
    "pupil_asset": _write_pupil_asset,
    "arbor": _write_arbor,
    "isams": _write_isams,
}
