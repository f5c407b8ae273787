"""Pupil Asset: one workbook (xlsx), with a sheet for each report."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from ..records import Problems, UnreadableReport
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
from .tables import Field, Gather, Row, Table, TableReader

MAX_UNPACKED_BYTES = 1 << 30
"""A larger workbook is refused: it is a compressed archive, so even a small file could fill the memory."""
PUPIL = Field("", "Pupil ID")

TABLES = {
    "terms": Table(
        "Terms",
        (Field("", "Academic year"), Field("", "Term")),
        (
            Field("name", "Term"), Field("academic_year", "Academic year"), Field("starts_on", "Starts", day),
            Field("ends_on", "Ends", day),
        ),
    ),
    "year_groups": Table(
        "Pupils",
        (Field("", "Year group", year_group),),
        (Field("name", "Year group", year_group), Field("national_curriculum_year", "Year group", curriculum_year)),
        repeats=True,
        is_derived=True,
    ),
    "registration_groups": Table(
        "Pupils",
        (Field("", "Class"),),
        (Field("name", "Class"), Field("year_group", "Year group", year_group)),
        repeats=True,
        is_derived=True,
    ),
    "houses": Table("Pupils", (Field("", "House"),), (Field("name", "House"),), repeats=True, is_derived=True),
    "students": Table(
        "Pupils",
        (PUPIL,),
        (
            Field("legal_given_name", "Forename"), Field("legal_family_name", "Surname"),
            Field("preferred_given_name", "Known as"), Field("preferred_family_name", "Known as surname"),
            Field("middle_names", "Middle names"), Field("birth_date", "Date of birth", day), Field("upn", "UPN", upn),
            Field("year_group", "Year group", year_group), Field("registration_group", "Class"),
            Field("house", "House"), Field("entry_date", "Start date", day), Field("leaving_date", "Leaving date", day),
            Field("ethnicity", "Ethnicity"), Field("first_language", "First language"),
            Field("free_school_meals", "FSM", yes_or_no), Field("pupil_premium", "Pupil premium", yes_or_no),
            Field("looked_after", "Looked after", yes_or_no), Field("sen_status", "SEN stage"),
            Field("sen_needs", "SEN needs", texts), Field("has_ehc_plan", "EHC plan", yes_or_no),
            Field("medical_conditions", "Medical conditions", texts), Field("allergies", "Allergies", texts),
            Field("dietary_needs", "Dietary needs", texts), Field("doctor", "GP"),
        ),
    ),
    "contacts": Table(
        "Contacts",
        (Field("", "Contact ID"),),
        (
            Field("name", "Contact name"), Field("telephone", "Phone", telephone), Field("email", "Email", email),
            Field("address", "Address"),
        ),
        gathers=(
            Gather(
                "students",
                "Contacts",
                "Contact ID",
                (
                    Field("student", "Pupil ID"), Field("relationship", "Relationship"),
                    Field("priority", "Order", priority),
                ),
            ),
        ),
        repeats=True,
    ),
    "staff": Table(
        "Staff",
        (Field("", "Initials"),),
        (
            Field("name", "Name"), Field("role", "Job title"), Field("email", "Email", email),
            Field("staff_code", "Initials"),
        ),
    ),
    "classes": Table(
        "Teaching groups",
        (Field("", "Group"),),
        (Field("name", "Group"), Field("subject", "Subject"), Field("teachers", "Teachers", texts)),
        gathers=(Gather("students", "Group members", "Group", (PUPIL,)),),
    ),
    "periods": Table(
        "Periods",
        (Field("", "Period"),),
        (
            Field("name", "Period"), Field("weekday", "Day", weekday), Field("starts_at", "Start", clock_time),
            Field("ends_at", "End", clock_time),
        ),
    ),
    "lessons": Table(
        "Timetable",
        (Field("", "Period"), Field("", "Group")),
        (Field("period", "Period"), Field("class", "Group"), Field("room", "Room"), Field("staff", "Teachers", texts)),
    ),
    "attendance": Table(
        "Attendance",
        (PUPIL, Field("", "Date", day), Field("", "Session")),
        (
            Field("student", "Pupil ID"), Field("date", "Date", day), Field("session", "Session"),
            Field("mark", "Code"), Field("reason", "Reason"), Field("minutes_late", "Minutes late", minutes),
        ),
    ),
    "assessments": Table(
        "Assessments",
        (
            PUPIL, Field("", "Assessment"), Field("", "Subject", is_optional=True),
            Field("", "Date", day, is_optional=True),
        ),
        (
            Field("name", "Assessment"), Field("student", "Pupil ID"), Field("subject", "Subject"),
            Field("result", "Result"), Field("date", "Date", day),
        ),
    ),
}  # fmt: skip


@dataclass
class Workbook:
    """The sheets of a workbook. If the path is a folder, it is the newest workbook in it."""

    path: Path
    has_headings: bool = True
    _cached_book: tuple[Any, Any] | None = None
    """The file opened last (path, time and size) and its book, because opening takes longer than reading a sheet."""

    def name(self, source: str) -> str:
        """The name of the sheet, for messages."""
        return f"sheet {source}"

    def rows(self, source: str, problems: Problems) -> Iterator[tuple[int, Row]]:
        """The rows of a sheet. Raises `UnreadableReport`."""
        path = self.path
        try:
            path = self._newest()
            book = self._open(path)
            if source in book.sheetnames:
                yield from _rows(book[source], self.name(source), problems)
                return
        except UnreadableReport:
            raise
        except OSError as error:
            raise UnreadableReport(
                f"{path.name} cannot be read: {error.strerror or error}. Close it in Excel."
            ) from error
        except Exception as error:  # a damaged workbook raises whatever its parser stumbles upon
            raise UnreadableReport(f"{path.name} is not a workbook, or is damaged. Export it again.") from error
        raise UnreadableReport(f"{path.name} has no sheet {source}. Export the workbook with all its sheets.")

    def _open(self, path: Path) -> Any:
        status = path.stat()
        version = path, status.st_mtime_ns, status.st_size
        if self._cached_book is None or self._cached_book[0] != version:
            _check_size(path)
            # From memory, so that the school's own program can replace the file meanwhile, on Windows too.
            self._cached_book = version, load_workbook(BytesIO(path.read_bytes()), read_only=True, data_only=True)
        return self._cached_book[1]

    def _newest(self) -> Path:
        if self.path.is_file():
            return self.path
        if not self.path.is_dir():
            raise UnreadableReport(f"{self.path} does not exist. Check the path, and that this account may read it.")
        # Excel keeps a file next to a workbook that is open: ~$name.xlsx
        books = [path for path in self.path.glob("*.xlsx") if not path.name.startswith("~$") and path.is_file()]
        if not books:
            raise UnreadableReport(f"There is no workbook (.xlsx) in {self.path}. Check that it is exported there.")
        return max(books, key=lambda path: path.stat().st_mtime_ns)


def _check_size(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, InvalidFileException) as error:
        raise UnreadableReport(f"{path.name} is not a workbook, or is cut off. Export it again.") from error
    if size > MAX_UNPACKED_BYTES:
        raise UnreadableReport(f"{path.name} is too large. Export fewer years of attendance.")


def _rows(sheet: Any, name: str, problems: Problems) -> Iterator[tuple[int, Row]]:
    listed = sheet.iter_rows(values_only=True)
    headings = [str(heading).strip() if heading is not None else "" for heading in next(listed, ())]
    if not any(headings):
        raise UnreadableReport(f"The {name} is empty: it does not even have headings. Export it again.")
    for number, values in enumerate(listed, start=2):
        if all(value is None or value == "" for value in values):
            continue
        row = dict.fromkeys(headings) | dict(zip(headings, values, strict=False))  # empty cells at the end are absent
        for heading, value in row.items():
            if isinstance(value, str) and value.startswith("#") and value.rstrip("!?").isupper() and len(value) < 9:
                problems.add(name, number, heading, "is an error of the spreadsheet, so it was left out")
                row[heading] = None
        yield number, row


def reader(path: Path) -> TableReader:
    """A reader of this workbook, or of the newest one in this folder."""
    return TableReader(Workbook(path), TABLES)
