"""Parse the search box's text: a number, a postcode, or a name.

`parse` returns every interpretation, the likeliest first; the search uses the first that finds a school.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from idp.schools import words

MAX_LENGTH = 200
"""Characters of the text that are used; the longest name in the register has 120."""

QueryKind = Literal["dfe_number", "urn", "ukprn", "postcode", "name"]

_LABELLED = re.compile(r"^\s*(?:urn|ukprn|dfe|laestab)(?:\s+(?:number|no\.?))?\s*:?\s*(?=\d)", re.IGNORECASE)
_DFE_NUMBER = re.compile(r"(\d{3})(?:\s*[/ -]\s*(\d{1,4})|(\d{4}))")
_URN = re.compile(r"\d{5,6}")
_UKPRN = re.compile(r"\d{8}")

_AREA = r"[A-Z]{1,2}"
_DISTRICT = re.compile(rf"{_AREA}(?:\d|\d\d|\d[A-Z])")
_INWARD = re.compile(r"\d[A-Z]{0,2}")
_WHOLE = re.compile(rf"{_DISTRICT.pattern} \d[A-Z]{{2}}")
_OVERSEAS = re.compile(r"(ASCN|BBND|BIQQ|FIQQ|PCRN|SIQQ|STHL|TDCU|TKCA)(1Z{0,2})?")
"""Postcodes of overseas territories, such as FIQQ 1ZZ: one for each territory."""
_FORCES = re.compile(r"BFPO(\d{0,4})")
"""British Forces Post Offices: BFPO and one to four digits."""
_GIROBANK = "GIR0AA"

_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
_SIGNS_AROUND = re.compile(r"^[\s.,;:!?()\"]+|\s*[.,;:!?()\"][\s.,;:!?()\"]*$")
"""Punctuation at the ends. A single space at the end is kept: it means that a district is complete."""

_SHAPES = ("A9", "A99", "A9A", "AA9", "AA99", "AA9A")
_TO_LETTER = str.maketrans("01", "OI")
_TO_DIGIT = str.maketrans("OI", "01")


@dataclass(frozen=True, slots=True)
class Reading:
    """One interpretation of the text. `values` are searched for, the best one first."""

    kind: QueryKind
    values: tuple[str, ...]

    @property
    def description(self) -> str:
        """The interpretation in words, for the page."""
        value = self.values[0].strip()
        match self.kind:
            case "dfe_number":
                return f"the DfE number {value[:3]}/{value[3:]}"
            case "urn":
                return f"the URN {value}"
            case "ukprn":
                return f"the UKPRN {value}"
            case "postcode":
                if is_whole(value):
                    return f"the postcode {value}"
                return f"postcodes beginning {' or '.join(dict.fromkeys(postcode.strip() for postcode in self.values))}"
            case "name":
                return f'the name or town "{value}"'


def tidy(text: str) -> str:
    """`text` without control characters and lone surrogates, cut to `MAX_LENGTH`."""
    text = text[:MAX_LENGTH].encode("utf-8", "ignore").decode("utf-8")
    visible = (letter for letter in text if unicodedata.category(letter) != "Cf")  # no width, and no meaning here
    return "".join(letter if letter.isprintable() else " " for letter in visible)


def parse(text: str) -> tuple[Reading, ...]:
    """Every interpretation of `text`, likeliest first; none if it has fewer than two letters or digits."""
    text = _LABELLED.sub("", _SIGNS_AROUND.sub("", unicodedata.normalize("NFKC", tidy(text)).translate(_DASHES)))
    readings = [_number(text.strip()), _postcode(text)]
    if not any(readings):
        readings += _among_words(text)
    return tuple(reading for reading in (*readings, _name(text)) if reading)


def is_whole(postcode: str) -> bool:
    """Whether a postcode, with its space, is complete and not the beginning of several."""
    key = postcode.replace(" ", "")
    overseas, forces = _OVERSEAS.fullmatch(key), _FORCES.fullmatch(key)
    special = (overseas and overseas[2] == "1ZZ") or (forces and forces[1]) or key == _GIROBANK
    return bool(_WHOLE.fullmatch(postcode) or special)


def _number(text: str) -> Reading | None:
    """A DfE number (the establishment's part padded to four), a URN or a UKPRN."""
    if _URN.fullmatch(text):
        return Reading("urn", (text,))
    if _UKPRN.fullmatch(text):
        return Reading("ukprn", (text,))
    if number := _DFE_NUMBER.fullmatch(text):
        return Reading("dfe_number", (number[1] + (number[2] or number[3]).zfill(4),))
    return None


def _among_words(text: str) -> Iterator[Reading]:
    """Whole postcodes and long numbers among other words: "nr4 6jt, norwich"."""
    parts = [part.strip(".,;:()") for part in re.split(r"[\s,;]+", text)][: MAX_LENGTH // 2]
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        for typed in (f"{part}{following}", part):
            digits = sum(letter.isdigit() for letter in typed)
            postcode = _postcode(typed) if digits and len(typed) <= len("AA9A9AA") else None
            if postcode and is_whole(postcode.values[0]):
                yield postcode
        if len(part) > len("99999") and (number := _number(part)):
            yield number


def _name(text: str) -> Reading | None:
    """Words of a name and town, as they were typed."""
    return Reading("name", (" ".join(text.split()),)) if len(words.normalise(text)) > 1 else None


def _postcode(text: str) -> Reading | None:
    """A postcode or its beginning; the values are beginnings of postcodes written with their one space."""
    typed = text.lstrip().upper()
    key = "".join(typed.split())
    if not (any(letter.isdigit() for letter in key) or _special(key)) or not key.isalnum() or not key.isascii():
        return None
    if special := _special(key):
        return Reading("postcode", (special,))
    if full := _repair(key):
        return Reading("postcode", (full,))
    district, gap, inward = typed.partition(" ")
    inward = "".join(inward.split())
    if gap and _DISTRICT.fullmatch(district) and (not inward or _INWARD.fullmatch(inward)):
        return Reading("postcode", (f"{district} {inward}",))
    beginnings = _splits(key)
    return Reading("postcode", beginnings) if beginnings else None


def _special(key: str) -> str | None:
    """A postcode, or its beginning, that is not of the usual shape."""
    if overseas := _OVERSEAS.fullmatch(key):
        return f"{overseas[1]} {overseas[2] or ''}"
    if forces := _FORCES.fullmatch(key):
        return f"BFPO {forces[1]}"
    return "GIR 0AA" if key == _GIROBANK else None


def _splits(key: str) -> tuple[str, ...]:
    """Each place for the space: "B78" is district B78, an unfinished district, or B7 8.., in this order."""
    beginnings = []
    if _DISTRICT.fullmatch(key):
        beginnings = [f"{key} ", key]
    for cut in range(len(key) - 1, max(len(key) - 4, 1), -1):
        if _DISTRICT.fullmatch(key[:cut]) and _INWARD.fullmatch(key[cut:]):
            beginnings.append(f"{key[:cut]} {key[cut:]}")
    return tuple(beginnings)


def _repair(key: str) -> str | None:
    """A whole postcode, with O for 0 and I for 1 (or the reverse) corrected by position; None if it is not complete.

    The last two letters are not corrected: O and I never occur there, so with a 0 or 1 it is not complete.
    """
    outward, inward = key[:-3], key[-3:-2].translate(_TO_DIGIT) + key[-2:]
    if not _INWARD.fullmatch(inward) or len(inward) < 3:
        return None
    candidates = [repaired_outward for shape in _SHAPES if (repaired_outward := _in_shape(outward, shape))]
    if not candidates:
        return None
    best = min(
        candidates,
        key=lambda repaired_outward: sum(
            repaired != original for repaired, original in zip(repaired_outward, outward, strict=True)
        ),
    )
    return f"{best} {inward}"


def _in_shape(outward: str, shape: str) -> str | None:
    """`outward` with letters and digits where `shape` has them, or None."""
    if len(outward) != len(shape):
        return None
    pairs = zip(outward, shape, strict=True)
    repaired = "".join(letter.translate(_TO_LETTER if sign == "A" else _TO_DIGIT) for letter, sign in pairs)
    fits = all(letter.isalpha() == (sign == "A") for letter, sign in zip(repaired, shape, strict=True))
    return repaired if fits and not repaired.endswith(("O", "I")) else None  # no district ends in these letters
