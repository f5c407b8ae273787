"""Error pages for people, and the JSON that programs get for errors on our side."""

from http import HTTPStatus

import structlog
from authlib.oauth2.rfc6749 import InvalidRequestError
from flask import Response, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from idp.foundation import runtime
from idp.foundation.errors import Busy, Refusal
from idp.foundation.web import middleware, pages, security
from idp.oidc import authorization_server, errors
from idp.oidc.clients import failures

log = structlog.get_logger(__name__)

UNREADABLE = "the request could not be read"


def not_to_be_redirected(error: errors.NotToBeRedirected) -> Response:
    """The page tells the person that they did nothing wrong, and the developer which parameter is wrong, and how."""
    failures.note_page(error)
    log.info("refused", code=error.error, status=error.status, reason=error.reason)
    page = render_template("oidc/error.html", refusal=error, request_id=middleware.request_id())
    return make_response(page, error.status)


def stale_request(error: errors.StaleRequest) -> Response:
    """The page says why the request cannot be continued, and links back to the partner."""
    log.info("refused", code=error.code, status=error.status, reason=error.reason)
    page = render_template("oidc/stale.html", refusal=error, request_id=middleware.request_id())
    return make_response(page, error.status)


def form_expired(_error: CSRFError) -> ResponseReturnValue:
    """The page for an expired form. Without a handler of its own, `http_error` would handle this error."""
    security.keep_opener()  # the page is part of a partner's sign-in
    return pages.form_expired()


def unavailable(error: Exception) -> ResponseReturnValue:
    """The database is unreachable: a client gets an OAuth error, a person a page."""
    log.error("database", error=type(error).__name__, exc_info=error)
    if is_for_clients():
        return authorization_server.error_response(errors.TemporarilyUnavailable())
    return pages.refusal(Busy("We cannot reach our records just now. Nothing was changed.", reason="database"))


def refusal(error: Refusal) -> ResponseReturnValue:
    """Requests refused before a view, such as those for another host's name: a client gets JSON."""
    if not is_for_clients():
        return pages.refusal(error)
    log.info("refused", code=error.code, status=error.status, reason=error.reason)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return authorization_server.error_response(errors.TemporarilyUnavailable())
    oauth_error = InvalidRequestError(description=UNREADABLE)
    if isinstance(error, security.UnknownHost):
        oauth_error = errors.invalid("Host", f"must be {runtime.settings().server.host_name}")
    oauth_error.status_code = error.status
    return authorization_server.error_response(oauth_error)


def http_error(error: HTTPException) -> ResponseReturnValue:
    """Requests that Flask itself refuses: a client gets JSON."""
    if not is_for_clients():
        return pages.http_error(error)
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    oauth_error = InvalidRequestError(description=UNREADABLE)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        oauth_error = InvalidRequestError(description="method not allowed")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        oauth_error = errors.TemporarilyUnavailable(description="too many requests")
    oauth_error.status_code = status
    response = authorization_server.error_response(oauth_error)
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After"}:
            response.headers[name] = str(value)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        response.headers.setdefault("Retry-After", "60")
    return response


def is_for_clients() -> bool:
    """Whether the route is called by programs."""
    return (request.endpoint or _route_of_other_method()) in CLIENT_ENDPOINTS


def _route_of_other_method() -> str | None:
    """The route of a path that was requested with a method it does not allow."""
    error, routes = request.routing_exception, current_app.create_url_adapter(request)
    if not isinstance(error, MethodNotAllowed) or not error.valid_methods or routes is None:
        return None
    return str(routes.match(method=next(iter(error.valid_methods)))[0])


CLIENT_ENDPOINTS = frozenset(
    {
        "oidc.token",
        "oidc.push",
        "oidc.userinfo",
        "oidc.introspect",
        "oidc.revoke",
        "oidc.authorize_device",
        "oidc.register",
        "oidc.manage_registration",
        "oidc.jwks",
        "oidc.metadata",
    }
)
"""Endpoints that clients call: their errors are JSON."""
