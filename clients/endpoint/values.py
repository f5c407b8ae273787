"""Converters of the values that MIS export to the form that they have in extracts.

Each returns None for an empty value, and raises `InvalidValue`, whose message never contains the value.
"""

import datetime as dt
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

MAX_TEXT_LENGTH: Final = 1000
MAX_MINUTES: Final = 1440
MAX_PRIORITY: Final = 100
EMPTY: Final = frozenset({"", "null", "NULL", "#n/a", "#N/A", "n/a", "N/A", "-"})
"""What stands for no value, as programs write it; "Null" is a surname."""
TRUE: Final = frozenset({"t", "true", "y", "yes", "1"})
FALSE: Final = frozenset({"f", "false", "n", "no", "0"})
DATE_FORMATS: Final = ("%d/%m/%Y", "%Y-%m-%d", "%d-%m-%Y", "%d.%m.%Y", "%d %b %Y", "%d-%b-%Y", "%d %B %Y")
BRITISH_MIDNIGHT: Final = re.compile(r"[T ]23:00(?::00(?:\.0+)?)?(?:Z|\+00:?00)$")
"""The end of a day that a program has converted to UTC in summer: the next day began then."""
NUMBER_WITHOUT_ZERO: Final = re.compile("(?:44)?[1235789][0-9]{9}")
"""A British telephone number without the 0 or the + before it."""
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MOJIBAKE: Final = re.compile("[\u00c2\u00c3\u00c5][\u0080-\u00bf\u0152-\u02dc\u2013-\u2122]|\u00e2\u20ac")
"""What UTF-8 looks like after it was read as Windows-1252."""

Converter = Callable[[Any], Any]


class InvalidValue(ValueError):
    """The value cannot be used; the message says what is wrong with it."""


class RepairedValue(InvalidValue):
    """The value was wrong and has been repaired: `value` is the repaired one."""

    def __init__(self, message: str, value: Any) -> None:
        super().__init__(message)
        self.value = value


def text(value: Any) -> str | None:
    """Text in composed form (NFC), without control characters and without spaces at either end."""
    if value is None:
        return None
    if isinstance(value, bool | list | dict):
        raise InvalidValue("should be text")
    if isinstance(value, float) and value.is_integer():  # a spreadsheet has no whole numbers
        value = int(value)
    plain = str(value).strip()
    if len(plain) > MAX_TEXT_LENGTH:  # first, since composing a text takes the square of its length
        raise InvalidValue(f"is longer than {MAX_TEXT_LENGTH} characters")
    if not (plain.isascii() and plain.isprintable()):
        plain = unicodedata.normalize("NFC", plain)
        plain = "".join(char if char.isprintable() or char == "\n" else " " for char in plain).strip()
    if plain in EMPTY:
        return None
    if plain.isascii():
        return plain
    if MOJIBAKE.search(plain) and (repaired := _repair_mojibake(plain)):
        raise RepairedValue("was saved in the wrong encoding, and was put right", repaired)
    if "\N{REPLACEMENT CHARACTER}" in plain:
        raise RepairedValue("has characters that cannot be read; check its encoding", plain)
    return plain


def day(value: Any) -> str | None:
    """A date, as dd/mm/yyyy or ISO 8601; a time of day after it is ignored, unless it is midnight in Britain."""
    if isinstance(value, dt.datetime):
        value = value.date()
    if isinstance(value, dt.date):
        return _iso_date(value)
    plain = text(value)
    if plain is None:
        return None
    return _parse_day(plain)


@lru_cache(maxsize=4096)
def _parse_day(plain: str) -> str:
    may_be_midnight = BRITISH_MIDNIGHT.search(plain) is not None
    plain = re.sub(r"[T ]\d{1,2}:\d{2}.*$", "", plain, flags=re.DOTALL)
    for form in DATE_FORMATS:
        try:
            parsed = dt.datetime.strptime(plain, form).date()  # noqa: DTZ007  a day has no time zone
        except ValueError:
            continue
        if may_be_midnight and _is_summer_time(parsed):
            parsed += dt.timedelta(days=1)
        return _iso_date(parsed)
    raise InvalidValue("is not a date (expected like 31/12/2026)")


