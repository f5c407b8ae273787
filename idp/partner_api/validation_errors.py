"""Messages about invalid parameters and documents, for the developer who sent them.

They name the member that is wrong, and what it must be. msgspec finds the errors; its messages name types of Python.
"""

import re
from collections.abc import Callable
from re import Match
from typing import Any, Final

import msgspec
from msgspec import inspect

from idp.foundation import descriptions

_TYPES: Final = {
    "str": "a string", "int": "an integer", "float": "a number", "bool": "true or false", "array": "an array",
    "object": "an object", "null": "null", "datetime": "a date and time", "date": "a date",
}  # fmt: skip
_PATH: Final = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)
EXAMPLE: Final = "2026-03-01T09:30:00Z"
"""A date and time as messages show it."""


def explain(error: msgspec.ValidationError, kind: Any, *, is_parameter: bool = False) -> tuple[str, str]:
    """The path of a member in a value of type `kind`, empty for the whole value, and what is wrong with it.

    The value of a parameter is always text, so what was sent instead is left out.
    """
    text = str(error)
    path = match[1] if (match := _PATH.search(text)) else ""
    text = _PATH.sub("", text)
    if missing := re.fullmatch(r"Object missing required field `(.*)`", text):
        return _joined(path, missing[1]), "is missing"
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", text, re.DOTALL):
        members = ", ".join(field.encode_name for field in getattr(_type_at(kind, path), "fields", ()))
        return _joined(path, descriptions.sanitise(unknown[1])), f"is not known; there are {members}"
    if wrong := re.fullmatch(r"Invalid enum value '?(.*?)'?", text, re.DOTALL):
        values = ", ".join(str(value) for value in getattr(_type_at(kind, path), "values", ()))
        return path, f"must be one of {values}, not {descriptions.sanitise(wrong[1])[:40]}"
    for pattern, describe in _MESSAGES:
        if fitting := re.fullmatch(pattern, text, re.DOTALL):
            return path, describe(fitting, is_parameter)
    return path, descriptions.sanitise(text.replace("`", ""))


def _joined(path: str, member: str) -> str:
    return f"{path}.{member}" if path else member


def _expected(match: Match[str], is_parameter: bool) -> str:
    expected = " or ".join(_TYPES.get(name, name) for name in match[1].split(" | "))
    return f"must be {expected}" if is_parameter else f"must be {expected}, not {_TYPES.get(match[2], match[2])}"


def _length(match: Match[str], _is_parameter: bool) -> str:
    bound = "at least" if match[2] == ">=" else "at most"
    noun = "item" if match[1] == "array" else "character"
    return f"must have {bound} {match[3]} {noun}{'' if match[3] == '1' else 's'}"


def _number(match: Match[str], _is_parameter: bool) -> str:
    return f"must be {match[2]} or {'more' if match[1] == '>=' else 'less'}"


_MESSAGES: Final[tuple[tuple[str, Callable[[Match[str], bool], str]], ...]] = (
    (r"Expected `([^`]+)`, got `([^`]+)`", _expected),
    (r"Expected `(\w+)` of length (>=|<=) (\d+)", _length),
    (r"Expected `(?:int|float)` (>=|<=) (\S+)", _number),
    (r"Expected `str` matching regex '(.*)'", lambda match, _: f"must match {match[1]}"),
    (r"Expected `datetime` with a timezone component", lambda *_: f"must have a time zone, as {EXAMPLE} has"),
    (r"Invalid RFC3339 encoded datetime", lambda *_: f"must be a date and time of RFC 3339, such as {EXAMPLE}"),
)


def _type_at(kind: Any, path: str) -> Any:
    """The type at this path in a value of type `kind`; None if it is not known."""
    part: Any = inspect.type_info(kind)
    for name in [*re.split(r"\.|(?=\[)", path)] if path else []:
        part = _single(part)
        if name.startswith("["):
            part = getattr(part, "item_type", None)
        else:
            fields = {field.encode_name: field.type for field in getattr(part, "fields", ())}
            part = fields.get(name)
    return _single(part)


def _single(kind: Any) -> Any:
    """`kind` without a description, and if it is optional, without `null`."""
    if isinstance(kind, inspect.Metadata):
        return _single(kind.type)
    for member in getattr(kind, "types", (kind,)):
        if not isinstance(member, inspect.NoneType):
            return member
    return kind
