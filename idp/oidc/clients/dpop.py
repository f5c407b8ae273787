"""DPoP (RFC 9449): a proof that the caller holds the key its tokens are bound to.

Checked before a grant is looked at, so a bad proof never spends a code. Each proof is good once. Nonces are a
setting: stateless, made from the time, the present and the last window of five minutes being good.
"""

import math
import re
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from authlib.oauth2 import OAuth2Error
from flask import Request as FlaskRequest, Response

from idp.foundation import clock, crypto, inserts, runtime
from idp.oidc import errors, jwts
from idp.oidc.clients.client import OAuthClient
from idp.oidc.jwts import BadJwt
from idp.oidc.models import Seen
from idp.partners import jwks

OLDEST: Final = 60
"""Seconds since a proof was made."""
WINDOW: Final = 300
"""Seconds of a nonce's window."""
ALGS: Final = jwts.STRICT
UNRESERVED_ESCAPES: Final = re.compile(r"%(2D|2E|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)", re.IGNORECASE)
"""Letters, digits and four marks: equal to themselves, encoded or not (RFC 3986 §2.3)."""


class InvalidProof(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """RFC 9449 §5."""

    error = "invalid_dpop_proof"

    def __init__(self, fact: str) -> None:
        super().__init__(description=errors.plain(f"DPoP: {fact}"))


class NonceNeeded(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """RFC 9449 §8: come again with the nonce in our header."""

    error = "use_dpop_nonce"
    description = "DPoP: the proof must have the nonce of the DPoP-Nonce header"


def key_of(flask_request: FlaskRequest, client: OAuthClient, *, access_token: str | None = None) -> str | None:
    """The thumbprint of the key that this request proves to hold; None without a proof.

    With an `access_token` the proof has to be for it (`ath`). Raises `InvalidProof`, `NonceNeeded`.
    """
    sent: str | None = flask_request.environ.get("HTTP_DPOP")
    if sent is None:
        return None
    if "," in sent:  # WSGI joins two headers by a comma
        raise InvalidProof("more than one proof was sent")
    try:
        return _thumbprint(sent, flask_request, client, access_token)
    except BadJwt as fault:
        raise InvalidProof(str(fault)) from None


def nonce(windows_ago: int = 0) -> str:
    """The nonce of this window, or of an earlier one."""
    window = clock.timestamp() // WINDOW - windows_ago
    return crypto.b64(crypto.keyed(runtime.settings().secrets.tokens, "dpop-nonce", str(window)))


def with_nonce(response: Response) -> Response:
    """Give the caller the nonce for its next proof, where nonces are on."""
    if runtime.settings().tokens.dpop_nonces:
        response.headers["DPoP-Nonce"] = nonce()
    return response


def _thumbprint(proof: str, flask_request: FlaskRequest, client: OAuthClient, access_token: str | None) -> str:
    presented = jwts.parse(proof, jwk_in_header=True)
    claims, (key, thumbprint) = presented.claims, jwts.remembered(_holder, presented.head)
    jwts.verify(presented, [key], ALGS)
    if claims.get("htm") != flask_request.method:
        raise BadJwt(f"htm is {errors.shown(claims.get('htm'))}; expected is {flask_request.method}")
    if not _is_here(claims.get("htu"), flask_request):
        raise BadJwt(f"htu is {_sent_htu(claims.get('htu'))}; expected is {runtime.url(flask_request.path)}")
    if access_token is not None and claims.get("ath") != crypto.b64(crypto.digest(access_token)):
        raise BadJwt("ath is missing" if claims.get("ath") is None else "ath is the hash of another access token")
    _check_age(claims, client)
    _check_nonce(claims)
    _note(claims, thumbprint, client)
    return thumbprint


@lru_cache(maxsize=1024)
def _holder(head: bytes) -> tuple[jwts.Key, str]:
    """The public key in a proof's header, if it is one and strong enough, and its thumbprint (RFC 9449 §4.2)."""
    header = jwts.remembered(jwts.header, head)
    if header.get("typ") != "dpop+jwt":
        raise BadJwt("the typ in the header of the proof must be dpop+jwt")
    try:
        key = jwks.parse_key(header.get("jwk"))
    except ValueError as fault:
        raise BadJwt("the jwk in the header of the proof must be a public key that is strong enough") from fault
    return key, key.thumbprint()


def _is_here(htu: object, flask_request: FlaskRequest) -> bool:
    """Whether `htu` is the address asked, less query and fragment, both normalised (RFC 9449 §4.3).

    Our own address is from the settings.
    """
    if not isinstance(htu, str):
        return False
    if htu == (own_url := runtime.url(flask_request.path)):
        return True
    try:
        one, other = urlsplit(htu), urlsplit(own_url)
        return (one.scheme, one.hostname, _port(one), _path(one.path)) == (
            other.scheme, other.hostname, _port(other), _path(other.path),
        )  # fmt: skip
    except ValueError:
        return False


def _sent_htu(htu: object) -> str:
    """For its sender; less a query, which has no place there and could hold anything."""
    return errors.shown(htu.partition("?")[0] if isinstance(htu, str) else htu)


def _path(path: str) -> str:
    """Without dot segments, and with what needs no encoding decoded (RFC 3986 §6.2.2)."""
    segments: list[str] = []
    for part in UNRESERVED_ESCAPES.sub(lambda match: chr(int(match[1], 16)), path).split("/"):
        if part == "..":
            del segments[max(1, len(segments) - 1) :]
        elif part != ".":
            segments.append(part)
    return "/".join(segments)


def _port(parts: Any) -> int:
    return int(parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0))


def _check_age(claims: dict[str, Any], client: OAuthClient) -> None:
    """Made within the last minute, by a clock that may be off as the client's. `exp` and `nbf` are not needed."""
    if "iat" not in claims:
        raise BadJwt("iat is missing")
    jwts.check_times(claims, skew=client.skew, leeway=client.leeway)
    age, oldest = clock.now().timestamp() - claims["iat"], OLDEST + client.leeway
    if age > oldest:
        raise BadJwt(f"iat is {math.ceil(age)} seconds behind our clock; at most {oldest} are accepted")


def _check_nonce(claims: dict[str, Any]) -> None:
    if not runtime.settings().tokens.dpop_nonces:
        return
    if claims.get("nonce") not in (nonce(), nonce(1)):
        raise NonceNeeded


def _note(claims: dict[str, Any], thumbprint: str, client: OAuthClient) -> None:
    """Each proof is good once (RFC 9449 §11.1)."""
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise BadJwt("jti must be a string, and not empty")
    until = clock.now() + timedelta(seconds=OLDEST + client.leeway + client.skew)
    if not inserts.once(Seen, digest=crypto.keyed(b"proof", thumbprint, jti), expires_at=until):
        raise BadJwt("the jti was used before: each request needs a new proof")
