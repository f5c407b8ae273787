"""Authenticate clients: by one method per request, which must be the registered one.

Every failure has the same response (`errors.invalid_client`). Secrets are compared by digest, so they may have
any characters (protocol.md §4.2, 2).
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import AuthorizationServer
from flask import Request as FlaskRequest
from werkzeug.exceptions import RequestEntityTooLarge

from idp.oidc import errors
from idp.oidc.clients import client_assertion, oauth_client
from idp.oidc.clients.client_assertion import FindClient
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import Parameters, Request

ASSERTION: Final = "client_assertion"
"""`client_secret_jwt` or `private_key_jwt`, depending on the assertion's `alg`."""


def method_of(request: Request) -> str:
    """The authentication method that the request uses; raises `invalid_request` if there are two (RFC 6749 §2.3)."""
    is_used_by_method = {
        "client_secret_basic": bool(request.authorization),
        "client_secret_post": "client_secret" in request.sent,
        ASSERTION: "client_assertion" in request.sent or "client_assertion_type" in request.sent,
    }
    used = [method for method, is_used in is_used_by_method.items() if is_used]
    if len(used) > 1:
        raise errors.invalid("client_secret", "only one method of client authentication may be used")
    if used == [ASSERTION]:
        return client_assertion.method(request)
    return used[0] if used else "none"


def used_header(request: Request) -> bool:
    """Whether the client used the `Authorization` header, so that the response must have a challenge (RFC 6749 §5.2).

    Basic is the only scheme that we take, so it is the challenge for any other as well.
    """
    return bool(request.authorization)


def named_client_id(flask_request: FlaskRequest) -> str | None:
    """The `client_id` in the request, without any proof: only for that client's log of failures."""
    try:
        form = flask_request.form
    except RequestEntityTooLarge:
        return None
    return _named_client_id(flask_request.headers.get("Authorization", ""), form)


def failure_reason(request: Request, method: str) -> tuple[str, str]:
    """Which parameter was wrong, and how: for the client's own log, and never for the response."""
    client = oauth_client.find(_named_client_id(request.authorization, request.sent))
    if client is None:
        return "client_id", "this client, or its partner, is disabled"
    registered, pinned = client.registered.token_endpoint_auth_method, client.registered.pin_token_endpoint_auth_method
    if not client.check_endpoint_auth_method(method, "token"):
        suffix = " alone" if pinned else ""
        return "client authentication", f"was by {method}, and the client is registered for {registered}{suffix}"
    if method == "client_secret_basic":
        client_id, _ = _basic(request.authorization)
        if client_id is None:
            return "Authorization", "must be Basic, with the client_id, a colon and the secret in base64"
        if request.sent.get("client_id") not in {None, client_id}:
            return "client_id", "is another one in the form than in the Authorization header"
    return "client_secret", "missing, expired, or not one of the client's"


def _named_client_id(header: str, form: Mapping[str, str] | Parameters) -> str | None:
    header_client_id, _ = _basic(header)
    return header_client_id or form.get("client_id") or client_assertion.subject(form.get("client_assertion") or "")


def register(server: AuthorizationServer) -> None:
    """Register `METHODS` in place of Authlib's."""
    for method, authenticate in METHODS.items():
        server.register_client_auth_method(method, authenticate)


def _by_basic(find: FindClient, request: Request) -> OAuthClient | None:
    client_id, secret = _basic(request.authorization)
    form_client_id = request.sent.get("client_id")
    return _with_secret(find(client_id), secret) if form_client_id in {None, client_id} else None


def _by_post(find: FindClient, request: Request) -> OAuthClient | None:
    return _with_secret(find(request.sent.get("client_id")), request.sent.get("client_secret"))


def _by_client_id(find: FindClient, request: Request) -> OAuthClient | None:
    """A public client, which only sends its `client_id`."""
    return find(request.sent.get("client_id"))


def _with_secret(client: OAuthClient | None, secret: str | None) -> OAuthClient | None:
    return client if client is not None and secret and client.check_client_secret(secret) else None


def _basic(header: str) -> tuple[str | None, str | None]:
    """Id and secret of a Basic header, both form-encoded before they were joined (RFC 6749 §2.3.1)."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        client_id, colon, secret = base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None, None
    return (unquote_plus(client_id), unquote_plus(secret)) if colon else (None, None)


METHODS: Final[dict[str, Callable[[FindClient, Request], OAuthClient | None]]] = {
    "client_secret_basic": _by_basic,
    "client_secret_post": _by_post,
    "client_secret_jwt": client_assertion.authenticate,
    "private_key_jwt": client_assertion.authenticate,
    "none": _by_client_id,
}
"""By the names of RFC 7591, which discovery lists."""
