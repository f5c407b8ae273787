"""The format of the register, "Get Information about Schools": lines of text in, schools out.

No database and no network; lines are read one at a time. The columns move from year to year, so each is found by its
label, never by its position.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final, Literal

from idp.foundation.errors import Refusal
from idp.schools import codes

REGISTER: Final = "gias"

REQUIRED: Final = (
    "URN", "LA (code)", "LA (name)", "EstablishmentNumber", "EstablishmentName", "TypeOfEstablishment (code)",
    "TypeOfEstablishment (name)", "EstablishmentStatus (code)", "EstablishmentStatus (name)", "UKPRN",
)  # fmt: skip
OPTIONAL: Final = (
    "EstablishmentTypeGroup (code)", "EstablishmentTypeGroup (name)", "OpenDate", "CloseDate",
    "PhaseOfEducation (code)", "PhaseOfEducation (name)", "StatutoryLowAge", "StatutoryHighAge", "Trusts (code)",
    "Trusts (name)", "LastChangedDate", "Street", "Locality", "Address3", "Town", "County (name)", "Postcode",
    "SchoolWebsite", "TelephoneNum", "HeadTitle (name)", "HeadFirstName", "HeadLastName", "HeadPreferredJobTitle",
    "PreviousLA (code)", "PreviousEstablishmentNumber", "Country (name)",
)  # fmt: skip
LABELS: Final = REQUIRED + OPTIONAL
"""The columns that we read; a file without one of `REQUIRED` is refused."""
LINK_LABELS: Final = ("URN", "LinkURN", "LinkName", "LinkType", "LinkEstablishedDate")
"""The columns of the file of links."""

_PARSER_VERSION = b"1"
"""Part of every digest. Raise it when `school` reads a line differently, so that the next import writes all rows."""

_CODE_COLUMNS: Final = (
    ("type", "TypeOfEstablishment", codes.TYPES),
    ("group", "EstablishmentTypeGroup", codes.TYPE_GROUPS),
    ("status", "EstablishmentStatus", codes.STATUSES),
    ("phase", "PhaseOfEducation", codes.PHASES),
)
_CLASSIFICATION_LABELS: Final = (
    *(f"{label} ({part})" for _, label, _ in _CODE_COLUMNS for part in ("code", "name")),
    *("StatutoryLowAge", "StatutoryHighAge", "Country (name)"),
)
_pick_classification = itemgetter(*map(LABELS.index, _CLASSIFICATION_LABELS))

_URN = LABELS.index("URN")
_CHANGED = LABELS.index("LastChangedDate")
_POSTCODE = re.compile(r"([A-Z]{1,2}\d[A-Z\d]?)(\d[A-Z]{2})")
_WEBSITE = re.compile(
    r"(?:h?t+ps?[:;./\\]+)*/*(?:[^\s/?#@]*@)?((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63})(?=[:/?#]|$)",
    re.IGNORECASE,
)
_TELEPHONE_PUNCTUATION = str.maketrans("", "", " ()./-")


OddKind = Literal["unreadable", "unknown_code", "left_out"]


class FileRefused(Refusal):
    """A file that is not a whole, sound register. Nothing was changed."""

    code, status, title = "register_file_refused", 422, "The register was not imported"


@dataclass(frozen=True, slots=True)
class Line:
    """A school's line, not yet parsed: the values of `LABELS`, and a digest that differs when any of them does."""

    number: int
    values: tuple[str, ...]

    @property
    def urn(self) -> str:
        """The URN: digits, already checked."""
        return self.values[_URN]

    @property
    def last_changed(self) -> str:
        """`LastChangedDate` as YYYY-MM-DD, which sorts as text; empty where it is not a date."""
        text = self.values[_CHANGED]
        return f"{text[6:]}-{text[3:5]}-{text[:2]}" if _date(text) else ""

    @property
    def digest(self) -> bytes:
        """16 bytes of BLAKE2b."""
        return blake2b("\x1f".join(self.values).encode(), digest_size=16, salt=_PARSER_VERSION).digest()


_ODDITY_MESSAGES: Final[dict[OddKind, str]] = {
    "unknown_code": "a code we do not know, stored as it is",
    "unreadable": "could not be read, left empty",
    "left_out": "could not be read, so this school is not changed",
}


@dataclass(frozen=True, slots=True)
class Oddity:
    """A value in a line that is unknown to us, or that could not be read."""

    kind: OddKind
    urn: str
    label: str
    value: str

    def __str__(self) -> str:
        return f'URN {self.urn}: {self.label} "{self.value}": {_ODDITY_MESSAGES[self.kind]}'


@dataclass(frozen=True, slots=True)
class Link:
    """A line of the links file: `to_urn` is a `kind` of `from_urn`, for instance its successor."""

    from_urn: str
    to_urn: str
    name: str
    kind: str
    since: date | None


