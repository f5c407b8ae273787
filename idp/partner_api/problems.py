"""Problem documents (RFC 9457): every error of the API for partners, with the URL of its explanation."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from flask import Response
from msgspec import UNSET, UnsetType
from werkzeug.exceptions import HTTPException

from idp.foundation import runtime
from idp.foundation.errors import Busy, Refusal
from idp.foundation.web import middleware
from idp.invitations.targets import SchoolNotOpen
from idp.oidc.clients import dpop, failures
from idp.oidc.endpoints import presented_token
from idp.oidc.errors import OAuthError
from idp.partner_api.responses import FieldError, OtherEndpoint, Problem, Successor
from idp.xporter.endpoints import EndpointExists

MEDIA_TYPE: Final = "application/problem+json"
EXPLAINED_AT: Final = "/api"
"""The page on which each kind is explained, at an anchor of its code."""
KINDS: Final = {
    "invalid_request": (
        400, "Something in the request cannot be read", "`detail` names the parameter and what is wrong with it.",
    ),
    "invalid_token": (
        401, "There is no access token, or it is not valid",
        "Get a new one with client credentials. `WWW-Authenticate` and your client's log say what is wrong with it.",
    ),
    "invalid_dpop_proof": (
        401, "The DPoP proof is missing or wrong", "`detail` says what was expected (RFC 9449 §7.1).",
    ),
    "use_dpop_nonce": (401, "The DPoP proof needs our nonce", "Send it again with the nonce of `DPoP-Nonce`."),
    "insufficient_scope": (
        403, "The access token does not cover this",
        "Ask for the scope that `WWW-Authenticate` names; our staff register clients for it.",
    ),
    "not_found": (404, "There is nothing at this URL", "Also where it belongs to another client."),
    "method_not_allowed": (405, "This method is not used here", "`Allow` names those that are."),
    "too_many_requests": (
        429, "Too many requests", "Wait for as many seconds as `Retry-After` says, and then ask less often.",
    ),
    "invalid_invitation": (422, "The invitation has fields that are wrong", "`errors` names each of them."),
    "school_unknown": (
        422, "No school has this number", "Look it up with `GET /api/register/schools`.",
    ),
    "school_not_open": (
        422, "The school cannot be invited", "`detail` says why; `successors` followed a closed one.",
    ),
    "idempotency_key_reused": (
        422, "The idempotency key was used for something else", "Use a new key for each invitation.",
    ),
    "invitation_over": (
        409, "The invitation is over", "`detail` says how it ended. Make another one if you need it.",
    ),
    "too_many_invitations": (
        429, "Your application has enough invitations for now", "`detail` says which limit was reached.",
    ),
    "no_event_stream": (
        409, "Your application does not receive events this way", "`detail` says how it is registered.",
    ),
    "endpoint_exists": (
        409, "Another server is the school's endpoint", "`endpoint` names it. Remove it first, or send `replaces`.",
    ),
    "endpoint_ended": (409, "The endpoint was replaced or removed", "Its tokens are revoked: ask for a new code."),
    "too_many_mails": (
        429, "This address has had several invitations today", "Try again tomorrow, or name another contact.",
    ),
    "busy": (503, "We cannot answer at the moment", "Nothing was changed. Ask again after `Retry-After` seconds."),
    "server_error": (500, "Something broke on our side", "Tell us the `request_id`: we have a record of it."),
}  # fmt: skip
"""Code: status, title, and what to do."""

log = structlog.get_logger(__name__)


def response(
    code: str, detail: str, *, status: int | None = None, field_errors: Sequence[tuple[str, str]] = (),
    successors: tuple[Successor, ...] = (), endpoint: OtherEndpoint | UnsetType = UNSET,
) -> Response:  # fmt: skip
    """The problem document of the kind `code`, with the details of this occurrence."""
    usual, title, _ = KINDS[code]
    problem = Problem(
        type=f"{runtime.url(EXPLAINED_AT)}#{code}", title=title, status=status or usual, detail=detail, code=code,
        request_id=middleware.request_id(), successors=successors, endpoint=endpoint,
        errors=tuple(FieldError(field=name, detail=error) for name, error in field_errors),
    )  # fmt: skip
    return Response(msgspec.json.encode(problem), problem.status, content_type=MEDIA_TYPE)


def from_token_error(error: OAuthError, scope: str) -> Response:
    """The problem document for an invalid or insufficient token, with challenges; noted in the client's log."""
    failures.note_error(error)
    name, reason = failures.reason(error)
    log.info("token refused", code=error.error, name=name, reason=reason)
    code = error.error if error.error in KINDS else "invalid_request"
    refused = response(code, error.description or KINDS[code][1], status=presented_token.status_of(error))
    for challenge in presented_token.challenges(error, realm="api", scope=scope):
        refused.headers.add("WWW-Authenticate", challenge)
    return dpop.with_nonce(refused)


def from_refusal(error: Refusal) -> Response:
    """The problem document for one of our refusals."""
    log.info("refused", code=error.code, status=error.status, reason=error.reason)
    code = error.code if error.code in KINDS else _code_of(error.status)
    if code in failures.MISTAKES_AT_THE_API:
        for parameter, detail in error.field_errors or [_parameter(error.message)]:
            failures.note(code, parameter, detail)
    after = error.successors if isinstance(error, SchoolNotOpen) else ()
    problem_response = response(
        code, error.message, status=error.status, field_errors=error.field_errors,
        successors=tuple(
            Successor(
                name=successor.name,
                urn=(successor.school and successor.school.urn) or UNSET,
                since=successor.since or UNSET,
            )
            for successor in after
        ),
        endpoint=_other(error) if isinstance(error, EndpointExists) else UNSET,
    )  # fmt: skip
    if (seconds := getattr(error, "retry_after", None)) is not None:
        problem_response.headers["Retry-After"] = str(seconds)
    return problem_response


def _parameter(message: str) -> tuple[str, str]:
    """The parameter with which the message of a refusal begins, or "", and what is wrong with it."""
    name, colon, detail = message.partition(": ")
    return (name, detail) if colon and " " not in name else ("", message)


def _other(error: EndpointExists) -> OtherEndpoint:
    return OtherEndpoint(name=error.endpoint.name, heard_at=error.endpoint.heard_at)


def from_http_error(error: HTTPException) -> Response:
    """The problem document for a request that Flask refuses."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    code = _code_of(status)
    problem_response = response(code, KINDS[code][1], status=status)
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After"}:
            problem_response.headers[name] = str(value)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        problem_response.headers.setdefault("Retry-After", "60")
    return problem_response


def unavailable(error: Exception) -> Response:
    """The problem document while the database is unreachable."""
    log.error("database", error=type(error).__name__, exc_info=error)
    return from_refusal(Busy(KINDS["busy"][1], reason="database", retry_after=10))


def unexpected(error: Exception) -> Response:
    """The problem document for an exception without a handler of its own, which is a bug on our side."""
    log.error("unforeseen", error=type(error).__name__, exc_info=error)
    return response("server_error", KINDS["server_error"][2])


def _code_of(status: int) -> str:
    codes = {usual: code for code, (usual, _, _) in reversed(KINDS.items())}
    return codes.get(status, "invalid_request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "busy")
