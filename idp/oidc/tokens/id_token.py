"""The ID Token, added to the responses of the code and refresh grants (OpenID Connect Core §2)."""

import hashlib
from typing import Any

from authlib.oidc.core import OpenIDToken

from idp.foundation import clock, crypto, runtime, scopes
from idp.keys import ring
from idp.oidc import claims, records
from idp.oidc.incoming import Request


class OpenID(OpenIDToken):  # type: ignore[misc]  # Authlib has no types
    """Signs with a key of the key ring; `auth_time` is the time of the sign-in, also after a refresh.

    It is not Authlib's `OpenIDCode`, which responds with `login_required` where our dispatcher passes no user.
    """

    def encode_id_token(self, token: dict[str, Any], request: Request) -> str:
        """The ID Token that goes with `token`."""
        client, basis, now = request.client, request.basis, clock.timestamp()
        payload = {
            "iss": runtime.settings().server.issuer, "sub": claims.subject(client, basis.person_id),
            "aud": client.id, "iat": now, "exp": now + runtime.settings().tokens.id_token,
            "auth_time": int(basis.auth_time.timestamp()), "acr": basis.acr, "amr": sorted(basis.amr),
            "at_hash": at_hash(token["access_token"]),
        }  # fmt: skip
        if client.needs_sid:
            payload["sid"] = claims.client_sid(client, basis.sid)
        if request.nonce is not None:
            payload["nonce"] = request.nonce
        names = _extra_claims(token, request)
        if names and (row := records.for_member(basis.person_id, basis.estab_id)) is not None:
            payload |= claims.claims_for(
                request.user, (), "id_token", person=row.person, school=row.school, named=names
            )
        return ring.sign(payload, alg=client.id_token_alg, typ="JWT")


def _extra_claims(token: dict[str, Any], request: Request) -> set[str]:
    """The claims beyond those of every ID Token: asked for by name, or registered and covered by `scope`."""
    registered = request.client.registered.id_token_claims
    granted = claims.covered_claims(registered, scopes.parse(token["scope"])) if registered else ()
    return {*claims.requested_claims(request.basis.claims, "id_token", request.user), *granted}


def at_hash(access_token: str) -> str:
    """The left half of the token's SHA-256: both our algorithms use it (OpenID Connect Core §3.1.3.6)."""
    return crypto.base64url(hashlib.sha256(access_token.encode("ascii")).digest()[:16])