def _is_summer_time(parsed: dt.date) -> bool:
    """Whether 23:00 UTC on this day is in British Summer Time, which begins and ends on a last Sunday at 01:00 UTC."""
    begin, end = (dt.date(parsed.year, month, 31) for month in (3, 10))
    return begin - dt.timedelta(days=begin.isoweekday() % 7) <= parsed < end - dt.timedelta(days=end.isoweekday() % 7)


def yes_or_no(value: Any) -> bool | None:
    """A yes or a no, in any spelling that MIS use."""
    if isinstance(value, bool):
        return value
    plain = text(value)
    if plain is None:
        return None
    if plain.lower() in TRUE | FALSE:
        return plain.lower() in TRUE
    raise InvalidValue("is neither yes nor no")


def minutes(value: Any) -> int | None:
    """Minutes of one day."""
    return _whole_number(value, MAX_MINUTES)


def priority(value: Any) -> int | None:
    """In which order the contacts of a pupil are called."""
    return _whole_number(value, MAX_PRIORITY)


def _whole_number(value: Any, maximum: int) -> int | None:
    plain = text(value)
    if plain is None:
        return None
    if not re.fullmatch(r"[0-9]{1,4}", plain) or int(plain) > maximum:
        raise InvalidValue(f"is not a whole number from 0 to {maximum}")
    return int(plain)


def clock_time(value: Any) -> str | None:
    """A time of day, as HH:MM."""
    if isinstance(value, dt.datetime):
        value = value.time()
    if isinstance(value, dt.time):
        return f"{value:%H:%M}"
    plain = text(value)
    if plain is None:
        return None
    match = re.fullmatch(r"([01]?[0-9]|2[0-3])[:.]([0-5][0-9])(?::[0-5][0-9])?", plain)
    if match is None:
        raise InvalidValue("is not a time (expected like 08:50)")
    return f"{int(match[1]):02}:{match[2]}"


def weekday(value: Any) -> int | None:
    """A day of the week, by name or number; 1 is Monday."""
    plain = text(value)
    if plain is None:
        return None
    if plain[:3].lower() in WEEKDAYS:
        return WEEKDAYS.index(plain[:3].lower()) + 1
    if re.fullmatch(r"[1-7]", plain):
        return int(plain)
    raise InvalidValue("is not a day of the week")


def texts(value: Any) -> list[str] | None:
    """A list: of JSON, or values separated by semicolons or bars."""
    if isinstance(value, list):
        return [plain for item in value if (plain := text(item)) is not None] or None
    plain = text(value)
    return [part.strip() for part in re.split(r"[;|]", plain) if part.strip()] or None if plain else None


def email(value: Any) -> str | None:
    """An e-mail address; only its form is checked."""
    plain = text(value)
    if plain is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", plain):
        raise InvalidValue("is not an e-mail address")
    return plain


def telephone(value: Any) -> str | None:
    """A telephone number. A spreadsheet may have taken it for a number, which has no leading zero and no plus sign."""
    plain = text(value)
    if plain is not None and NUMBER_WITHOUT_ZERO.fullmatch(plain):
        message = "was saved as a number; its leading zero or + was put back"
        raise RepairedValue(message, f"0{plain}" if len(plain) == 10 else f"+{plain}")
    return plain


def upn(value: Any) -> str | None:
    """A unique pupil number: a letter, eleven digits, and a digit or a letter."""
    plain = text(value)
    if plain is not None and not re.fullmatch(r"[A-Z][0-9]{11}[0-9A-Z]", plain.upper()):
        raise InvalidValue("is not a UPN (a letter and twelve digits)")
    return plain.upper() if plain else None


def year_group(value: Any) -> str | None:
    """The name of a year group; a bare number is a year: `7` is `Year 7`."""
    plain = text(value)
    if plain is not None and (match := re.fullmatch(r"(?:year|yr|y)?\s*([0-9]{1,2})", plain, re.IGNORECASE)):
        return f"Year {int(match[1])}"
    return plain


def curriculum_year(value: Any) -> str | None:
    """The national curriculum year in the name of a year group; None if it has none."""
    plain = text(value)
    match = re.search(r"\b([0-9]{1,2})\b", plain or "")
    return str(int(match[1])) if match else None


def _iso_date(value: dt.date) -> str:
    if not 1900 <= value.year <= 2100:
        raise InvalidValue("is a date in a year that cannot be right")
    return value.isoformat()


def _repair_mojibake(plain: str) -> str | None:
    try:
        return plain.encode("cp1252").decode("utf-8")
    except ValueError:
        return None
