"""Authlib's OAuth client, whose requests go through our one fetcher (decision 52)."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote_plus, urlencode

from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client

from idp.federation.errors import ProviderUnavailable, ResponseRefused
from idp.federation.metadata import Metadata
from idp.federation.providers import Provider
from idp.foundation import database, runtime
from idp.foundation.web import fetch


class _Authentication(Protocol):
    """Authlib's way to authenticate a client."""

    def prepare(self, method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
        """The request with the client's credentials in it."""


class _Response:
    """A response as Authlib reads it."""

    def __init__(self, url: str, response: fetch.FetchResponse) -> None:
        self.url, self.status_code, self._body = url, response.status, response.body

    def json(self) -> Any:
        """Its JSON. Raises `ValueError`, and `RecursionError` for what is nested too deeply."""
        return json.loads(self._body)

    def raise_for_status(self) -> None:
        """Raise for an error status. Authlib calls this where the response has no OAuth error."""
        if self.status_code >= 500:
            raise ProviderUnavailable(reason=f"{self.url} responded with {self.status_code}")
        if self.status_code >= 400:
            raise ResponseRefused(reason=f"{self.url} responded with {self.status_code}")


class _Session:
    """What Authlib's client needs of a session of requests."""

    def post(
        self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: _Authentication
    ) -> _Response:
        """POST a form. Raises `ProviderUnavailable`."""
        url, all_headers, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        content_type = all_headers.pop("Content-Type")
        rules = fetch.for_operator(runtime.settings().fetch)
        database.end_read_transaction()  # a fetch must not hold a transaction open
        try:
            response = fetch.post(url, rules, body=body.encode(), content_type=content_type, headers=all_headers)
        except fetch.FetchFailed as error:
            raise ProviderUnavailable(reason=str(error)) from error
        return _Response(url, response)


def authorization_url(
    provider: Provider, metadata: Metadata, *, state: str, nonce: str, verifier: str, prompt: str | None
) -> str:
    """The URL of an authentication request with state, nonce and a PKCE challenge (S256)."""
    url, _ = _client(provider).create_authorization_url(
        metadata.authorization_endpoint, state=state, nonce=nonce, code_verifier=verifier, prompt=prompt
    )
    return str(url)


def redeem(provider: Provider, metadata: Metadata, *, code: str, verifier: str) -> tuple[str, str | None]:
    """The ID token for a code, and the access token, which only `at_hash` is compared with.

    Raises `ProviderUnavailable` and `ResponseRefused`.
    """
    try:
        token = _client(provider).fetch_token(
            metadata.token_endpoint, grant_type="authorization_code", code=code, code_verifier=verifier
        )
    except AuthlibBaseError as error:
        raise ResponseRefused(reason=f"{provider.name}: the response to the code was {str(error.error)[:40]}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise ResponseRefused(reason=f"{provider.name}: the response to the code cannot be read") from error
    id_token, access_token = token.get("id_token"), token.get("access_token")
    if not isinstance(id_token, str):
        raise ResponseRefused(reason=f"{provider.name}: the response to the code has no ID token")
    return id_token, access_token if isinstance(access_token, str) else None


def _client(provider: Provider) -> Any:
    settings = provider.settings
    return OAuth2Client(
        _Session(), settings.client_id, settings.client_secret.get_secret_value(), scope=provider.kind.scope,
        redirect_uri=provider.callback, code_challenge_method="S256", token_endpoint_auth_method=_basic,
    )  # fmt: skip


def _basic(client: Any, _method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
    """Add the `Authorization` header: id and secret are form-encoded first (RFC 6749 §2.3.1), which Authlib omits."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {b64encode(pair.encode('ascii')).decode('ascii')}"
    return uri, headers, body
