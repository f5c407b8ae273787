"""Keys with which the console signs in at a sandbox application, for minutes, next to the application's own.

The private halves are in the store of the browser that runs the trial sign-in, sealed, and nowhere else.
"""

from collections.abc import Collection
from typing import Any, Final

from joserfc.jwk import ECKey, OKPKey, RSAKey
from sqlalchemy import delete, select

from idp.audit import events, log
from idp.foundation import clock
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.partners import registry
from idp.partners.models import TrialKey
from idp.partners.trial_secrets import LIFETIME

DEFAULT_ALG: Final = "ES256"
"""What the console signs with where the registration names no algorithm; every profile takes it."""

MAX_KEYS: Final = 20
"""Keys of one application: as many as people of a partner may try sign-ins with it at once."""


def generate(alg: str) -> dict[str, Any]:
    """A new private key for this algorithm, as a JWK whose `kid` is its thumbprint."""
    key: ECKey | OKPKey | RSAKey
    if alg in {"EdDSA", "Ed25519"}:
        key = OKPKey.generate_key("Ed25519", private=True)
    elif alg == "ES256":
        key = ECKey.generate_key("P-256", private=True)
    else:
        key = RSAKey.generate_key(2048, private=True)
    return {**key.as_dict(private=True), "kid": key.thumbprint(), "alg": alg, "use": "sig"}


def public_half(jwk: dict[str, Any]) -> dict[str, Any]:
    """The public half of a key."""
    return {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e", "kid", "alg", "use") if name in jwk}


def add(client_id: str, jwks: Collection[dict[str, Any]], *, by: str) -> None:
    """Let a sandbox application sign by these keys too, for `LIFETIME`. Raises `NotFound` for live ones."""
    client, now = registry.find(client_id), clock.now()
    if not client.is_sandbox:
        raise NotFound(reason=f"{client_id} is not a sandbox application")
    same_client = TrialKey.client_id == client_id
    newest_first = TrialKey.expires_at.desc(), TrialKey.kid
    newest = select(TrialKey.kid).where(same_client).order_by(*newest_first).limit(MAX_KEYS - len(jwks))
    # Others are left over from sign-ins that were not finished.
    session().execute(delete(TrialKey).where(same_client, TrialKey.kid.not_in(newest)))
    session().add_all(
        TrialKey(kid=jwk["kid"], client_id=client_id, jwk=public_half(jwk), expires_at=now + LIFETIME) for jwk in jwks
    )
    registry.bump_version(client)
    log.record(events.TRIAL_KEY_MADE, by=by, client=client_id, subject=client_id)


def remove(client_id: str, jwks: Collection[dict[str, Any]]) -> None:
    """Delete keys that `add` added."""
    kids = [jwk["kid"] for jwk in jwks]
    session().execute(delete(TrialKey).where(TrialKey.client_id == client_id, TrialKey.kid.in_(kids)))
    registry.bump_version(registry.find(client_id))
