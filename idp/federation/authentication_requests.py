"""Requests that we send to a provider: kept as rows, usable once, for ten minutes, in the browser that began them.

The row holds what the response is checked against: nonce and PKCE verifier, sealed; the browser; and, if an account is
to be linked, the session. The URL to which the browser is sent reveals none of this.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from idp.federation import client, id_token, metadata
from idp.federation.errors import ResponseRefused
from idp.federation.id_token import Identity
from idp.federation.models import FederatedRequest
from idp.federation.providers import Provider
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import claim, session

LIFETIME: Final = timedelta(minutes=10)
MAX_RETURN_PATH_LENGTH: Final = 2048
"""In characters. A longer path is not kept; the path of a partner's request has about two hundred."""
MAX_CODE_LENGTH: Final = 4096
"""In characters; Microsoft's codes have up to two thousand."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that has got its response. `sid` is the session whose person links an account; None for a sign-in."""

    nonce: str
    verifier: str
    sid: str | None
    return_path: str


def begin(
    provider: Provider, *, browser: str, return_path: str, sid: str | None = None, prompt: str | None = None
) -> str:
    """Store a request of the browser with this id, and return the URL to which to send the browser.

    `sid` is the session whose person links an account. `prompt` says what the provider has to ask (OpenID Connect Core
    1.0 §3.1.2.1). Raises `ProviderUnavailable` and `ResponseRefused`.
    """
    endpoints = metadata.for_provider(provider)  # before the row, so that no transaction waits for it
    state, nonce, verifier, now = crypto.new_secret(), crypto.new_secret(), crypto.new_secret(), clock.now()
    digest, secrets = crypto.digest(state), json.dumps({"nonce": nonce, "verifier": verifier}).encode()
    session().add(
        FederatedRequest(
            digest=digest, provider=provider.name, browser=crypto.digest(browser), sid=sid,
            sealed=runtime.sealer().seal(secrets, context=_sealing_context(digest)),
            return_path=return_path if len(return_path) <= MAX_RETURN_PATH_LENGTH else "/",
            created_at=now, expires_at=now + LIFETIME, used_at=None,
        )
    )  # fmt: skip
    return client.authorization_url(provider, endpoints, state=state, nonce=nonce, verifier=verifier, prompt=prompt)


def spend(provider: Provider, state: str, *, browser: str) -> Pending | None:
    """Use up the request with this `state`, and return it; None unless this provider and browser may complete it."""
    digest = crypto.digest(state)
    if not claim(FederatedRequest, digest=digest, provider=provider.name, browser=crypto.digest(browser)):
        return None
    row = session().get_one(FederatedRequest, digest)
    secrets = json.loads(runtime.sealer().unseal(row.sealed, context=_sealing_context(digest)))
    return Pending(secrets["nonce"], secrets["verifier"], row.sid, row.return_path)


def return_path_of_spent(provider: Provider, state: str, *, browser: str) -> str | None:
    """The return path of a request of this browser that was used up in the last ten minutes; None if there is none.

    A person who goes back to the provider's page is sent here once more with the same `state`.
    """
    row = session().get(FederatedRequest, crypto.digest(state))
    if row is None or row.used_at is None or row.expires_at <= clock.now():
        return None
    return row.return_path if (row.provider, row.browser) == (provider.name, crypto.digest(browser)) else None


def check_issuer(provider: Provider, iss: str | None) -> None:
    """Check the issuer that an authorization response names (RFC 9207 §2.4), before anything else of it is used.

    Raises `ResponseRefused`, also where it is missing although the provider says that it always sends one.
    """
    if iss is None and metadata.for_provider(provider).sends_issuer:
        raise ResponseRefused(reason=f"{provider.name}: the response names no issuer")
    if iss is not None and not provider.is_issuer(iss):
        raise ResponseRefused(reason=f"{provider.name}: the response is of another issuer")


def complete(provider: Provider, pending: Pending, *, code: str, iss: str | None) -> Identity:
    """The account that the person has proven to be theirs.

    Raises the errors of `client.redeem` and `id_token.verify`.
    """
    if not 0 < len(code) <= MAX_CODE_LENGTH:
        raise ResponseRefused(reason=f"{provider.name}: a code of {len(code)} characters")
    endpoints = metadata.for_provider(provider)
    text, access_token = client.redeem(provider, endpoints, code=code, verifier=pending.verifier)
    return id_token.verify(text, provider, endpoints, nonce=pending.nonce, access_token=access_token, iss=iss)


def _sealing_context(digest: bytes) -> str:
    return f"federated_requests.sealed.{digest.hex()}"
