"""Build the fictional school: its records, with the member names that all MIS share, by collection and key."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from .names import (
    ALLERGIES,
    CONDITIONS,
    DIETS,
    DOCTORS,
    ETHNICITIES,
    FAMILY_NAMES,
    GIVEN_NAMES,
    HOUSES,
    LANGUAGES,
    OTHER_ROLES,
    SEN_NEEDS,
    STREETS,
    SUBJECTS,
)

TERM_START, TERM_END = date(2026, 9, 2), date(2026, 12, 18)
HALF_TERM = (date(2026, 10, 26), date(2026, 10, 30))
REFERENCE_DATE = date(2026, 11, 27)
"""The last day with attendance marks."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri")
PERIOD_STARTS = ("08:50", "09:50", "11:10", "12:10", "14:10")
PERIOD_ENDS = ("09:50", "10:50", "12:10", "13:10", "15:10")
YEARS = (7, 8, 9, 10, 11)
CLASS_SIZE = 30
UPN_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"

Data = dict[str, Any]


@dataclass
class School:
    """All records, by collection and then by the key that the MIS has for each."""

    records: dict[str, dict[str, Data]]
    random: random.Random
    key_numbers: Iterator[int]
    """The numbers that keys are made from, each used once."""
    groups_per_year: int
    """How many registration groups a year has, and how many classes in each subject."""

    def __getitem__(self, collection: str) -> dict[str, Data]:
        return self.records[collection]


def build(pupils: int = 600, seed: int = 1) -> School:
    """The school with this many pupils. The same `seed` makes the same school."""
    names = (
        "terms", "year_groups", "registration_groups", "houses", "students", "contacts", "staff", "classes", "periods",
        "lessons", "attendance", "assessments",
    )  # fmt: skip
    school = School(
        {name: {} for name in names}, random.Random(seed), itertools.count(4001),  # noqa: S311  no secret
        max(1, round(pupils / len(YEARS) / CLASS_SIZE)),
    )  # fmt: skip
    _add_calendar(school)
    _add_staff(school)
    _add_groups(school)
    while len(school["students"]) < pupils:
        add_family(school, at_most=pupils - len(school["students"]))
    return school


def add_family(school: School, *, at_most: int = 3) -> list[str]:
    """Add one to three siblings and their parents or carers; returns the keys of the pupils."""
    rng, surname = school.random, school.random.choice(FAMILY_NAMES)
    postcode = f"ZZ{rng.randint(1, 9)} {rng.randint(1, 9)}ZZ"
    address = f"{rng.randint(1, 99)} {rng.choice(STREETS)}, Ashby Fold, {postcode}"
    years = rng.sample(YEARS, min(at_most, rng.choice((1, 1, 1, 2, 2, 3))))
    siblings = [_add_pupil(school, surname, year) for year in years]
    for priority, relationship in enumerate(rng.choice((("Mother", "Father"), ("Mother",), ("Father", "Carer")))):
        given, number = rng.choice(GIVEN_NAMES), next(school.key_numbers)
        school["contacts"][f"C{number}"] = {
            "name": f"{given} {surname}",
            "students": [
                {"student": pupil, "relationship": relationship, "priority": priority + 1} for pupil in siblings
            ],
            "telephone": f"07700 900{rng.randint(0, 999):03}",
            "email": f"contact{number}@family.example",
            "address": address,
        }
    return siblings


def add_marks(school: School, day: date, pupils: list[str]) -> None:
    """Add the attendance marks of one day."""
    for pupil in pupils:
        for session, present in (("AM", "/"), ("PM", "\\")):
            data: Data = {"student": pupil, "date": day.isoformat(), "session": session, "mark": present}
            draw = school.random.random()
            if draw > 0.98:
                data |= {"mark": "L", "reason": "Late (before registers closed)"}
                data["minutes_late"] = school.random.randint(1, 25)
            elif draw > 0.95:
                data |= {"mark": "I", "reason": "Illness"}
            elif draw > 0.94:
                data |= {"mark": "M", "reason": "Medical or dental appointment"}
            school["attendance"][f"{pupil}|{data['date']}|{session}"] = data


def school_days() -> list[date]:
    """The days of the term up to `REFERENCE_DATE` on which there is school."""
    days = (TERM_START + timedelta(days=number) for number in range((REFERENCE_DATE - TERM_START).days + 1))
    return [day for day in days if day.weekday() < 5 and not HALF_TERM[0] <= day <= HALF_TERM[1]]


def _add_calendar(school: School) -> None:
    school["terms"]["2026/27|Autumn"] = {
        "name": "Autumn", "academic_year": "2026/27", "starts_on": TERM_START.isoformat(),
        "ends_on": TERM_END.isoformat(),
    }  # fmt: skip
    school["terms"]["2026/27|Spring"] = {
        "name": "Spring", "academic_year": "2026/27", "starts_on": "2027-01-05", "ends_on": "2027-03-25",
    }  # fmt: skip
    for weekday, day in enumerate(DAYS, start=1):
        for number, (start, end) in enumerate(zip(PERIOD_STARTS, PERIOD_ENDS, strict=True), start=1):
            name = f"{day}:{number}"
            school["periods"][name] = {"name": name, "weekday": weekday, "starts_at": start, "ends_at": end}


