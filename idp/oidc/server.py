"""Authlib's authorization server with our clients and answers; `build` registers every grant and extension.

Built once per application, because a module-global server leaks hooks between applications. Discovery is
generated from it.
"""

import json
from collections.abc import Callable
from functools import cached_property
from io import BytesIO
from typing import Any, Final, cast

import structlog
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidClientError
from flask import Flask, Request as FlaskRequest, Response, request as browser_request
from werkzeug.exceptions import RequestEntityTooLarge

from idp.foundation.runtime import PerApplication
from idp.oidc import errors, incoming
from idp.oidc.authorization import responses
from idp.oidc.authorization.pkce import S256Only
from idp.oidc.authorization.pushed_requests import RequestSources
from idp.oidc.clients import authentication, client as clients, failures
from idp.oidc.clients.client import OAuthClient
from idp.oidc.incoming import AUTHORIZE, BACK_CHANNEL, Request
from idp.oidc.tokens.grants.authorization_code import CodeGrant
from idp.oidc.tokens.grants.client_credentials import ClientCredentials
from idp.oidc.tokens.grants.device import DeviceGrant
from idp.oidc.tokens.grants.refresh_token import RefreshGrant
from idp.oidc.tokens.id_token import OpenID

log = structlog.get_logger(__name__)

LARGEST: Final = 65_536
"""Bytes of the largest form on the back channel."""
FORM: Final = "application/x-www-form-urlencoded"


class Server(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """Dispatch and skeletons are Authlib's; who the clients are and what is answered are ours."""

    def query_client(self, client_id: str | None) -> OAuthClient | None:
        """The client, unless it is unknown or disabled."""
        return clients.find(client_id)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Do nothing: Authlib's signals are not used."""

    def create_oauth2_request(self, request: Request | None) -> Request:
        """Our request; without one, the browser's, whose parameters may stand in query and form."""
        if request is not None:
            return request
        pairs = incoming.pairs(browser_request.query_string)
        if browser_request.method == "POST":
            pairs += browser_request.form.items(multi=True)
        return Request(browser_request, incoming.parameters(pairs, incoming.AUTHORIZATION), AUTHORIZE)

    def get_consent_grant(self, request: Request | None = None, end_user: Any = None) -> CodeGrant:
        """The grant behind a browser's request that passed every check.

        An error carries the request, so that it is answered as the *kept* one wished.
        """
        oauth_request = self.create_oauth2_request(request)
        failures.about(oauth_request.sent.get("client_id"), oauth_request)
        try:
            return cast("CodeGrant", super().get_consent_grant(oauth_request, end_user))
        except OAuth2Error as error:
            error.request = oauth_request
            raise
        except (ValueError, TypeError) as error:
            # Authlib quotes what was sent in descriptions that may not hold it; our checks come first, so
            # this is a parameter that they do not know yet.
            log.exception("authlib", error=type(error).__name__)
            wrong = errors.invalid("a parameter", "could not be read")
            wrong.request = oauth_request
            raise wrong from error

    def from_client(self, flask: FlaskRequest, endpoint: str = BACK_CHANNEL) -> Request:
        """A client's own request: a form, and no parameter of the protocol in the query. Raises OAuth errors."""
        if flask.environ.get("QUERY_STRING") and (misplaced := incoming.KNOWN & flask.args.keys()):
            raise errors.invalid(min(misplaced), "must be sent in the form body, not in the query string")
        if flask.environ.get("CONTENT_TYPE") != FORM and flask.mimetype != FORM:
            raise errors.invalid("Content-Type", f"must be {FORM}")
        sent = incoming.parameters(_pairs(flask))
        if fault := sent.fault():
            raise errors.invalid(*fault)
        return Request(flask, sent, endpoint)

    def authenticate_client(self, request: Request, methods: Any = (), endpoint: str = "token") -> OAuthClient:
        """The client, by the one method it used; `invalid_client` in one and the same form otherwise.

        Authlib would try one method after the other (protocol.md §4.2, 10).
        """
        method = authentication.presented(request)
        if method not in self.client_auth_methods:
            raise errors.invalid_client()
        try:
            request.client = super().authenticate_client(request, [method], endpoint)
        except errors.ProvenClientRefused:
            raise
        except InvalidClientError:
            failures.set_reason(*authentication.why_not(request, method))
            raise errors.invalid_client() from None
        return request.client

    @cached_property
    def client_auth_methods(self) -> tuple[str, ...]:
        """How a client may authenticate."""
        return tuple(authentication.METHODS)

    @cached_property
    def grant_types(self) -> tuple[str, ...]:
        """The grants of the token endpoint."""
        return tuple(grant.GRANT_TYPE for grant, _ in self._token_grants)

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        """Authlib's three values as an answer."""
        if isinstance(body, dict):
            return json_response(body, status)
        return Response(body, status=status, headers=headers)

    def handle_error_response(self, request: Request, error: OAuth2Error) -> Response:
        """An error where it belongs: at the proven redirect URI, on a page, or as a client's JSON."""
        _record_failure(request, error)
        if request.endpoint != AUTHORIZE:
            return error_response(error, tried_basic=authentication.tried_basic(request))
        if request.reply_to is None:
            raise errors.NotToBeRedirected("the request", "cannot be answered", error=error.error)
        return self.handle_response(*responses.send_error(request.reply_to, error))


def json_response(body: dict[str, Any], status: int = 200) -> Response:
    """A JSON response to a client; `middleware` adds that it must not be stored (RFC 6749 §5.1)."""
    return Response(json.dumps(body).encode("ascii"), status, content_type="application/json")


def _pairs(flask: FlaskRequest) -> list[tuple[str, str]]:
    """Name and value pairs of a form, whose body can be read again; raises where it is too large or not all there."""
    environ, flask.max_content_length = flask.environ, LARGEST
    length = environ.get("CONTENT_LENGTH", "")
    try:
        if length.isdecimal() and int(length) <= LARGEST:
            body = environ["wsgi.input"].read(int(length))
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))  # for a second reader
            if len(body) != int(length):
                raise errors.invalid("Content-Length", "the body ended before it")
        else:
            body = flask.get_data()
    except RequestEntityTooLarge:
        too_large = errors.invalid("Content-Length", f"the body must have at most {LARGEST} bytes")
        too_large.status_code = 413
        raise too_large from None
    return incoming.pairs(body)