def lines(text: Iterable[str]) -> Iterator[Line]:
    """The schools' lines of a register, one at a time.

    Raises `FileRefused`, with the line's number, at the first thing that is wrong with the file.
    """
    urns: set[str] = set()
    for number, values in _records(text, REQUIRED, OPTIONAL, what="register"):
        line = Line(number, values)
        _check_urn(line.urn, number)
        if line.urn in urns:
            raise FileRefused(
                f"Line {number:,} has the URN {line.urn}, which an earlier line has already. "
                "A register has each school once: please take the file from its source again."
            )
        urns.add(line.urn)
        yield line


def links(text: Iterable[str]) -> Iterator[Link]:
    """The lines of a links file. Raises `FileRefused` as `lines` does; a date that cannot be read becomes None."""
    for number, (urn, other, name, kind, since) in _records(text, LINK_LABELS, (), what="links file"):
        _check_urn(urn, number)
        _check_urn(other, number)
        yield Link(urn, other, _clean(name), _clean(kind), _date(since))


def _check_urn(urn: str, number: int) -> None:
    if not (urn.isascii() and urn.isdigit() and len(urn) <= 7):
        raise FileRefused(
            f'Line {number:,} has "{urn[:40]}" where its URN, a number, should be. '
            "Please check that the file is as its source gave it."
        )


