"""The routes below `/api`. What each does is in the module of its name."""

from flask import Blueprint, Response, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from idp.foundation import runtime
from idp.foundation.errors import Refusal
from idp.foundation.web import security
from idp.foundation.web.throttle import rate_limit
from idp.oidc.clients import failures
from idp.partner_api import (
    catalogue,
    endpoint,
    event_pages,
    events,
    invitations,
    openapi,
    problems,
    reads,
    register,
    schools,
)
from idp.partner_api.operations import CACHE_SECONDS

bp = Blueprint("partner_api", __name__)
bp.register_error_handler(Refusal, problems.from_refusal)
bp.register_error_handler(DBAPIError, problems.unavailable)
bp.register_error_handler(PoolTimeout, problems.unavailable)
bp.register_error_handler(HTTPException, problems.from_http_error)
bp.register_error_handler(MethodNotAllowed, problems.from_http_error)  # the protocol's is for the whole application
bp.register_error_handler(Exception, problems.unexpected)
bp.after_request(failures.write_notes)

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""The methods for which an unknown path gets a problem document."""
bp.add_url_rule("/api/schools", view_func=schools.list_schools)
bp.add_url_rule("/api/schools/<estab_id>", view_func=schools.read_school)
bp.add_url_rule("/api/register/schools", view_func=register.search_register)
bp.add_url_rule("/api/scopes", view_func=catalogue.list_scopes)
bp.add_url_rule("/api/invitations", view_func=invitations.invite_school, methods=["POST"])
bp.add_url_rule("/api/invitations", view_func=invitations.list_invitations)
bp.add_url_rule("/api/invitations/<invitation_id>", view_func=invitations.read_invitation)
bp.add_url_rule("/api/invitations/<invitation_id>/resend", view_func=invitations.resend_invitation, methods=["POST"])
bp.add_url_rule("/api/invitations/<invitation_id>/cancel", view_func=invitations.cancel_invitation, methods=["POST"])
bp.add_url_rule("/api/events/poll", view_func=events.poll_events, methods=["POST"])
bp.add_url_rule("/api/events/verification", view_func=events.verify_events, methods=["POST"])
bp.add_url_rule("/api/endpoint", view_func=endpoint.report_endpoint, methods=["PUT"])
bp.add_url_rule("/api/endpoint", view_func=endpoint.read_endpoint)
bp.add_url_rule("/api/endpoint", view_func=endpoint.remove_endpoint, methods=["DELETE"])
bp.add_url_rule("/api/reads", view_func=reads.report_reads, methods=["POST"])


@bp.get("/api/openapi.json")
@security.anyone
@rate_limit(600)
def description() -> ResponseReturnValue:
    """The OpenAPI description."""
    response: Response = jsonify(openapi.document())
    response.headers["Cache-Control"] = f"public, max-age={CACHE_SECONDS}"
    response.headers["Access-Control-Allow-Origin"] = "*"  # tools in a browser read it; it has no secret
    return response


@bp.get("/api")
@security.anyone
@rate_limit(600)
def reference() -> ResponseReturnValue:
    """The reference of the API for people, made from its description."""
    return render_template("partner_api/reference.html", api=openapi.document(), problems=problems.KINDS)


@bp.get("/events")
@security.anyone
@rate_limit(600)
def event_types() -> ResponseReturnValue:
    """The kinds of events, explained."""
    settings = runtime.settings()
    return render_template(
        "partner_api/events.html", events=event_pages.all_pages(), only=None, issuer=settings.server.issuer,
        days=settings.retention.partner_events,
    )  # fmt: skip


@bp.get("/events/<name>")
@security.anyone
@rate_limit(600)
def event_type(name: str) -> ResponseReturnValue:
    """One kind of event: the page at its URI."""
    return render_template("partner_api/events.html", events=[event_pages.page(name)], only=name)


@bp.route("/api/<path:_path>", methods=[*METHODS, "OPTIONS"], provide_automatic_options=False)
@security.client
@rate_limit(6000)
def anything_else(_path: str) -> ResponseReturnValue:
    """A path that does not exist, or a method that it does not have: a problem document, as for all of `/api`."""
    if allowed := _methods_of_path():
        raise MethodNotAllowed(allowed)
    raise NotFound


@bp.after_request
def describe_methods(response: Response) -> Response:
    """`Allow` in a response to OPTIONS: without the methods of `anything_else` (RFC 9110 §10.2.1)."""
    if request.method == "OPTIONS" and request.path.startswith("/api/") and response.status_code == 200:
        response.headers["Allow"] = ", ".join(_methods_of_path())
    return response


def _methods_of_path() -> list[str]:
    """The methods for which the path of this request has a view of its own; empty if it has none."""
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None  # there is a request
    methods = []
    for method in METHODS:
        rule, _ = adapter.match(method=method, return_rule=True)
        if rule.endpoint != "partner_api.anything_else":
            methods += ["GET", "HEAD"] if method == "GET" else [method]
    return [*methods, "OPTIONS"] if methods else []


security.csrf_exempt(anything_else)
