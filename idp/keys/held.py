"""The ring as this process holds it: read again every `keys.reread` seconds, private keys loaded once."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from sqlalchemy import Table, event, select

from idp.foundation import clock, runtime
from idp.foundation.database import connection, session
from idp.foundation.runtime import PerApplication
from idp.keys.key import Key
from idp.keys.models import SigningKey


@dataclass
class _Held:
    """What is known of the keys, and since when (monotonic seconds)."""

    keys: Mapping[str, Key] = field(default_factory=dict)
    read: float = float("-inf")
    signs: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    chosen: dict[str, tuple[Mapping[str, Key] | None, int, Key | None]] = field(default_factory=dict)
    """By algorithm: of which keys, in which second, which one signs."""


_HELD: Final = PerApplication(_Held)


def keys(*, at_most: float | None = None) -> Mapping[str, Key]:
    """Every key there ever was, by `kid`, oldest first; as read at most `at_most` (else `keys.reread`) seconds ago."""
    held = _HELD.get()
    age = time.monotonic() - held.read
    if age > (runtime.settings().keys.reread if at_most is None else at_most):
        table = cast("Table", SigningKey.__table__)
        rows = connection().execute(select(table).order_by(table.c.created_at, table.c.kid))
        held.keys = {row.kid: Key.of(row) for row in rows}
        held.read = time.monotonic()
    return held.keys


def fresh() -> Mapping[str, Key]:
    """The same as read a second ago at most: where a key is not known, but not for every stranger."""
    return keys(at_most=1)


def signer(alg: str) -> Key | None:
    """The key of `alg` that signs now: of those that may, the one that began last."""
    ring, second, chosen = keys(), clock.timestamp(), _HELD.get().chosen
    known, at, key = chosen.get(alg, (None, 0, None))
    if known is not ring or at != second:
        now = clock.now()
        able = [each for each in ring.values() if each.alg == alg and each.signs(now)]
        key = max(able, key=lambda each: each.signs_from, default=None)
        chosen[alg] = ring, second, key
    return key


def signer_for(key: Key) -> Callable[[bytes], bytes]:
    """A function that signs with `key`, whose private half is unsealed once per process. Raises `CannotUnseal`."""
    loaded = _HELD.get().signs
    if key.kid not in loaded:
        loaded[key.kid] = key.signer()
    return loaded[key.kid]


def forget() -> None:
    """Read the ring again before it is next used."""
    _HELD.get().read = float("-inf")


def changing() -> None:
    """Invalidate the cached ring now, and again when the transaction that changes it ends."""
    held = _HELD.get()
    held.read = float("-inf")

    def ended(*_: Any) -> None:
        held.read = float("-inf")

    event.listen(session(), "after_transaction_end", ended)
