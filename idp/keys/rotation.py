"""Create, rotate and retire keys. Timestamps decide what a key does, so no job has to run at a certain time.

`rotate` publishes a successor and sets the time at which it takes over; until then the old key signs, and after that it
verifies until its last token has expired. All in one transaction: a crash leaves the ring as it was.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from idp.audit import events, log
from idp.foundation import clock, runtime
from idp.foundation.database import advisory_lock, session
from idp.foundation.errors import NotFound, Refusal
from idp.keys import cache
from idp.keys.key import ALGS, Key, KeyState, generate
from idp.keys.models import SigningKey


class UnknownKey(NotFound):
    """There is no key with that `kid`."""

    code = "unknown_key"
    message = "There is no such key; see `idp keys list`."


class RotationUnderWay(Refusal):
    """The next key has been published and does not sign yet."""

    code, status = "rotation_under_way", 409
    message = "The next key is published already and will sign soon; see `idp keys list`."


class OnlySigner(Refusal):
    """The key is the only one that signs."""

    code, status = "only_signer", 409
    message = "This key signs now, and nothing could be signed without it. Rotate first, then retire it."


def ensure(*, by: str = "system") -> list[str]:
    """Create a key for each algorithm that has none, signing at once; returns their `kid`s."""
    cache.invalidate_around_change()
    _lock_ring()
    return [_add(alg, events.KEY_CREATED, by=by) for alg in ALGS if not _in_use(alg)]


def rotate(alg: str, *, by: str = "cli", at_once: bool = False) -> str:
    """Publish the successor of the key that signs `alg`; it signs `keys.publish_before` seconds from now.

    `at_once` is for a key that has leaked: the successor signs now, before every partner has fetched it.
    Returns its `kid`. Raises `RotationUnderWay` if there is a next key already.
    """
    cache.invalidate_around_change()
    _lock_ring()
    now, settings = clock.now(), runtime.settings()
    in_use = _in_use(alg)
    if any(key.signs_from > now for key in in_use):
        raise RotationUnderWay(reason=alg)
    wait = timedelta(seconds=0 if at_once or not in_use else settings.keys.publish_before)
    for key in in_use:
        key.verifies_until = key.verifies_until or now + wait + _verify_after_rotation()
    return _add(alg, events.KEY_ROTATED, by=by, wait=wait)


def retire(kid: str, *, by: str = "cli") -> None:
    """Retire a key now: it no longer signs or verifies, is no longer published, and its private half is deleted.

    Raises `UnknownKey`, and `OnlySigner` for the key that signs now. A successor that does not sign yet may
    be retired; then the present key stays.
    """
    cache.invalidate_around_change()
    _lock_ring()
    key, now = check_retirable(kid), clock.now()
    if key.retired_at is not None:
        return
    signing = cache.signer(key.alg)
    if key.signs_from > now and signing is not None:
        session().get_one(SigningKey, signing.kid).verifies_until = None
    key.retired_at, key.sealed = now, ""
    session().flush()
    log.record(events.KEY_RETIRED, by=by, subject=kid, alg=key.alg)


def check_retirable(kid: str) -> SigningKey:
    """The key, if `retire` would end it or has done so; raises as that does."""
    key = session().get(SigningKey, kid)
    if key is None:
        raise UnknownKey(reason=kid)
    signing = cache.signer(key.alg)
    if key.retired_at is None and signing is not None and signing.kid == kid:
        raise OnlySigner(reason=kid)
    return key


def list_keys() -> list[dict[str, Any]]:
    """All keys, including former ones, newest first, with their state."""
    return [
        {
            "kid": key.kid, "alg": key.alg, "state": _state(key), "created_at": key.created_at,
            "signs_from": key.signs_from, "verifies_until": key.verifies_until, "retired_at": key.retired_at,
        }
        for key in reversed(list(cache.keys().values()))
    ]  # fmt: skip


def _state(key: Key) -> KeyState:
    now, signing = clock.now(), cache.signer(key.alg)
    if key.retired_at is not None:
        return "retired"
    if not key.may_verify(now):
        return "expired"
    if key.signs_from > now:
        return "next"
    return "signing" if signing is not None and signing.kid == key.kid else "verifying"


def _in_use(alg: str) -> list[SigningKey]:
    """The keys of `alg` that still verify."""
    now = clock.now()
    rows = session().scalars(select(SigningKey).where(SigningKey.alg == alg, SigningKey.retired_at.is_(None)))
    return [row for row in rows if row.verifies_until is None or now < row.verifies_until]


def _lock_ring() -> None:
    """Let one change of the ring end before the next begins: a row lock would not stop two from adding a key each."""
    advisory_lock("signing keys")


def _add(alg: str, event: str, *, by: str, wait: timedelta = timedelta()) -> str:
    key = generate(alg, clock.now() + wait)
    session().add(key)
    session().flush()
    log.record(event, by=by, subject=key.kid, alg=alg, signs_from=key.signs_from)
    return key.kid


def _verify_after_rotation() -> timedelta:
    """How long a key verifies after its successor begins to sign.

    The longest token lifetime, the clock skew, and the time in which a process may still use the old key.
    """
    settings = runtime.settings()
    max_lifetime = max(settings.tokens.access, settings.tokens.access_fapi2, settings.tokens.id_token)
    return timedelta(seconds=max_lifetime + settings.tokens.skew + settings.keys.reread)
