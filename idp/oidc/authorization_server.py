"""Authlib's authorization server with our clients and responses; `build` registers every grant and extension.

Each application has a server of its own, because hooks on a module-global one would act in every application.
Discovery is generated from it.
"""

from collections.abc import Callable
from functools import cached_property
from io import BytesIO
from typing import Any, Final, cast

import msgspec
import structlog
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidClientError
from flask import Flask, Request as FlaskRequest, Response, request as browser_request
from werkzeug.exceptions import RequestEntityTooLarge

from idp.foundation.runtime import PerApplication
from idp.oidc import errors, incoming
from idp.oidc.authorization import responses
from idp.oidc.authorization.pkce import S256Only
from idp.oidc.authorization.request_sources import RequestSources
from idp.oidc.clients import authentication, failures, oauth_client
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import AUTHORIZE, BACK_CHANNEL, Request
from idp.oidc.tokens.grants.authorization_code import CodeGrant
from idp.oidc.tokens.grants.client_credentials import ClientCredentials
from idp.oidc.tokens.grants.device import DeviceGrant
from idp.oidc.tokens.grants.refresh_token import RefreshGrant
from idp.oidc.tokens.id_token import OpenID

log = structlog.get_logger(__name__)

MAX_BODY_BYTES: Final = 65_536
"""Bytes of the largest body that a client may send to the token endpoint, PAR and their like."""
FORM_TYPE: Final = "application/x-www-form-urlencoded"
"""The media type of a form."""
_to_json: Final = msgspec.json.encode


class Server(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """Authlib dispatches requests to grants and endpoints; clients are looked up, and responses built, here."""

    def query_client(self, client_id: str | None) -> OAuthClient | None:
        """The client, unless it is unknown or disabled."""
        return oauth_client.find(client_id)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Do nothing: Authlib's signals are not used."""

    def create_oauth2_request(self, request: Request | None) -> Request:
        """`request` itself, or where it is None the browser's request, with the parameters of its query and form."""
        if request is not None:
            return request
        pairs = incoming.pairs(browser_request.query_string)
        if browser_request.method == "POST":
            pairs += browser_request.form.items(multi=True)
        return Request(browser_request, incoming.parameters(pairs, incoming.AUTHORIZATION), AUTHORIZE)

    def get_consent_grant(self, request: Request | None = None, end_user: Any = None) -> CodeGrant:
        """The grant for a browser's request that passed every check.

        OAuth errors are raised with `request` set: its parameters may be those of the stored pending request, which
        say where the error is sent.
        """
        oauth_request = self.create_oauth2_request(request)
        failures.set_client(oauth_request.sent.get("client_id"), oauth_request)
        try:
            return cast("CodeGrant", super().get_consent_grant(oauth_request, end_user))
        except OAuth2Error as error:
            error.request = oauth_request
            raise
        except (ValueError, TypeError) as error:
            # Our checks come first, so Authlib reads a parameter that they do not cover. Its message is not passed on,
            # because it may quote the value.
            log.exception("authlib", error=type(error).__name__)
            unreadable = errors.invalid("a parameter", "could not be read")
            unreadable.request = oauth_request
            raise unreadable from error

    def read_client_request(self, flask_request: FlaskRequest, endpoint: str = BACK_CHANNEL) -> Request:
        """The request that a client itself sends: a form, with no OAuth parameter in the query. Raises OAuth errors."""
        if flask_request.environ.get("QUERY_STRING") and (
            misplaced := incoming.KNOWN_PARAMETERS & flask_request.args.keys()
        ):
            raise errors.invalid(min(misplaced), "must be sent in the form body, not in the query string")
        if flask_request.environ.get("CONTENT_TYPE") != FORM_TYPE and flask_request.mimetype != FORM_TYPE:
            raise errors.invalid("Content-Type", f"must be {FORM_TYPE}")
        sent = incoming.parameters(_pairs(flask_request))
        if fault := sent.fault():
            raise errors.invalid(*fault)
        return Request(flask_request, sent, endpoint)

    def authenticate_client(self, request: Request, methods: Any = (), endpoint: str = "token") -> OAuthClient:
        """The client, proven by the one method that the request uses (Authlib would try all; protocol.md §4.2, 10).

        Raises the same `invalid_client` whatever is wrong; the reason goes to the client's log only.
        """
        method = authentication.method_of(request)
        if method not in self.client_auth_methods:
            raise errors.invalid_client()
        try:
            request.client = super().authenticate_client(request, [method], endpoint)
        except errors.ProvenClientRefused:
            raise
        except InvalidClientError:
            failures.set_reason(*authentication.failure_reason(request, method))
            raise errors.invalid_client() from None
        return request.client

    @cached_property
    def client_auth_methods(self) -> tuple[str, ...]:
        """The authentication methods that discovery lists."""
        return tuple(authentication.METHODS)

    @cached_property
    def grant_types(self) -> tuple[str, ...]:
        """The grants of the token endpoint."""
        return tuple(grant.GRANT_TYPE for grant, _ in self._token_grants)

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        """Status, body and headers from Authlib as a Flask response; a dict becomes JSON."""
        if isinstance(body, dict):
            return json_response(body, status)
        return Response(body, status=status, headers=headers)

    def handle_error_response(self, request: Request, error: OAuth2Error) -> Response:
        """Send an error to the proven redirect URI, or as JSON to the client that sent the request itself.

        Raises `NotToBeRedirected`, which is shown as a page, where no redirect URI is proven.
        """
        _record_failure(request, error)
        if request.endpoint != AUTHORIZE:
            return error_response(error, used_header=authentication.used_header(request))
        if request.reply_to is None:
            raise errors.NotToBeRedirected("the request", "cannot be answered", error=error.error)
        return self.handle_response(*responses.send_error(request.reply_to, error))


def json_response(body: dict[str, Any], status: int = 200) -> Response:
    """A JSON response to a client; `middleware` adds `Cache-Control: no-store` (RFC 6749 §5.1)."""
    return Response(_to_json(body), status, content_type="application/json")


def _pairs(flask_request: FlaskRequest) -> list[tuple[str, str]]:
    """Name and value pairs of a form; the body can be read again. Raises OAuth errors if it is too large or cut off."""
    environ, flask_request.max_content_length = flask_request.environ, MAX_BODY_BYTES
    length = environ.get("CONTENT_LENGTH", "")
    try:
        if length.isdecimal() and int(length) <= MAX_BODY_BYTES:
            body = environ["wsgi.input"].read(int(length))
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))  # for a second reader
            if len(body) != int(length):
                raise errors.invalid("Content-Length", "the body is shorter than that")
        else:
            body = flask_request.get_data()
    except RequestEntityTooLarge:
        too_large = errors.invalid("Content-Length", f"the body must have at most {MAX_BODY_BYTES} bytes")
        too_large.status_code = 413
        raise too_large from None
    return incoming.pairs(body)


