"""The routes of the protocol. What each does is in the module of its name."""

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from idp.foundation import request_state
from idp.foundation.errors import Refusal
from idp.foundation.web import form_drafts, security
from idp.foundation.web.throttle import at_most, limiter, rate_limit
from idp.foundation.web.transactions import autocommit
from idp.oidc import errors
from idp.oidc.clients import failures
from idp.oidc.endpoints import (
    authorize,
    consent,
    cors,
    device as device_endpoint,
    discovery,
    introspection,
    logout as logout_endpoint,
    pages,
    par,
    registration,
    revocation,
    token as token_endpoint,
    userinfo as userinfo_endpoint,
)

bp = Blueprint("oidc", __name__)
bp.register_error_handler(errors.NotToBeRedirected, pages.not_to_be_redirected)
bp.register_error_handler(errors.StaleRequest, pages.stale_request)
bp.register_error_handler(Refusal, pages.refusal)
bp.register_error_handler(CSRFError, pages.form_expired)
bp.register_error_handler(DBAPIError, pages.unavailable)
bp.register_error_handler(PoolTimeout, pages.unavailable)
bp.register_error_handler(HTTPException, pages.http_error)
bp.app_errorhandler(MethodNotAllowed)(pages.http_error)  # raised before routing, and so before any blueprint
bp.after_request(cors.allow)
bp.after_request(failures.write_notes)


@bp.route("/oauth/authorize", methods=["GET", "POST"])
@security.anyone
@rate_limit(1200)
def authorization() -> ResponseReturnValue:
    """The authorization endpoint (RFC 6749 §3.1). A POST only stores the request, so it needs no CSRF token."""
    if request.method == "HEAD":
        return Response(status=200)
    return authorize.respond()


@bp.route("/oauth/consent", methods=["GET", "POST"])
@security.anyone
def ask_consent() -> ResponseReturnValue:
    """The page to authorise sharing. The dispatcher leads here only when a person is signed in."""
    return consent.ask()


@bp.route("/oauth/mis", methods=["GET", "POST"])
@security.anyone
def tell_mis() -> ResponseReturnValue:
    """Which system the school uses, where the client works with some only."""
    return consent.tell_mis()


@bp.route("/oauth/app", methods=["GET", "POST"])
@security.anyone
def confirm_app() -> ResponseReturnValue:
    """Whether the person opened the app that asks to sign them in (RFC 8252 §8.6)."""
    return consent.confirm_app()


@bp.post("/oauth/token")
@security.client
@rate_limit(30_000)
def token() -> ResponseReturnValue:
    """The token endpoint (RFC 6749 §3.2)."""
    return token_endpoint.respond(request_state.request())


@bp.post("/oauth/par")
@security.client
@autocommit
@rate_limit(30_000)
def push() -> ResponseReturnValue:
    """Push an authorization request (RFC 9126)."""
    return par.respond(request_state.request())


@bp.post("/oauth/introspect")
@security.client
@autocommit
@rate_limit(30_000)
def introspect() -> ResponseReturnValue:
    """Whether a token is valid now (RFC 7662)."""
    return introspection.respond(request_state.request())


@bp.route("/oauth/userinfo", methods=["GET", "POST"])
@security.client
@autocommit
@rate_limit(30_000)
def userinfo() -> ResponseReturnValue:
    """Who the access token is about (OpenID Connect Core §5.3)."""
    return userinfo_endpoint.respond(request_state.request())


@bp.post("/oauth/revoke")
@security.client
@rate_limit(30_000)
def revoke() -> ResponseReturnValue:
    """Revoke a token (RFC 7009)."""
    return revocation.respond(request_state.request())


@bp.route("/oauth/logout", methods=["GET", "POST"])
@security.anyone
def logout() -> ResponseReturnValue:
    """Sign out at a client's request (RP-Initiated Logout 1.0). It may ask for confirmation: `confirm_logout`."""
    return logout_endpoint.respond()


@bp.post("/oauth/logout/confirm")
@security.anyone
@form_drafts.form_shown_at(logout_endpoint.question_url)
def confirm_logout() -> ResponseReturnValue:
    """The person's decision whether to sign out."""
    return logout_endpoint.confirm()


@bp.post("/oauth/device_authorization")
@security.client
@limiter.limit(at_most(120, "minute"))
def authorize_device() -> ResponseReturnValue:
    """The device authorization endpoint (RFC 8628 §3.1)."""
    return device_endpoint.authorize(request)


@bp.route(device_endpoint.PATH, methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "minute"), methods=["POST"])
def device() -> ResponseReturnValue:
    """Where a person types the code that a device shows (RFC 8628 §3.3)."""
    return device_endpoint.page()


@bp.post(registration.PATH)
@security.client
@limiter.limit(at_most(60, "minute"))
def register() -> ResponseReturnValue:
    """Register a client with an initial access token (RFC 7591)."""
    return registration.create(request)


@bp.route(f"{registration.PATH}/<client_id>", methods=["GET", "PUT", "DELETE"])
@security.client
@limiter.limit(at_most(60, "minute"))
def manage_registration(client_id: str) -> ResponseReturnValue:
    """A client reads, replaces or deletes its own registration (RFC 7592)."""
    return registration.manage(request, client_id)


@bp.get("/oauth/jwks")
@security.anyone
def jwks() -> ResponseReturnValue:
    """Our public keys (RFC 7517)."""
    return discovery.keys()


@bp.get("/.well-known/openid-configuration")
@bp.get("/.well-known/oauth-authorization-server")
@security.anyone
def metadata() -> ResponseReturnValue:
    """The server's metadata (OpenID Connect Discovery 1.0 §3, RFC 8414)."""
    return discovery.document()


for _view in (
    authorization, token, push, userinfo, introspect, revoke, logout, authorize_device, register, manage_registration,
):  # fmt: skip
    # These read no cookie, or decide nothing: authorize stores a POST, and logout asks for confirmation.
    security.csrf_exempt(_view)