def error_response(error: OAuth2Error, *, tried_basic: bool = False) -> Response:
    """An error as JSON (RFC 6749 §5.2); Basic is offered only to who used it."""
    response = json_response(errors.body(error), error.status_code)
    if error.status_code == 401 and tried_basic:
        response.headers["WWW-Authenticate"] = 'Basic realm="OAuth"'
    if error.status_code == 503:
        response.headers["Retry-After"] = "5"
    return response


def empty_response(status: int) -> Response:
    """An answer that has no body, and so says no type of one."""
    response = Response(status=status)
    del response.headers["Content-Type"]
    return response


def answer_client(
    flask_request: FlaskRequest, do: Callable[[Server, Request], Response], endpoint: str = BACK_CHANNEL
) -> Response:
    """Read a client's form, authenticate the client, and do what it asks; an OAuth error becomes JSON.

    Nothing raises past here, so what a replay revoked stays revoked.
    """
    server, tried_basic, request = current(), False, None
    try:
        request = server.from_client(flask_request, endpoint)
        tried_basic = authentication.tried_basic(request)
        server.authenticate_client(request)
        return do(server, request)
    except OAuth2Error as error:
        _record_failure(request, error)
        return error_response(error, tried_basic=tried_basic)


def _record_failure(request: Request | None, error: OAuth2Error) -> None:
    """So that an operator can tell a client's developer what was wrong; our texts hold no secret and no value."""
    client = request.client.id if request is not None and request.client is not None else None
    if request is None or request.endpoint != AUTHORIZE:
        claimed = client or authentication.claimed(browser_request)
        failures.about(claimed)
        client = claimed if clients.find(claimed) else None
    failures.note_error(error)
    name, reason = failures.reason(error)
    log.info("client refused", client=client, code=error.error, name=name, reason=reason)


def build() -> Server:
    """The server, with everything that it can do."""
    server = Server()
    authentication.register(server)
    server.register_extension(RequestSources())
    openid = OpenID()
    server.register_grant(CodeGrant, [S256Only(), openid])
    server.register_grant(RefreshGrant, [openid])
    server.register_grant(DeviceGrant, [openid])
    server.register_grant(ClientCredentials)
    return server


def configure(app: Flask) -> None:
    """Build the server of `app`."""
    _SERVER.set(app, build())


def current() -> Server:
    """The server of this application."""
    return _SERVER.get()


_SERVER: Final = PerApplication[Server]()
