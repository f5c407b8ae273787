"""Endpoints that the provider calls: our public keys, events, logout tokens; and the health check."""

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from clients.assembly import events
from clients.assembly.errors import ProviderUnreachable
from clients.assembly.web import csrf, current_program

bp = Blueprint("provider", __name__)

MAX_TOKEN_LENGTH = 16_384


@bp.get("/jwks.json")
def jwks() -> ResponseReturnValue:
    """Our public keys, at the `jwks_uri` of our registration."""
    response = jsonify(current_program().keys.public())
    response.headers["Cache-Control"] = "public, max-age=60"
    return response


@bp.post("/events")
def receive_event() -> ResponseReturnValue:
    """A Security Event Token, pushed (RFC 8935 §2): 202 once it is stored, 400 with `err` where it is not accepted."""
    program = current_program()
    if request.mimetype != "application/secevent+jwt":
        return _refuse("invalid_request", "Content-Type must be application/secevent+jwt")
    try:
        events.receive(program.database, program.provider, program.settings, _token(request.get_data()))
    except events.InvalidEvent as error:
        return _refuse(error.err, error.description)
    except ProviderUnreachable:
        return Response(status=503)  # its keys cannot be fetched, so it shall send the event again
    program.background.wake()
    return Response(status=202)


@bp.post("/backchannel-logout")
def log_out() -> ResponseReturnValue:
    """A logout token (OpenID Connect Back-Channel Logout §2.8): 200, or 400 with an error code of OAuth."""
    program = current_program()
    try:
        events.log_out(program.database, program.provider, _token(request.form.get("logout_token", "").encode()))
    except events.InvalidEvent as error:
        return _refuse("invalid_request", error.description, member="error")
    except ProviderUnreachable:
        return Response(status=503)
    return Response(status=200)


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Always 200."""
    return {"status": "ok"}


csrf.exempt(receive_event)
csrf.exempt(log_out)


def _token(body: bytes) -> str:
    if len(body) > MAX_TOKEN_LENGTH:
        raise events.InvalidEvent("invalid_request", "the token is too long")
    try:
        return body.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise events.InvalidEvent("invalid_request", "the token is not ASCII") from error


def _refuse(err: str, description: str, *, member: str = "err") -> ResponseReturnValue:
    """A response of 400 whose code is in `member`: `err` (RFC 8935 §2.3), or `error` for a logout token."""
    names = {"err": "description", "error": "error_description"}
    return jsonify({member: err, names[member]: description}), 400, {"Content-Language": "en"}