def error_response(error: OAuth2Error, *, used_header: bool = False) -> Response:
    """An error as JSON (RFC 6749 §5.2); `WWW-Authenticate: Basic` is sent only to clients that used the header."""
    response = json_response(errors.body(error), error.status_code)
    if error.status_code == 401 and used_header:
        response.headers["WWW-Authenticate"] = 'Basic realm="OAuth"'
    if error.status_code == 503:
        response.headers["Retry-After"] = "5"
    return response


def empty_response(status: int) -> Response:
    """A response without a body, and so without `Content-Type`."""
    response = Response(status=status)
    del response.headers["Content-Type"]
    return response


def respond_to_client(
    flask_request: FlaskRequest, endpoint_function: Callable[[Server, Request], Response], endpoint: str = BACK_CHANNEL
) -> Response:
    """Read a client's form, authenticate it, and call `endpoint_function`; an OAuth error becomes JSON.

    OAuth errors are not raised to the caller, because that would roll back what they have written: the tokens that
    were revoked when a code was used twice must stay revoked.
    """
    server, used_header, request = current(), False, None
    try:
        request = server.read_client_request(flask_request, endpoint)
        used_header = authentication.used_header(request)
        server.authenticate_client(request)
        return endpoint_function(server, request)
    except OAuth2Error as error:
        _record_failure(request, error)
        return error_response(error, used_header=used_header)


def _record_failure(request: Request | None, error: OAuth2Error) -> None:
    """Log the error for operators and in the client's own log. Our descriptions hold no secret and no value."""
    client = request.client.id if request is not None and request.client is not None else None
    if request is None or request.endpoint != AUTHORIZE:
        client_id = client or authentication.named_client_id(browser_request)
        failures.set_client(client_id)
        client = client_id if oauth_client.find(client_id) else None
    failures.note_error(error)
    name, reason = failures.reason(error)
    log.info("client refused", client=client, code=error.error, name=name, reason=reason)


def build() -> Server:
    """A server with every grant, extension and authentication method."""
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
