"""An invalid document is explained by the member and what it must be, in words of ours and not of the library."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from idp.partner_api.validation_errors import EXAMPLE, explain


class Part(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=2, max_length=5)]
    kind: Literal["one", "two"] | UnsetType = UNSET
    number: Annotated[int, Meta(ge=1, le=200)] = 1
    share: Annotated[float, Meta(le=1)] = 0
    at: Annotated[datetime, Meta(tz=True)] | None = None
    words: Annotated[tuple[str, ...], Meta(min_length=1, max_length=2)] = ("word",)
    is_open: bool = True


class Document(Struct, forbid_unknown_fields=True):
    parts: tuple[Part, ...]
    either: str | int | None = None


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ({}, ("parts[0].name", "is missing")),
        ([], ("parts[0]", "must be an object, not an array")),
        ({"name": None}, ("parts[0].name", "must be a string, not null")),
        ({"name": "a"}, ("parts[0].name", "must have at least 2 characters")),
        ({"name": "abcdef"}, ("parts[0].name", "must have at most 5 characters")),
        ({"name": "abc", "kind": "three"}, ("parts[0].kind", "must be one of one, two, not three")),
        ({"name": "abc", "number": 0}, ("parts[0].number", "must be 1 or more")),
        ({"name": "abc", "number": "1"}, ("parts[0].number", "must be an integer, not a string")),
        ({"name": "abc", "share": 1.5}, ("parts[0].share", "must be 1.0 or less")),
        ({"name": "abc", "words": []}, ("parts[0].words", "must have at least 1 item")),
        ({"name": "abc", "words": ["a", "b", "c"]}, ("parts[0].words", "must have at most 2 items")),
        ({"name": "abc", "words": ["a", 1]}, ("parts[0].words[1]", "must be a string, not an integer")),
        ({"name": "abc", "is_open": 1}, ("parts[0].is_open", "must be true or false, not an integer")),
        (
            {"name": "abc", "at": "x"},
            ("parts[0].at", f"must be a date and time of RFC 3339, such as {EXAMPLE}"),
        ),
        (
            {"name": "abc", "at": "2026-03-01T09:30:00"},
            ("parts[0].at", f"must have a time zone, as {EXAMPLE} has"),
        ),
        (
            {"name": "abc", "age": 1},
            ("parts[0].age", "is not known; there are name, kind, number, share, at, words, is_open"),
        ),
    ],
)
def test_a_member_is_named_with_what_it_must_be(part, error):
    assert error_of({"parts": [part]}) == error


def test_the_whole_document_is_explained_as_well():
    assert error_of([]) == ("", "must be an object, not an array")
    assert error_of({}) == ("parts", "is missing")
    assert error_of({"parts": [], "part": 1}) == ("part", "is not known; there are parts, either")
    assert error_of({"parts": [], "either": []}) == (
        "either",
        "must be an integer or a string or null, not an array",
    )


def error_of(document):
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(msgspec.json.encode(document), type=Document)
    return explain(raised.value, Document)