def _records(
    text: Iterable[str], required: Sequence[str], optional: Sequence[str], *, what: str
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each line's number, and its values in the order of `required` and `optional`, not that of the file."""
    rows = csv.reader(text, strict=True)
    number = 1
    try:
        header = next(rows, [])
        pick = itemgetter(*_positions(header, required, optional, what))
        number = rows.line_num + 1
        for row in rows:
            if len(row) == len(header):
                row.append("")  # the value of optional columns that the file lacks; see `_positions`
                yield number, pick(row)
            elif row:
                raise FileRefused(
                    f"Line {number:,} has {len(row)} fields and the heading {len(header)}. Either a quotation mark "
                    "is missing or the file was cut off: please take it from its source again."
                )
            number = rows.line_num + 1
    except csv.Error as error:
        raise FileRefused(
            f"The quotation marks of line {number:,} do not pair up, so it is not clear where its fields end. "
            "Please take the file from its source again.",
            reason=str(error),
        ) from error


def _positions(header: list[str], required: Sequence[str], optional: Sequence[str], what: str) -> list[int]:
    """The index of each label's column; that of an optional column which the file lacks is one after the last."""
    positions: dict[str, list[int]] = {}
    for index, label in enumerate(header):
        positions.setdefault(label.strip().casefold(), []).append(index)
    if missing := [label for label in required if label.casefold() not in positions]:
        raise FileRefused(
            f"This is not the {what}: its first line lacks {', '.join(missing)}. "
            "Please check that it is the file the register offers for download, with its heading."
        )
    if twice := [label for label in (*required, *optional) if len(positions.get(label.casefold(), ())) > 1]:
        raise FileRefused(f"The heading has {', '.join(twice)} more than once, so it is not clear which is meant.")
    return [positions.get(label.casefold(), [len(header)])[0] for label in (*required, *optional)]


def school(line: Line) -> tuple[dict[str, Any], list[Oddity]]:
    """The columns of `models.School` for a line, and its oddities."""
    values = _clean_all(line.values)
    raw = dict(zip(LABELS, values, strict=True))
    classification, odd = _classification(_pick_classification(values))
    oddities = [Oddity(kind, line.urn, label, value) for kind, label, value in odd]
    columns = {
        **_identity(raw, line, oddities),
        **classification,
        **_address(raw),
        "trust_code": raw["Trusts (code)"],
        "trust_name": raw["Trusts (name)"],
        "head_teacher": _head_teacher(raw),
        "digest": line.digest,
    }
    for name, label in (("opened_on", "OpenDate"), ("closed_on", "CloseDate"), ("last_changed_on", "LastChangedDate")):
        columns[name] = _date(raw[label])
        if columns[name] is None and raw[label] not in {"", "01-01-1900"}:
            oddities.append(Oddity("unreadable", line.urn, label, raw[label]))
    return columns, oddities


def _identity(raw: Mapping[str, str], line: Line, oddities: list[Oddity]) -> dict[str, Any]:
    la_code = _code(raw["LA (code)"])
    number = raw["EstablishmentNumber"].zfill(4) if raw["EstablishmentNumber"] else ""
    ukprn = raw["UKPRN"]
    if ukprn and not _is_number(ukprn, 8):
        oddities.append(Oddity("unreadable", line.urn, "UKPRN", ukprn))
        ukprn = ""
    return {
        "register": REGISTER,
        "register_id": line.urn,
        "name": raw["EstablishmentName"],
        "la_code": la_code,
        "la_name": raw["LA (name)"],
        "establishment_number": number,
        "dfe_number": _dfe_number(la_code, number),
        "former_dfe_number": _dfe_number(_code(raw["PreviousLA (code)"]), raw["PreviousEstablishmentNumber"].zfill(4)),
        "ukprn": ukprn or None,
    }


@lru_cache(maxsize=4096)  # most schools have one of a few combinations
def _classification(values: tuple[str, ...]) -> tuple[Mapping[str, Any], tuple[tuple[OddKind, str, str], ...]]:
    """Type, group, status, phase, ages and country as columns of `models.School`; oddities as (kind, label, value).

    `values` are those of `_CLASSIFICATION_LABELS`.
    """
    raw = dict(zip(_CLASSIFICATION_LABELS, values, strict=True))
    columns: dict[str, Any] = {}
    odd: list[tuple[OddKind, str, str]] = []
    for prefix, label, known in _CODE_COLUMNS:
        code = columns[f"{prefix}_code"] = _code(raw[f"{label} (code)"])
        columns[f"{prefix}_name"] = raw[f"{label} (name)"]
        if code and code not in known:
            odd.append(("unknown_code", f"{label} (code)", code))
    for name, label in (("low_age", "StatutoryLowAge"), ("high_age", "StatutoryHighAge")):
        age = raw[label]
        columns[name] = int(age) if age.isascii() and age.isdigit() and len(age) < 4 else None
        if age and columns[name] is None:
            odd.append(("unreadable", label, age))
    columns["standing"] = codes.status_rank(columns["status_code"])
    columns["country"] = "Wales" if columns["type_code"] == codes.WELSH else raw["Country (name)"]
    return columns, tuple(odd)


def _address(raw: Mapping[str, str]) -> dict[str, Any]:
    return {
        "street": raw["Street"],
        "locality": raw["Locality"],
        "address3": raw["Address3"],
        "town": raw["Town"],
        "county": raw["County (name)"],
        "postcode": (postcode := _postcode(raw["Postcode"])),
        "postcode_key": postcode.replace(" ", ""),
        "website": raw["SchoolWebsite"],
        "website_host": website_host(raw["SchoolWebsite"]),
        "telephone": raw["TelephoneNum"],
        "telephone_e164": telephone_e164(raw["TelephoneNum"]),
    }


def website_host(website: str) -> str:
    """The host of a website as schools type it, often without a scheme or with part of one; empty if there is none."""
    match = _WEBSITE.match(website.strip())
    return match[1].lower() if match else ""


def telephone_e164(telephone: str) -> str:
    """The number in E.164 form, or "". The register often omits the leading 0, so ten digits are a British number."""
    digits = telephone.translate(_TELEPHONE_PUNCTUATION)
    if digits.startswith("0"):
        digits = digits[1:]
        return f"+44{digits}" if _is_number(digits, 10) and digits[0] != "0" else ""
    return f"+44{digits}" if _is_number(digits, 10) else ""


def _is_number(text: str, length: int) -> bool:
    return len(text) == length and text.isascii() and text.isdigit()


def _clean_all(values: tuple[str, ...]) -> tuple[str, ...]:
    """Each value cleaned. Most lines are clean, and checking the joined line takes a fifth of the time."""
    joined = f"~{'~'.join(values)}~"
    if joined.isprintable() and not any(gap in joined for gap in ("  ", "~ ", " ~")):
        return values
    return tuple(map(_clean, values))


def _clean(text: str) -> str:
    """`text` with one space between words, none around them, and no unprintable characters."""
    text = " ".join(text.split())
    return text if text.isprintable() else _clean("".join(letter if letter.isprintable() else " " for letter in text))


def _code(text: str) -> str:
    """A code without leading zeros, which older files have."""
    return text.lstrip("0") or text[:1]


def _dfe_number(la_code: str, number: str) -> str | None:
    """LA code and establishment number, seven digits; None if either is missing."""
    is_complete = _is_number(la_code, 3) and la_code != "999" and _is_number(number, 4) and number != "0000"
    return la_code + number if is_complete else None


def _postcode(text: str) -> str:
    """A British postcode in capitals, with its space; other text only in capitals."""
    match = _POSTCODE.fullmatch(text.upper().replace(" ", ""))
    return f"{match[1]} {match[2]}" if match else text.upper()


def _head_teacher(raw: Mapping[str, str]) -> str:
    name = " ".join(filter(None, (raw["HeadTitle (name)"], raw["HeadFirstName"], raw["HeadLastName"])))
    return ", ".join(filter(None, (name, raw["HeadPreferredJobTitle"])))


@lru_cache(maxsize=4096)
def _date(text: str) -> date | None:
    """DD-MM-YYYY; None for anything else, and for 01-01-1900, which stands for "unknown"."""
    if not re.fullmatch(r"\d{2}-\d{2}-\d{4}", text, re.ASCII) or text == "01-01-1900":
        return None
    try:
        return date(int(text[6:]), int(text[3:5]), int(text[:2]))
    except ValueError:
        return None
