"""Record why a client's request failed, for its developers: noted with the error, written after the response.

The response may have to contain less (all failed authentications look alike), so reasons are collected here next to the
errors. They are written in a transaction of their own, because a refusal often rolls back that of the request.
"""

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import structlog
from authlib.oauth2 import OAuth2Error
from flask import Response, current_app, request
from sqlalchemy.exc import SQLAlchemyError

from idp.foundation import database, request_state
from idp.foundation.web import middleware, transactions
from idp.oidc.clients import oauth_client
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.errors import NotToBeRedirected, SharingInterrupted
from idp.oidc.incoming import KNOWN_PARAMETERS, Request
from idp.partners import failure_log, registry
from idp.partners.failure_log import Failure

EXPECTED: Final = frozenset(
    {"access_denied", "login_required", "consent_required", "interaction_required", "account_selection_required",
     "unmet_authentication_requirements", "authorization_pending", "temporarily_unavailable", "use_dpop_nonce"}
)  # fmt: skip
"""Errors that are not mistakes of the client's developers."""
MISTAKES_AT_THE_API: Final = frozenset(
    {"invalid_request", "invalid_invitation", "school_unknown", "idempotency_key_reused"}
)
"""Problems of the API for partners that are mistakes of the client's developers."""
REGISTERED_URIS: Final = {"redirect_uri": "redirect_uris", "post_logout_redirect_uri": "post_logout_redirect_uris"}
"""Parameters that are compared with registered URIs, and the field of those."""
HEADERS: Final = frozenset({"DPoP", "Content-Type", "Content-Length", "Host"})
"""Headers that our error descriptions begin with instead of a parameter."""
MAX_URI_LENGTH: Final = 2048
"""Characters of a URI that are stored."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _RequestNotes:
    """What was noted during this request, for the client's log."""

    client_id: str | None = None
    """The client that the request names."""
    request: Request | None = None
    """The OAuth request, if its parameters are not simply those of the form."""
    reason: tuple[str, str] | None = None
    """The wrong parameter and what is wrong with it, if the response must not say so."""
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    """Error, parameter and fact of each failure."""


def set_client(client_id: str | None, request: Request | None = None) -> None:
    """Note the client that the request names; `request` if its parameters are not simply those of the form."""
    notes = request_state.part(_RequestNotes)
    notes.client_id, notes.request = client_id, request


def set_reason(parameter: str, detail: str) -> None:
    """Note the reason of an error whose response will not contain it; the first one counts."""
    notes = request_state.part(_RequestNotes)
    if notes.reason is None:
        notes.reason = parameter, detail


def note(error: str, parameter: str, detail: str) -> None:
    """Note a failure because of `parameter`; a reason noted by `set_reason` takes precedence."""
    if error not in EXPECTED:
        _add(error, parameter, detail)


def _add(error: str, parameter: str, detail: str) -> None:
    notes = request_state.part(_RequestNotes)
    notes.failures.append((error, *(notes.reason or (parameter, detail))))


def note_error(error: OAuth2Error) -> None:
    """Note an OAuth error."""
    if isinstance(error, SharingInterrupted):  # has the code `access_denied`, which is expected otherwise
        _add(error.error, *reason(error))
    else:
        note(error.error, *reason(error))


def reason(error: OAuth2Error) -> tuple[str, str]:
    """The wrong parameter (or "") and what is wrong with it, whether or not the response says so.

    Our descriptions begin with the parameter. In the server's log the two are fields of their own: a text such as
    "code: expired" looks like a credential there, and would be redacted.
    """
    if (hidden_reason := request_state.part(_RequestNotes).reason) is not None:
        return hidden_reason
    parameter, colon, detail = (error.description or "").partition(": ")
    has_parameter = bool(colon) and (parameter in KNOWN_PARAMETERS or parameter in HEADERS)
    return (parameter, detail) if has_parameter else ("", error.description or "")


def note_page(error: NotToBeRedirected) -> None:
    """Note an error that is shown on a page."""
    note(error.error, error.parameter, error.detail)


def write_notes(response: Response) -> Response:
    """Write the notes to the client's log; an `after_request` hook."""
    notes = request_state.part(_RequestNotes)
    if notes.failures and notes.client_id:
        try:
            _write(notes.client_id, notes.failures)
        except SQLAlchemyError as error:  # must not make the response fail
            log.warning("client event not stored", error=type(error).__name__)
    return response


def _write(client_id: str, noted_failures: list[tuple[str, str, str]]) -> None:
    endpoint = f"{request.method} {request.path}"
    failures = [
        Failure(endpoint, error, parameter, detail, _comparison(client_id, parameter), middleware.request_id() or "")
        for error, parameter, detail in sorted(noted_failures)  # concurrent requests lock rows in the same order
    ]
    # A read transaction still open would make SQLite's only writer wait for itself.
    database.end_read_transaction()
    with transactions.transaction(current_app._get_current_object()):  # type: ignore[attr-defined]  # noqa: SLF001
        for failure in failures:
            failure_log.record(client_id, failure)


def _comparison(client_id: str, parameter: str) -> tuple[dict[str, Any], ...] | None:
    """How the sent URI differs from each registered one; None if the URI is not what is wrong."""
    client = oauth_client.find(client_id) if parameter in REGISTERED_URIS else None
    if client is None:
        return None
    oauth_request = request_state.part(_RequestNotes).request
    # A body may have been refused unread, for its size: it is read for a URI's sake only.
    uri = (request.values if oauth_request is None else oauth_request.sent).get(parameter) or ""
    if not uri:
        return None
    registered = getattr(client.registered, REGISTERED_URIS[parameter])
    if registry.matches_any(uri, registered):
        return None
    differences: list[dict[str, Any]] = [
        {
            "sent": without_values(uri, client),
            "registered": registered_uri,
            "differs_in": oauth_client.differing_parts(uri, registered_uri),
        }
        for registered_uri in registered
    ]
    return tuple(sorted(differences, key=lambda difference: len(difference["differs_in"])))  # the most similar first


def without_values(uri: str, client: OAuthClient) -> str:
    """The sent URI without possible secrets: credentials, and values of an unregistered query."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "(cannot be read)"
    registered = [uri for name in REGISTERED_URIS.values() for uri in getattr(client.registered, name)]
    query = parts.query
    if query not in {urlsplit(registered_uri).query for registered_uri in registered}:
        query = "&".join(f"{name}=..." for name, _ in parse_qsl(query, keep_blank_values=True, max_num_fields=None))
    host = ("...@" if "@" in parts.netloc else "") + parts.netloc.rpartition("@")[2]
    safe = parts._replace(netloc=host, query=query, fragment="..." if parts.fragment else "").geturl()
    return "".join(char for char in safe if char.isprintable())[:MAX_URI_LENGTH]
