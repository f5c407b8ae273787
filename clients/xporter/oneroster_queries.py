"""The parameters of OneRoster's REST binding: `limit`, `offset`, `sort`, `orderBy`, `filter` and `fields`.

They work on what the partner may see: a filter on a member that is not granted finds nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from clients.xporter.problems import Problem

Item = dict[str, Any]
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
MAX_FILTER_LENGTH: Final = 1000
_PREDICATE: Final = re.compile(
    r"\s*([A-Za-z][\w.]*)\s*(!=|>=|<=|=|>|<|~)\s*'(.*?)'(?=\s*$|\s+(?:AND|OR)\s+[A-Za-z][\w.]*\s*[!=<>~])"
)
_LOGICAL: Final = re.compile(r"\s+(AND|OR)\s+")
_COMPARE: Final[dict[str, Callable[[str, str], bool]]] = {
    ">": lambda value, wanted: value > wanted, ">=": lambda value, wanted: value >= wanted,
    "<": lambda value, wanted: value < wanted, "<=": lambda value, wanted: value <= wanted,
    "~": lambda value, wanted: wanted in value,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of one request."""

    limit: int
    offset: int
    matches: Callable[[Item], bool]
    sort: str
    descending: bool
    fields: frozenset[str] | None

    def apply(self, items: Iterable[Item]) -> tuple[list[Item], int]:
        """The requested page, and how many items there are in all."""
        matching: Iterable[Item] = (item for item in items if self.matches(item))
        if self.sort:
            matching = sorted(matching, key=self._sort_key, reverse=self.descending)
        page, total = [], 0
        for total, item in enumerate(matching, 1):
            if self.offset < total <= self.offset + self.limit:
                page.append(self.select(item))
        return page, total

    def select(self, item: Item) -> Item:
        """The requested fields of the item."""
        return item if self.fields is None else {name: item[name] for name in item if name in self.fields}

    def _sort_key(self, item: Item) -> tuple[bool, str]:
        """Sort items by a field; those without it come last, in both directions."""
        value = next(_values(item, self.sort), None)
        return (value is not None) == self.descending, value or ""


def read(arguments: Mapping[str, str], known: tuple[str, ...]) -> Query:
    """The query of a request for resources with these fields. Raises `Problem`, with OneRoster's `code_minor`."""
    wanted = _fields(arguments.get("fields"), known)
    sort = arguments.get("sort", "")
    return Query(
        limit=_number(arguments, "limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT),
        offset=_number(arguments, "offset", 0, minimum=0, maximum=10_000_000),
        matches=_filter(arguments.get("filter", ""), known),
        sort=sort if sort.partition(".")[0] in known else "",  # an unknown field leaves the order as it is
        descending=arguments.get("orderBy", "asc").casefold() == "desc",
        fields=wanted,
    )


def links(url: str, arguments: Mapping[str, str], query: Query, total: int) -> str:
    """The `Link` header (RFC 8288): the first, previous, next and last page."""
    last = max(0, (total - 1) // query.limit * query.limit)
    offsets = {"first": 0, "last": last}
    if query.offset > 0:
        offsets["prev"] = max(0, query.offset - query.limit)
    if query.offset + query.limit < total:
        offsets["next"] = query.offset + query.limit
    others = {name: value for name, value in arguments.items() if name not in {"limit", "offset"}}

    def address_at(offset: int) -> str:
        return f"{url}?{urlencode(others | {'limit': str(query.limit), 'offset': str(offset)})}"

    return ", ".join(f'<{address_at(offset)}>; rel="{name}"' for name, offset in offsets.items())


def _number(arguments: Mapping[str, str], name: str, default: int, *, minimum: int, maximum: int) -> int:
    text = arguments.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > len(str(maximum)) or not minimum <= int(text) <= maximum:
        raise Problem(
            "invalid_request", f"{name} must be a number from {minimum} to {maximum}.", code_minor="invaliddata"
        )
    return int(text)


def _fields(text: str | None, known: tuple[str, ...]) -> frozenset[str] | None:
    if text is None:
        return None
    names = frozenset(name.strip() for name in text.split(","))
    if unknown := names.difference(known):
        detail = f"There is no field {min(unknown)[:50]!r}."
        raise Problem("invalid_request", detail, code_minor="invalid_selection_field")
    return names


def _filter(text: str, known: tuple[str, ...]) -> Callable[[Item], bool]:
    """Predicates that are joined by AND, or by OR; both in one filter are refused."""
    if not text:
        return lambda _item: True
    if len(text) > MAX_FILTER_LENGTH:
        detail = f"filter must have at most {MAX_FILTER_LENGTH} characters."
        raise Problem("invalid_request", detail, code_minor="invalid_filter_field")
    predicates: list[Callable[[Item], bool]] = []
    joined: set[str] = set()
    offset = 0
    while offset < len(text):
        if predicates:
            logical = _LOGICAL.match(text, offset)
            if logical is None:
                break
            joined.add(logical[1])
            offset = logical.end()
        match = _PREDICATE.match(text, offset)
        if match is None or match[1].partition(".")[0] not in known:
            break
        predicates.append(_predicate(*match.groups()))
        offset = match.end()
    if text[offset:].strip() or len(joined) > 1:
        detail = "filter must be predicates such as familyName='Smith', joined by AND or by OR."
        raise Problem("invalid_request", detail, code_minor="invalid_filter_field")
    combine = any if "OR" in joined else all
    return lambda item: combine(predicate(item) for predicate in predicates)


def _predicate(path: str, operator: str, wanted: str) -> Callable[[Item], bool]:
    """Compare, ignoring case. Several values of a field equal a list of the same values, in any order."""
    lowered = wanted.casefold()
    if operator in {"=", "!="}:
        listed = {part.strip() for part in lowered.split(",")}

        def equals(item: Item) -> bool:
            values = list(_values(item, path))
            return values == [lowered] or (bool(values) and set(values) == listed)

        return equals if operator == "=" else lambda item: not equals(item)
    compare = _COMPARE[operator]
    return lambda item: any(compare(value, lowered) for value in _values(item, path))


def _values(value: Any, path: str) -> Iterator[str]:
    """The values at a dotted path; a list has those of all its elements."""
    if isinstance(value, list):
        for element in value:
            yield from _values(element, path)
    elif path:
        name, _, rest = path.partition(".")
        if isinstance(value, dict) and name in value:
            yield from _values(value[name], rest)
    elif value is not None and not isinstance(value, dict):
        yield str(value).casefold()
