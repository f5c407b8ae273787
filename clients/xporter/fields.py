"""Which members of records are served under which scopes: the provider's catalogue, and the filters made from it.

The provider publishes the catalogue (`GET /api/scopes`); there is no other list. A member that no granted scope names
is not served, and without a catalogue nothing is.
"""

import hashlib
import json
import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from clients.xporter.problems import RETRY_SECONDS, Problem
from clients.xporter.provider import Provider, ProviderUnreachable
from clients.xporter.storage import Record, Rows

PATH: Final = "/api/scopes"
REFRESH_SECONDS: Final = 3600
RETRY_AFTER_SECONDS: Final = 5
"""How long after a failure the catalogue is fetched again, in seconds."""
MAX_CACHED: Final = 4096
"""How many grants are cached."""
MAX_FILTERS: Final = 512
FILE: Final = "scopes.json"
ID: Final = "id"

FilteredRecord = Any
"""A record as it is served: the `id`, and the members that are granted."""

log = logging.getLogger(__name__)


class InvalidCatalogue(ValueError):
    """The provider's document does not assign each member to exactly one scope."""


class Filter:
    """Passes only the members that it was made with: it decodes records into a type without fields for others.

    msgspec reads the stored text into that type and encodes it again, in a third of the time that dictionaries take.
    The names of its fields are numbered, because some members (`class`) are keywords.
    """

    def __init__(self, members: Iterable[str]) -> None:
        named = {f"m{number}": member for number, member in enumerate(sorted(members))}
        fields: list[Any] = [(ID, Any, ""), *((name, Any, msgspec.UNSET) for name in named)]
        kind: Any = msgspec.defstruct("Record", fields, rename=named, gc=False)
        self._decode: msgspec.json.Decoder[FilteredRecord] = msgspec.json.Decoder(kind)
        self._decode_all: msgspec.json.Decoder[list[FilteredRecord]] = msgspec.json.Decoder(list[kind | None])

    def apply(self, record: Record) -> FilteredRecord:
        """The record with its id and the members that pass. It must not be deleted."""
        assert record.data is not None
        shown = self._decode.decode(record.data)
        shown.id = record.id
        return shown

    def apply_all(self, rows: Rows) -> list[FilteredRecord | None]:
        """As `apply` for several records, decoded together; None in the place of a deleted one."""
        shown = self._decode_all.decode(rows.data)
        for record, record_id in zip(shown, rows.ids, strict=True):
            if record is not None:
                record.id = record_id
        return shown


class Grant(NamedTuple):
    """What a set of scopes grants of one collection."""

    members: frozenset[str]
    filter: Filter
    """Passes the granted members."""
    areas: frozenset[str]
    """The scopes of the set that name a member of the collection."""
    text: bytes
    """Those of the scopes that name a member of any collection, the collection, and the members."""


