"""Registration by clients themselves (RFC 7591, RFC 7592, OpenID Connect Registration 1.0).

A request without a valid token gets no information, and causes no outbound request. `partners.self_registration`
decides what may be registered; this module reads requests and writes responses.
"""

import json
from typing import Any, Final, NoReturn

from flask import Request as FlaskRequest, Response
from werkzeug.exceptions import RequestEntityTooLarge

from idp.foundation import descriptions, runtime
from idp.oidc import authorization_server
from idp.oidc.authorization_server import MAX_BODY_BYTES
from idp.oidc.clients import failures
from idp.partners import initial_tokens, self_registration
from idp.partners.metadata import InvalidClientMetadata, InvalidMetadata
from idp.partners.self_registration import ManagedClient, Registered

PATH: Final = "/oauth/register"
CHALLENGE: Final = 'Bearer realm="registration"'
"""The value of `WWW-Authenticate`; an error is appended if a token was sent."""
INVALID_TOKEN: Final = "The token is unknown, expired, revoked or used up, or is not for this client."  # noqa: S105  an error text
MAX_DESCRIPTION_LENGTH: Final = 1000
"""In characters."""


def create(flask_request: FlaskRequest) -> Response:
    """Register a client (RFC 7591 §3) with an initial access token."""
    policy = initial_tokens.find_usable(_bearer_token(flask_request) or "")
    if policy is None:
        return _unauthorised(flask_request)
    try:
        registration = self_registration.register(policy, _read_json_object(flask_request))
    except RequestEntityTooLarge:
        return _too_large()
    except InvalidMetadata as error:
        return _metadata_error(error)
    return (
        _unauthorised(flask_request)
        if registration is None
        else _registration_response(201, registration, registration.token)
    )


def manage(flask_request: FlaskRequest, client_id: str) -> Response:
    """Read, replace or delete a registration (RFC 7592 §2) with its registration access token."""
    token = _bearer_token(flask_request) or ""
    managed = self_registration.authenticate(client_id, token)
    if managed is None:
        return _unauthorised(flask_request)
    if flask_request.method == "DELETE":
        self_registration.remove(managed)
        return authorization_server.empty_response(204)
    try:
        return _registration_response(200, _read_or_replace(flask_request, managed), token)
    except RequestEntityTooLarge:
        return _too_large()
    except InvalidMetadata as error:
        failures.set_client(client_id)
        for name, reason in error.field_errors:
            failures.note(error.code, name, reason)
        return _metadata_error(error)


def _read_or_replace(flask_request: FlaskRequest, managed: ManagedClient) -> Registered:
    if flask_request.method == "PUT":
        return self_registration.replace(managed, _read_json_object(flask_request))
    return self_registration.current(managed)


def _registration_response(status: int, registered: Registered, token: str | None) -> Response:
    """The client information response (RFC 7591 §3.2.1); secrets are in it only when they have just been created."""
    client = registered.client
    body: dict[str, Any] = {
        "client_id": client.id, "client_id_issued_at": int(client.created_at.timestamp()),
        "registration_access_token": token, "registration_client_uri": runtime.url(f"{PATH}/{client.id}"),
    }  # fmt: skip
    if registered.secret is not None:
        body |= {"client_secret": registered.secret, "client_secret_expires_at": 0}
    return _json(status, body | self_registration.to_metadata(client))


def _bearer_token(flask_request: FlaskRequest) -> str | None:
    scheme, _, token = flask_request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _read_json_object(flask_request: FlaskRequest) -> dict[str, Any]:
    """The JSON object that was sent; raises `InvalidClientMetadata`, `RequestEntityTooLarge`."""
    flask_request.max_content_length = MAX_BODY_BYTES
    if flask_request.mimetype != "application/json":
        raise InvalidClientMetadata([("Content-Type", "must be application/json")])
    try:
        document = json.loads(
            flask_request.get_data(), parse_constant=_reject_constant, object_pairs_hook=_reject_duplicates
        )
    except (ValueError, RecursionError):
        raise InvalidClientMetadata([("registration", "must be a JSON object with each name once")]) from None
    if not isinstance(document, dict):
        raise InvalidClientMetadata([("registration", "must be an object of names and values")])
    return document


def _reject_constant(_constant: str) -> NoReturn:
    raise ValueError("NaN and infinities are not JSON")


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raise `ValueError` if a name is repeated: parsers differ in which value they take."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is repeated")
    return members


def _metadata_error(error: InvalidMetadata) -> Response:
    return _json(
        400, {"error": error.code, "error_description": descriptions.sanitise(error.message, MAX_DESCRIPTION_LENGTH)}
    )


def _too_large() -> Response:
    description = f"Content-Length: the body must have at most {MAX_BODY_BYTES} bytes"
    return _json(413, {"error": "invalid_client_metadata", "error_description": description})


def _unauthorised(flask_request: FlaskRequest) -> Response:
    """A 401, whose challenge has no error code if no token was sent (RFC 6750 §3.1)."""
    if "Authorization" not in flask_request.headers:
        response = _json(401, {"error": "invalid_token"})
        response.headers["WWW-Authenticate"] = CHALLENGE
        return response
    response = _json(401, {"error": "invalid_token", "error_description": INVALID_TOKEN})
    response.headers["WWW-Authenticate"] = f'{CHALLENGE}, error="invalid_token"'
    return response


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
