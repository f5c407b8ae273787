"""What happens in a school from one day to the next: a pupil leaves, one joins, marks are added."""

from datetime import timedelta

from .school import REFERENCE_DATE, School, add_family, add_marks

CHANGES = ("leaves", "joins", "marks")


def apply(school: School, change: str) -> str:
    """Change the school; returns in a sentence what happened."""
    if change == "leaves":
        key = school.random.choice(sorted(school["students"]))
        data = school["students"][key]
        remove_pupil(school, key)
        return f"{data['legal_given_name']} {data['legal_family_name']} (admission number {key}) has left."
    if change == "joins":
        [key] = add_family(school, at_most=1)
        data = school["students"][key]
        return f"{data['legal_given_name']} {data['legal_family_name']} (admission number {key}) has joined."
    last = max((data["date"] for data in school["attendance"].values()), default=REFERENCE_DATE.isoformat())
    day = REFERENCE_DATE.fromisoformat(last) + timedelta(days=1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    add_marks(school, day, list(school["students"]))
    return f"Attendance of {day:%d/%m/%Y} was taken."


def remove_pupil(school: School, key: str) -> None:
    """Remove a pupil, everything about them, and contacts of no other pupil."""
    del school["students"][key]
    for collection in ("attendance", "assessments"):
        kept = {name: data for name, data in school[collection].items() if data["student"] != key}
        school.records[collection] = kept
    for data in school["classes"].values():
        data["students"] = [member for member in data["students"] if member != key]
    for data in school["contacts"].values():
        data["students"] = [link for link in data["students"] if link["student"] != key]
    school.records["contacts"] = {name: data for name, data in school["contacts"].items() if data["students"]}
