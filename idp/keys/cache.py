"""This process's cache of the keys: read again every `keys.reread` seconds; private keys are loaded once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from sqlalchemy import Table, event, select

from idp.foundation import clock, runtime
from idp.foundation.database import session
from idp.foundation.queries import Query
from idp.foundation.runtime import PerApplication
from idp.keys.key import Jwk, Key, KeyRow
from idp.keys.models import SigningKey


@dataclass
class _Cache:
    """The cached keys, and the monotonic time at which they were read."""

    keys: Mapping[str, Key] = field(default_factory=dict)
    read_at: float = float("-inf")
    private: dict[str, Jwk] = field(default_factory=dict)
    chosen: dict[str, tuple[Mapping[str, Key] | None, int, Key | None]] = field(default_factory=dict)
    """The signing key by algorithm, with the ring and the second for which it was chosen."""


_CACHE: Final = PerApplication(_Cache)
_table = cast("Table", SigningKey.__table__)
_KEYS: Final = Query(
    KeyRow, select(*(_table.c[name] for name in KeyRow._fields)).order_by(_table.c.created_at, _table.c.kid)
)


def keys(*, max_age_seconds: float | None = None) -> Mapping[str, Key]:
    """All keys by `kid`, oldest first, also former ones.

    They were read from the database at most `max_age_seconds` ago, by default `keys.reread`.
    """
    cache = _CACHE.get()
    age = time.monotonic() - cache.read_at
    if age > (runtime.settings().keys.reread if max_age_seconds is None else max_age_seconds):
        cache.keys = {row.kid: Key.from_row(row) for row in _KEYS.all()}
        cache.read_at = time.monotonic()
    return cache.keys


def reread() -> Mapping[str, Key]:
    """As `keys`, read at most a second ago: for an unknown `kid`. Forged tokens cause no more than a query a second."""
    return keys(max_age_seconds=1)


def signer(alg: str) -> Key | None:
    """The key of `alg` that signs now: of those that may sign, the newest."""
    ring, second, signers = keys(), clock.timestamp(), _CACHE.get().chosen
    cached_ring, cached_second, key = signers.get(alg, (None, 0, None))
    if cached_ring is not ring or cached_second != second:
        now = clock.now()
        candidates = [candidate for candidate in ring.values() if candidate.alg == alg and candidate.may_sign(now)]
        key = max(candidates, key=lambda candidate: candidate.signs_from, default=None)
        signers[alg] = ring, second, key
    return key


def private_half(key: Key) -> Jwk:
    """The private half of `key`, unsealed once per process. Raises `UnsealError`."""
    loaded = _CACHE.get().private
    if key.kid not in loaded:
        loaded[key.kid] = key.private()
    return loaded[key.kid]


def forget() -> None:
    """Drop the cached keys."""
    _CACHE.get().read_at = float("-inf")


def invalidate_around_change() -> None:
    """Invalidate the cached ring now, and again when the transaction that changes it ends."""
    cache = _CACHE.get()
    cache.read_at = float("-inf")

    def invalidate(*_: Any) -> None:
        cache.read_at = float("-inf")

    event.listen(session(), "after_transaction_end", invalidate)