def _add_staff(school: School) -> None:
    teachers = [f"Teacher of {subject}" for subject in SUBJECTS for _ in range(max(1, school.groups_per_year))]
    used: set[str] = set()
    for role in (*OTHER_ROLES, *teachers):
        given, family = school.random.choice(GIVEN_NAMES), school.random.choice(FAMILY_NAMES)
        letters = "".join(char for char in family.upper() if char.isascii() and char.isalpha())
        code = next(
            code for number in itertools.count() if (code := f"{given[0]}{letters[:2]}{number or ''}") not in used
        )
        used.add(code)
        school["staff"][code] = {
            "name": f"{given} {family}", "role": role, "email": f"{code.lower()}@school.example", "staff_code": code,
        }  # fmt: skip


def _add_groups(school: School) -> None:
    for house in HOUSES:
        school["houses"][house] = {"name": house}
    for year in YEARS:
        school["year_groups"][f"Year {year}"] = {"name": f"Year {year}", "national_curriculum_year": str(year)}
        for number in range(school.groups_per_year):
            letter = chr(ord("A") + number)
            school["registration_groups"][f"{year}{letter}"] = {"name": f"{year}{letter}", "year_group": f"Year {year}"}
            _add_classes(school, year, letter, number)


def _add_classes(school: School, year: int, letter: str, number: int) -> None:
    """The classes of one registration group, and its lessons: a subject in each period of the week."""
    for subject, code in SUBJECTS.items():
        teachers = [key for key, data in school["staff"].items() if data["role"] == f"Teacher of {subject}"]
        school["classes"][f"{year}{letter}/{code}"] = {
            "name": f"{year}{letter}/{code}", "subject": subject, "students": [],
            "teachers": [teachers[number % len(teachers)]],
        }  # fmt: skip
    codes = list(SUBJECTS.values())
    for position, period in enumerate(school["periods"]):
        name = f"{year}{letter}/{codes[(position + year + number) % len(codes)]}"
        school["lessons"][f"{period}|{name}"] = {
            "period": period, "class": name, "room": f"R{(position + year * 7 + number) % 40 + 1}",
            "staff": school["classes"][name]["teachers"][:],
        }  # fmt: skip


def _add_pupil(school: School, surname: str, year: int) -> str:
    rng, number = school.random, next(school.key_numbers)
    key, given = str(number), rng.choice(GIVEN_NAMES)
    letter = chr(ord("A") + rng.randrange(school.groups_per_year))
    birth = date(2026 - year - 5, 9, 1) + timedelta(days=rng.randrange(364))
    data: Data = {
        "legal_given_name": given, "legal_family_name": surname, "birth_date": birth.isoformat(),
        "upn": _upn(number), "year_group": f"Year {year}", "registration_group": f"{year}{letter}",
        "house": rng.choice(HOUSES), "entry_date": date(2026 - year + 7, 9, 2).isoformat(),
        "preferred_given_name": given[:3] if rng.random() < 0.1 else given, "preferred_family_name": surname,
        "ethnicity": rng.choice(ETHNICITIES), "first_language": rng.choice(LANGUAGES),
        "free_school_meals": rng.random() < 0.2, "pupil_premium": rng.random() < 0.25,
        "looked_after": rng.random() < 0.01,
    }  # fmt: skip
    if rng.random() < 0.3:
        data["middle_names"] = rng.choice(GIVEN_NAMES)
    if rng.random() < 0.15:
        has_plan = rng.random() < 0.2
        data |= {"sen_status": "EHCP" if has_plan else "SEN support", "has_ehc_plan": has_plan}
        data["sen_needs"] = rng.sample(SEN_NEEDS, rng.choice((1, 1, 2)))
    if rng.random() < 0.2:
        data |= {"doctor": rng.choice(DOCTORS)}
        for member, choices in (
            ("medical_conditions", CONDITIONS),
            ("allergies", ALLERGIES),
            ("dietary_needs", DIETS),
        ):
            if rng.random() < 0.5:
                data[member] = [rng.choice(choices)]
    school["students"][key] = data
    for code in SUBJECTS.values():
        school["classes"][f"{year}{letter}/{code}"]["students"].append(key)
    for day in school_days():
        add_marks(school, day, [key])
    for subject in ("English", "Mathematics", "Science"):
        taken_on = "2026-11-13"
        school["assessments"][f"{key}|Autumn assessment|{subject}|{taken_on}"] = {
            "name": "Autumn assessment", "student": key, "subject": subject, "result": str(rng.randint(1, 9)),
            "date": taken_on,
        }  # fmt: skip
    return key


def _upn(number: int) -> str:
    """A unique pupil number with its check letter, of local authority 990, which does not exist."""
    digits = f"9904001{16 + number // 1000:02}{number % 1000:03}"
    total = sum(int(digit) * weight for weight, digit in enumerate(digits, start=2))
    return f"{UPN_LETTERS[total % 23]}{digits}"
