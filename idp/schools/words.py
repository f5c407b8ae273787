"""Normalise names of schools, so that different spellings give the same words.

`fold` is applied both to stored names and to searches. It never fails, and it is idempotent.
"""

import re
import unicodedata
from functools import lru_cache

_PUNCTUATION = dict.fromkeys(map(ord, "'`\u2018\u2019\u00b4\u02bc\u2032"), "") | {ord("&"): " and "}
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th"})
_INITIAL = re.compile(r"(?<![a-z0-9])([a-z])\.")
_SEPARATORS = re.compile(r"[^a-z0-9]+")

_PHRASES = re.compile(
    r"(?<!\S)(?:(?P<cofe>church of england|(?:c of|cof|co|c) e)|(?P<catholic>r c|(?:roman )+catholic))(?!\S)"
)
_AMBIGUOUS_WORDS = frozenset({"e", "england", "c", "roman"})
"""Every phrase has one of these words; most names have none, which saves the regular expression."""

_ABBREVIATIONS = {
    short: long
    for long, shorts in {
        "saint": "st sts ss saints",
        "cofe": "ce coe",
        "catholic": "rc",
        "junior": "jnr jun jr juniors",
        "infant": "inf infs infants",
        "primary": "pri prim prm",
        "secondary": "sec",
        "middle": "mid",
        "nursery": "nurs nsy",
        "school": "sch schl schools",
        "academy": "acad",
        "college": "coll",
        "comprehensive": "comp",
        "community": "comm",
        "grammar": "gram",
        "preparatory": "prep",
        "special": "spec",
        "university": "univ",
        "centre": "center ctr",
        "mount": "mt",
        "sixth": "6th",
        "high school": "hs",
        "primary school": "ps",
        "junior mixed infant": "jmi",
        "pupil referral unit": "pru",
        "university technical college": "utc",
    }.items()
    for short in shorts.split()
}


@lru_cache(maxsize=4096)  # an import folds each town many times
def fold(text: str) -> str:
    """The words of a name in one spelling: "St. Mary's C of E Sch" is "saint marys cofe school"."""
    folded = normalise(text)
    while (expanded := _expand(folded)) != folded:
        folded = expanded
    return folded


def normalise(text: str) -> str:
    """Lower-case letters and digits, one space between words; abbreviations are kept."""
    text = text.translate(_PUNCTUATION).casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).translate(_LETTERS)
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    if "." in text:
        text = _INITIAL.sub(r"\1", text)
    return _SEPARATORS.sub(" ", text).strip()


def _expand(text: str) -> str:
    """Expand abbreviations once; remove "the" unless it is the only word."""
    words = [_ABBREVIATIONS.get(word, word) for word in text.split() if word != "the"]
    spelt = " ".join(words)
    if not _AMBIGUOUS_WORDS.isdisjoint(words):
        spelt = _PHRASES.sub(lambda phrase: str(phrase.lastgroup), spelt)
    return spelt or text


def trigrams(word: str) -> set[str]:
    """Every run of three letters, with the word's beginning and end marked by spaces."""
    padded = f"  {word} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}


def max_edits(word: str) -> int:
    """How many edits are allowed: none in very short words and in numbers."""
    if len(word) < 3 or any(letter.isdigit() for letter in word):
        return 0
    return 1 if len(word) < 6 else 2
