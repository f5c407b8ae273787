"""Registration by clients themselves (RFC 7591, RFC 7592, OpenID Connect Registration 1.0).

A request without a token learns nothing and makes us fetch nothing; what may be registered is decided by
`partners.self_registration`. Here are only the requests and their answers.
"""

import json
from typing import Any, Final, NoReturn

from flask import Request as FlaskRequest, Response
from werkzeug.exceptions import RequestEntityTooLarge

from idp.foundation import runtime
from idp.oidc import errors, server as protocol
from idp.oidc.clients import failures
from idp.oidc.server import LARGEST
from idp.partners import initial_tokens, self_registration
from idp.partners.metadata import InvalidClientMetadata, InvalidMetadata
from idp.partners.self_registration import Held, Registered

PATH: Final = "/oauth/register"
REALM: Final = 'Bearer realm="registration"'
INVALID_TOKEN: Final = "The token is unknown, expired, revoked or used up, or is not for this client."  # noqa: S105  what is said of one
LONGEST: Final = 1000
"""Characters of it."""


def create(asked: FlaskRequest) -> Response:
    """Register a client (RFC 7591 §3) with an initial access token."""
    policy = initial_tokens.presented(_bearer(asked) or "")
    if policy is None:
        return _unauthorised(asked)
    try:
        made = self_registration.register(policy, _object(asked))
    except RequestEntityTooLarge:
        return _too_large()
    except InvalidMetadata as fault:
        return _refused(fault)
    return _unauthorised(asked) if made is None else _answer(201, made, made.token)


def manage(asked: FlaskRequest, client_id: str) -> Response:
    """Read, replace or delete a registration (RFC 7592 §2) with its registration access token."""
    token = _bearer(asked) or ""
    held = self_registration.presented(client_id, token)
    if held is None:
        return _unauthorised(asked)
    if asked.method == "DELETE":
        self_registration.remove(held)
        return protocol.empty_response(204)
    try:
        return _answer(200, _read_or_replaced(asked, held), token)
    except RequestEntityTooLarge:
        return _too_large()
    except InvalidMetadata as fault:
        failures.about(client_id)
        for name, reason in fault.faults:
            failures.note(fault.code, name, reason)
        return _refused(fault)


def _read_or_replaced(asked: FlaskRequest, held: Held) -> Registered:
    if asked.method == "PUT":
        return self_registration.replace(held, _object(asked))
    return self_registration.read(held)


def _answer(status: int, found: Registered, token: str | None) -> Response:
    """The client information response (RFC 7591 §3.2.1); what is secret stands in it this once."""
    client = found.client
    said: dict[str, Any] = {
        "client_id": client.id, "client_id_issued_at": int(client.created_at.timestamp()),
        "registration_access_token": token, "registration_client_uri": runtime.url(f"{PATH}/{client.id}"),
    }  # fmt: skip
    if found.secret is not None:
        said |= {"client_secret": found.secret, "client_secret_expires_at": 0}
    return _json(status, said | self_registration.described(client))


def _bearer(asked: FlaskRequest) -> str | None:
    scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _object(asked: FlaskRequest) -> dict[str, Any]:
    """The JSON object that was sent; raises `InvalidClientMetadata`, `RequestEntityTooLarge`."""
    asked.max_content_length = LARGEST
    if asked.mimetype != "application/json":
        raise InvalidClientMetadata([("Content-Type", "must be application/json")])
    try:
        sent = json.loads(asked.get_data(), parse_constant=_not_json, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InvalidClientMetadata([("registration", "must be a JSON object with each name once")]) from None
    if not isinstance(sent, dict):
        raise InvalidClientMetadata([("registration", "must be an object of names and values")])
    return sent


def _not_json(_constant: str) -> NoReturn:
    raise ValueError("NaN and infinities are not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """No name twice: two readers would take two different values for it."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _refused(fault: InvalidMetadata) -> Response:
    return _json(400, {"error": fault.code, "error_description": errors.plain(fault.says, LONGEST)})


def _too_large() -> Response:
    said = f"Content-Length: the body must have at most {LARGEST} bytes"
    return _json(413, {"error": "invalid_client_metadata", "error_description": said})


def _unauthorised(asked: FlaskRequest) -> Response:
    """401; a bare challenge to who brought nothing (RFC 6750 §3.1)."""
    if "Authorization" not in asked.headers:
        response = _json(401, {"error": "invalid_token"})
        response.headers["WWW-Authenticate"] = REALM
        return response
    response = _json(401, {"error": "invalid_token", "error_description": INVALID_TOKEN})
    response.headers["WWW-Authenticate"] = f'{REALM}, error="invalid_token"'
    return response


def _json(status: int, said: dict[str, Any]) -> Response:
    return Response(json.dumps(said), status=status, mimetype="application/json")