class Catalogue:
    """A catalogue as it was published. Raises `InvalidCatalogue` where it is ambiguous."""

    def __init__(self, document: Any) -> None:
        self._scope_of: dict[str, dict[str, str]] = defaultdict(dict)
        self._grants: dict[tuple[str, frozenset[str]], Grant] = {}
        self._filters: dict[frozenset[str], Filter] = {}
        try:
            for entry in document["scopes"]:
                if entry["kind"] == "data":
                    for field in entry["fields"]:
                        for member in field["members"]:
                            self._add(str(entry["scope"]), member)
        except (TypeError, KeyError, AttributeError) as error:
            raise InvalidCatalogue("it is not of the form that is agreed") from error
        if not self._scope_of:
            raise InvalidCatalogue("it names no members")
        self._scope_of = dict(self._scope_of)

    def _add(self, scope: str, name: str) -> None:
        collection, _, member = name.partition(".")
        if not collection or not member or member == ID:
            raise InvalidCatalogue(f"{name} is not a member")
        if member in self._scope_of[collection]:
            raise InvalidCatalogue(f"{name} is named twice")
        self._scope_of[collection][member] = scope

    @cached_property
    def collections(self) -> tuple[str, ...]:
        """The names of all collections."""
        return tuple(self._scope_of)

    @cached_property
    def scopes(self) -> frozenset[str]:
        """All scopes that name a member."""
        return frozenset(scope for members in self._scope_of.values() for scope in members.values())

    def scopes_of(self, collection: str) -> frozenset[str]:
        """The scopes that name a member of the collection."""
        return frozenset(self._scope_of.get(collection, {}).values())

    def scopes_naming(self, names: Iterable[str]) -> frozenset[str]:
        """The scopes that name one of these members, each written `collection.member`."""
        pairs = (name.partition(".") for name in names)
        return frozenset(
            self._scope_of[collection][member]
            for collection, _, member in pairs
            if member in self._scope_of.get(collection, {})
        )

    def granted(self, collection: str, scopes: frozenset[str]) -> frozenset[str]:
        """The members of the collection that these scopes name."""
        scope_of = self._scope_of.get(collection, {})
        return frozenset(member for member, scope in scope_of.items() if scope in scopes)

    def grant(self, collection: str, scopes: frozenset[str]) -> Grant:
        """What these scopes grant of the collection; it is worked out once, and not for each request."""
        key = collection, scopes
        if (grant := self._grants.get(key)) is None:
            members, areas = self.granted(collection, scopes), scopes & self.scopes_of(collection)
            parts = [" ".join(sorted(scopes & self.scopes)), collection, " ".join(sorted(members))]
            grant = Grant(members, self.filter(members), areas, "\0".join(parts).encode())
            if len(self._grants) >= MAX_CACHED:
                self._grants.clear()
            self._grants[key] = grant
        return grant

    def filter(self, members: frozenset[str]) -> Filter:
        """The filter that passes these members."""
        if (result := self._filters.get(members)) is None:
            if len(self._filters) >= MAX_FILTERS:
                self._filters.clear()
            result = self._filters[members] = Filter(members)
        return result


class Fields:
    """The newest catalogue that could be fetched; the last valid one is stored on disk for the next start."""

    def __init__(self, provider: Provider, folder: Path) -> None:
        self._provider, self._file = provider, folder / FILE
        self._lock = threading.Lock()
        self._document = b""
        self._catalogue = self._read()
        self._refresh_at = float("-inf")

    def current(self) -> Catalogue:
        """The catalogue, fetched again for the first request of a process. Raises `Problem` (503) without any."""
        if self._catalogue is None or self._refresh_at == float("-inf"):
            self.refresh()
        catalogue = self._catalogue
        if catalogue is None:
            detail = "We do not know at the moment what each scope covers."
            raise Problem("temporarily_unavailable", detail, retry_after=RETRY_SECONDS)
        return catalogue

    def members(self) -> dict[str, frozenset[str]]:
        """All members that records may have, by collection. Raises `Problem` as `current` does."""
        self.refresh()
        catalogue = self.current()
        return {collection: catalogue.granted(collection, catalogue.scopes) for collection in catalogue.collections}

    def refresh(self) -> None:
        """Fetch the catalogue when `REFRESH_SECONDS` have passed; if that fails, the previous one stays in use."""
        with self._lock:
            if time.monotonic() < self._refresh_at:
                return
            self._refresh_at = time.monotonic() + RETRY_AFTER_SECONDS
            try:
                document = self._fetch()
                catalogue = self._catalogue if document == self._document else Catalogue(json.loads(document))
            except (ProviderUnreachable, ValueError) as error:
                log.warning("the catalogue of scopes cannot be fetched: %s", error)
                return
            self._refresh_at = time.monotonic() + REFRESH_SECONDS
            if document != self._document:
                self._store(document)
                self._catalogue, self._document = catalogue, document
                log.info("a catalogue of scopes was fetched: %s", hashlib.sha256(document).hexdigest()[:12])

    def _fetch(self) -> bytes:
        response = self._provider.get(PATH, headers={"Accept": "application/json"})
        if response.status_code != 200:
            raise ProviderUnreachable(f"{PATH} responded with {response.status_code}")
        return response.content

    def _read(self) -> Catalogue | None:
        try:
            document = self._file.read_bytes()
            catalogue = Catalogue(json.loads(document))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("the stored catalogue of scopes cannot be read: %s", error)
            return None
        self._document = document
        return catalogue

    def _store(self, document: bytes) -> None:
        """Replace the file as a whole."""
        temporary = self._file.with_suffix(f".{os.getpid()}.new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(document)
            temporary.replace(self._file)
        except OSError as error:
            log.warning("the catalogue of scopes cannot be stored: %s", error)
