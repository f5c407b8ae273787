"""DPoP (RFC 9449): a proof that the caller holds the key its tokens are bound to.

It is checked before the grant, so that an invalid proof never uses up a code. Each proof is accepted once. Nonces are
enabled by a setting: they are stateless, made from the time, and valid in their window of five minutes and the next.
"""

import math
import re
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from authlib.oauth2 import OAuth2Error
from flask import Request as FlaskRequest, Response

from idp.foundation import clock, crypto, descriptions, inserts, runtime
from idp.keys import jwts
from idp.keys.jwts import InvalidJwt
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.models import UsedJti
from idp.partners import jwks

MAX_AGE_SECONDS: Final = 60
"""How old a proof may be."""
NONCE_WINDOW_SECONDS: Final = 300
"""How long a nonce is given out; it is accepted for one more window after that."""
ALGS: Final = jwts.STRICT_ALGS
UNRESERVED_ESCAPES: Final = re.compile(r"%(2D|2E|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)", re.IGNORECASE)
"""Letters, digits and four marks: equivalent whether encoded or not (RFC 3986 §2.3)."""


class InvalidProof(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """The DPoP proof is not valid (RFC 9449 §5)."""

    error = "invalid_dpop_proof"

    def __init__(self, detail: str) -> None:
        super().__init__(description=descriptions.sanitise(f"DPoP: {detail}"))


class NonceRequired(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """RFC 9449 §8: the client has to repeat the request with the nonce in our header."""

    error = "use_dpop_nonce"
    description = "DPoP: the proof must have the nonce of the DPoP-Nonce header"


def proven_jkt(flask_request: FlaskRequest, client: OAuthClient, *, access_token: str | None = None) -> str | None:
    """The thumbprint of the key that made the proof of this request; None without a proof.

    With an `access_token` the proof must be for it (`ath`). Raises `InvalidProof`, `NonceRequired`.
    """
    sent: str | None = flask_request.environ.get("HTTP_DPOP")
    if sent is None:
        return None
    if "," in sent:  # WSGI joins two headers by a comma
        raise InvalidProof("more than one proof was sent")
    try:
        return _thumbprint(sent, flask_request, client, access_token)
    except InvalidJwt as error:
        raise InvalidProof(str(error)) from None


def nonce(windows_ago: int = 0) -> str:
    """The nonce of this window, or of an earlier one."""
    window = clock.timestamp() // NONCE_WINDOW_SECONDS - windows_ago
    return crypto.base64url(crypto.hmac_sha256(runtime.settings().secrets.tokens, "dpop-nonce", str(window)))


def with_nonce(response: Response) -> Response:
    """Add the nonce for the client's next proof, if nonces are enabled."""
    if runtime.settings().tokens.dpop_nonces:
        response.headers["DPoP-Nonce"] = nonce()
    return response


def _thumbprint(proof: str, flask_request: FlaskRequest, client: OAuthClient, access_token: str | None) -> str:
    presented = jwts.parse(proof, jwk_in_header=True)
    claims, (key, thumbprint) = presented.claims, jwts.cached_read(_proof_key, presented.head)
    jwts.verify(presented, [key], ALGS)
    if claims.get("htm") != flask_request.method:
        raise InvalidJwt(f"htm is {descriptions.format_value(claims.get('htm'))}; expected is {flask_request.method}")
    if not _is_request_url(claims.get("htu"), flask_request):
        raise InvalidJwt(f"htu is {_sent_htu(claims.get('htu'))}; expected is {runtime.url(flask_request.path)}")
    if access_token is not None and claims.get("ath") != crypto.base64url(crypto.digest(access_token)):
        raise InvalidJwt("ath is missing" if claims.get("ath") is None else "ath is the hash of another access token")
    _check_age(claims, client)
    _check_nonce(claims)
    _store_jti(claims, thumbprint, client)
    return thumbprint


@lru_cache(maxsize=1024)
def _proof_key(head: bytes) -> tuple[jwts.Key, str]:
    """The public key in a proof's header, and its thumbprint (RFC 9449 §4.2). Raises `InvalidJwt`."""
    header = jwts.cached_read(jwts.header, head)
    if header.get("typ") != "dpop+jwt":
        raise InvalidJwt("the typ in the header of the proof must be dpop+jwt")
    try:
        key = jwks.parse_key(header.get("jwk"))
    except ValueError as error:
        raise InvalidJwt("the jwk in the header of the proof must be a public key that is strong enough") from error
    return key, key.thumbprint()


def _is_request_url(htu: object, flask_request: FlaskRequest) -> bool:
    """Whether `htu` is the URL of the request without query and fragment, both normalised (RFC 9449 §4.3).

    Our own origin is taken from the settings.
    """
    if not isinstance(htu, str):
        return False
    if htu == (own_url := runtime.url(flask_request.path)):
        return True
    try:
        sent, own = urlsplit(htu), urlsplit(own_url)
        return (sent.scheme, sent.hostname, _port(sent), _path(sent.path)) == (
            own.scheme, own.hostname, _port(own), _path(own.path),
        )  # fmt: skip
    except ValueError:
        return False


def _sent_htu(htu: object) -> str:
    """`htu` for the error message, without its query, which could contain anything."""
    return descriptions.format_value(htu.partition("?")[0] if isinstance(htu, str) else htu)


def _path(path: str) -> str:
    """The path without dot segments and without needless percent-encoding (RFC 3986 §6.2.2)."""
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
    """Check that the proof is at most a minute old, with the clock skew allowed for the client; `exp` is optional."""
    if "iat" not in claims:
        raise InvalidJwt("iat is missing")
    jwts.check_times(claims, skew=client.skew, leeway=client.leeway)
    age, max_age = clock.now().timestamp() - claims["iat"], MAX_AGE_SECONDS + client.leeway
    if age > max_age:
        raise InvalidJwt(f"iat is {math.ceil(age)} seconds behind our clock; at most {max_age} are accepted")


def _check_nonce(claims: dict[str, Any]) -> None:
    if not runtime.settings().tokens.dpop_nonces:
        return
    if claims.get("nonce") not in (nonce(), nonce(1)):
        raise NonceRequired


def _store_jti(claims: dict[str, Any], thumbprint: str, client: OAuthClient) -> None:
    """Accept each proof once (RFC 9449 §11.1)."""
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise InvalidJwt("jti must be a string, and not empty")
    expires_at = clock.now() + timedelta(seconds=MAX_AGE_SECONDS + client.leeway + client.skew)
    if not inserts.insert_if_absent(
        UsedJti, digest=crypto.hmac_sha256(b"proof", thumbprint, jti), expires_at=expires_at
    ):
        raise InvalidJwt("the jti was used before: each request needs a new proof")
