"""Sign in with a school account: OpenID Connect's code flow with the provider, and its end.

The checks that matter: the response belongs to a request of this browser, which works once; it comes from our provider
(RFC 9207); the ID Token is for us, and made for this request (`nonce`); userinfo is about the same person.
"""

import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from clients.assembly import connections
from clients.assembly.connections import Tokens
from clients.assembly.database import Database, digest
from clients.assembly.errors import (
    ProviderError,
    ProviderUnreachable,
    RequestRefused,
    SharingDeclined,
    SignInNotFound,
    UntrustedResponse,
)
from clients.assembly.provider import LEEWAY_SECONDS, Provider, code_challenge
from clients.assembly.settings import Settings
from clients.assembly.sign_ins import SignIn

PENDING_SECONDS = 3600


def begin(
    database: Database, provider: Provider, settings: Settings, *, browser: str, login_hint: str | None = None
) -> str:
    """Store a sign-in request of `browser`, push it, and return the URL to which to send the browser."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    with database.transaction() as connection:
        connection.execute("DELETE FROM pending_sign_ins WHERE expires_at < ?", (time.time(),))
        connection.execute(
            "INSERT INTO pending_sign_ins VALUES (?, ?, ?, ?, ?)",
            (digest(state), browser, nonce, verifier, time.time() + PENDING_SECONDS),
        )
    hint = {"login_hint": login_hint} if login_hint else {}
    try:
        return provider.push(
            {
                "response_type": "code",
                "redirect_uri": f"{settings.url}/callback",
                "scope": settings.application.scope,
                "state": state,
                "nonce": nonce,
                "code_challenge": code_challenge(verifier),
                "code_challenge_method": "S256",
                **hint,
            }
        )
    except RequestRefused as error:
        raise _error_for(error.code, error.detail) from error


def finish(
    database: Database, provider: Provider, settings: Settings, *, browser: str, response: Mapping[str, str]
) -> SignIn:
    """Process the provider's redirect to our callback: stores the school's tokens, and returns who signed in."""
    with database.transaction() as connection:
        pending = connection.execute(
            "SELECT nonce, code_verifier FROM pending_sign_ins "
            "WHERE state_digest = ? AND browser = ? AND expires_at > ?",
            (digest(response.get("state", "")), browser, time.time()),
        ).fetchone()
        if pending is None:
            raise SignInNotFound("unknown state")
        if response.get("iss") != settings.issuer:
            raise UntrustedResponse("the response's iss is not our provider's (RFC 9207 §2.4)")
        connection.execute("DELETE FROM pending_sign_ins WHERE state_digest = ?", (digest(response["state"]),))
    if error := response.get("error"):
        raise _error_for(error)
    if not response.get("code"):
        raise UntrustedResponse("neither a code nor an error")
    try:
        token_response = provider.token(
            grant_type="authorization_code", code=response["code"], redirect_uri=f"{settings.url}/callback",
            code_verifier=pending["code_verifier"],
        )  # fmt: skip
    except RequestRefused as refused:
        raise _error_for(refused.code, refused.detail) from refused
    claims = _verify_id_token(provider, settings, token_response, nonce=pending["nonce"])
    about = provider.userinfo(str(token_response["access_token"]))
    if about.get("sub") != claims["sub"]:
        raise UntrustedResponse("userinfo is about another person (OpenID Connect Core §5.3.2)")
    estab_id = str(about.get("estab_id") or "")
    if not estab_id:
        raise UntrustedResponse("userinfo names no school")
    tokens = Tokens.from_response(token_response, settings.application.scope)
    connections.connect(database, estab_id, about, tokens)
    return SignIn(
        estab_id=estab_id, sub=claims["sub"], sid=claims.get("sid"), id_token=token_response["id_token"],
        claims=claims, about=about,
    )  # fmt: skip


def sign_out_url(provider: Provider, settings: Settings, sign_in: SignIn, *, state: str) -> str:
    """The URL at which the browser signs out at the provider, which then sends it back (RP-Initiated Logout §2)."""
    return provider.end_session_url(
        id_token_hint=sign_in.id_token or "", client_id=settings.client_id, state=state,
        post_logout_redirect_uri=f"{settings.url}/signed-out",
    )  # fmt: skip


def _verify_id_token(
    provider: Provider, settings: Settings, response: Mapping[str, Any], *, nonce: str
) -> dict[str, Any]:
    """Verify the ID Token of a token response, and return its claims (OpenID Connect Core §3.1.3.7)."""
    if not isinstance(response.get("id_token"), str) or not isinstance(response.get("access_token"), str):
        raise UntrustedResponse("no ID Token, or no access token")
    claims = provider.verify(response["id_token"], typ="JWT")
    now = time.time()
    if not isinstance(claims.get("exp"), int | float) or claims["exp"] < now - LEEWAY_SECONDS:
        raise UntrustedResponse("ID Token: expired")
    if not isinstance(claims.get("iat"), int | float) or claims["iat"] > now + LEEWAY_SECONDS:
        raise UntrustedResponse("ID Token: iat is in the future")
    if claims.get("nonce") != nonce:
        raise UntrustedResponse("ID Token: nonce is another request's")
    if claims.get("azp", settings.client_id) != settings.client_id:
        raise UntrustedResponse("ID Token: azp is another client")
    expected = urlsafe_b64encode(sha256(response["access_token"].encode()).digest()[:16]).decode().rstrip("=")
    if claims.get("at_hash", expected) != expected:
        raise UntrustedResponse("ID Token: at_hash is another access token's")
    if not isinstance(claims.get("sub"), str):
        raise UntrustedResponse("ID Token: no sub")
    return claims


def _error_for(error: str, detail: str = "") -> ProviderError:
    """The error to show for an error code of the provider (RFC 6749 §4.1.2.1 and §5.2)."""
    if error == "access_denied":
        return SharingDeclined()
    if error in {"server_error", "temporarily_unavailable"}:
        return ProviderUnreachable(error)
    return SignInNotFound(error) if error == "invalid_grant" else RequestRefused(error, detail)
