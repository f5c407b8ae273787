"""Scopes: their syntax (RFC 6749 §3.3) and their catalogue, `config/scopes.toml`.

Only `parse` and `format` read and write the syntax; all other code uses a frozenset.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal

from idp.foundation.setting_types import ROOT

_WORDS = re.compile(r"[\x20\x21\x23-\x5B\x5D-\x7E]*")
_MEMBER = re.compile(r"[a-z][a-z_]*\.[a-z][a-z_]*")
ScopeKind = Literal["identity", "data", "endpoint", "client"]
MAX_LENGTH = 2048
"""Characters of a scope parameter."""

CLAIMS: Final[dict[str, tuple[str, ...]]] = {
    "profile": (
        "name", "given_name", "family_name", "preferred_username", "locale", "zoneinfo", "updated_at",
    ),
    "email": ("email", "email_verified"),
    "phone": ("phone_number", "phone_number_verified"),
    "organisation": ("organisation", "estab_id", "estab_status", "role"),
}  # fmt: skip
"""The claims of each scope about a person and their school (OpenID Connect Core §5.4; `organisation` is ours)."""
SCOPE_OF: Final = {name: scope for scope, names in CLAIMS.items() for name in names}
"""The scope of each of these claims."""


class UnknownScope(ValueError):
    """A scope that is malformed or not in the catalogue; `names` are those that are not in it."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = frozenset(names)
        super().__init__("does not exist" if self.names else "malformed")


@dataclass(frozen=True, slots=True)
class Scope:
    """An entry of the catalogue: how it is described to a school, and which rules apply to it.

    `kind`: `identity` (about the person or the school's public entry), `data` (school data, withheld until
    the estab is verified), `endpoint` (for the agent on the school's server, which sends data and reads none; withheld
    neither until the estab is verified nor when the person who connected it has left) or `client` (for the client
    itself, by client credentials).
    """

    name: str
    kind: ScopeKind
    title: str
    explanation: str
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """What it carries: the titles that a school reads, and of a data scope the members (`collection.member`) of each.

    A member of a record is given out only under the scope that names it here.
    """
    special_category: bool = False
    operators_only: bool = False
    """Whether only operators may register a client for it: never the client itself, nor a partner's people."""


class InvalidCatalogue(ValueError):
    """`config/scopes.toml` does not name exactly one scope for each member."""


@cache
def catalogue() -> dict[str, Scope]:
    """All scopes, in the order in which a school is shown them. Raises `InvalidCatalogue`."""
    return read_catalogue((ROOT / "config" / "scopes.toml").read_text("utf-8"))


def read_catalogue(toml: str) -> dict[str, Scope]:
    """The catalogue that is written in `toml`. Raises `InvalidCatalogue`."""
    entries = {name: _entry(name, entry) for name, entry in tomllib.loads(toml)["scope"].items()}
    scope_of: dict[str, str] = {}
    for name, entry in entries.items():
        for member in [member for members in entry.fields.values() for member in members]:
            if not _MEMBER.fullmatch(member):
                raise InvalidCatalogue(f"{name}: {member} is not of the form collection.member")
            if member in scope_of:
                raise InvalidCatalogue(f"{name}: {member} is named already, by {scope_of[member]}")
            scope_of[member] = name
    return entries


def _entry(name: str, entry: dict[str, Any]) -> Scope:
    fields = entry.get("fields", {})
    if entry["kind"] != "data":
        fields = dict.fromkeys(fields, ())
    elif not isinstance(fields, dict) or not all(fields.values()) or not fields:
        raise InvalidCatalogue(f"{name}: each title of a data scope must name its members")
    titles = MappingProxyType({title: tuple(members) for title, members in fields.items()})
    return Scope(name=name, **(entry | {"fields": titles}))


_cached = lru_cache(maxsize=1024)
"""For calls that are repeated with the few combinations that clients are registered for."""


def parse(text: str | None) -> frozenset[str]:
    """The set behind a `scope` parameter; raises `UnknownScope` for bad syntax or names that do not exist."""
    return _parse(text or "")


@_cached
def _parse(text: str) -> frozenset[str]:
    if len(text) > MAX_LENGTH or not _WORDS.fullmatch(text):
        raise UnknownScope
    names = frozenset([word for word in text.split(" ") if word])
    if unknown := names - catalogue().keys():
        raise UnknownScope(unknown)
    return names


def format(scopes: Iterable[str]) -> str:  # noqa: A001  scopes.format is how it reads
    """A `scope` parameter, in the catalogue's order."""
    return _format(frozenset(scopes))


@_cached
def _format(wanted: frozenset[str]) -> str:
    return " ".join([name for name in catalogue() if name in wanted])


def filter_by_kind(kind: ScopeKind, scopes: Iterable[str]) -> frozenset[str]:
    """Those of `scopes` that are of one kind; a scope that is not in the catalogue is of none."""
    entries = catalogue()
    return frozenset([name for name in scopes if name in entries and entries[name].kind == kind])


def operators_only(scopes: Iterable[str]) -> frozenset[str]:
    """Those of `scopes` that only operators may register a client for."""
    entries = catalogue()
    return frozenset([name for name in scopes if name in entries and entries[name].operators_only])


def for_partners() -> dict[str, Scope]:
    """The catalogue without the scopes that only operators may register clients for."""
    return {name: scope for name, scope in catalogue().items() if not scope.operators_only}


def specially_protected(scopes: Iterable[str]) -> frozenset[str]:
    """Those of `scopes` that are special category data (UK GDPR Article 9) or treated as such."""
    entries = catalogue()
    return frozenset([name for name in scopes if name in entries and entries[name].special_category])


def known(scopes: Iterable[str]) -> frozenset[str]:
    """Those of `scopes` that are in the catalogue: a stored or signed scope may have been removed from it."""
    return frozenset(catalogue().keys() & scopes)


def in_order(scopes: Iterable[str]) -> list[Scope]:
    """The entries behind `scopes`, in the catalogue's order."""
    wanted = set(scopes)
    return [scope for name, scope in catalogue().items() if name in wanted]


def ordinary_first(scopes: Iterable[str]) -> list[Scope]:
    """The entries of `in_order`, with the specially protected ones after the others."""
    return sorted(in_order(scopes), key=lambda scope: scope.special_category)
