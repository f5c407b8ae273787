"""Why a client's request failed, for its developer: noted where an error is answered, kept when it has been.

What the caller is told may have to say less (all failed authentications look alike), so reasons are gathered
here beside the errors. They are written in a transaction of their own, because a refusal often undoes the
request's.
"""

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import structlog
from authlib.oauth2 import OAuth2Error
from flask import Response, current_app, request
from sqlalchemy.exc import SQLAlchemyError

from idp.foundation import database, request_state
from idp.foundation.web import transactions
from idp.oidc.clients import client as clients
from idp.oidc.clients.client import OAuthClient
from idp.oidc.errors import NotToBeRedirected, Paused
from idp.oidc.incoming import KNOWN, Request
from idp.partners import journal, registry
from idp.partners.journal import Failure

EXPECTED: Final = frozenset(
    {"access_denied", "login_required", "consent_required", "interaction_required", "account_selection_required",
     "unmet_authentication_requirements", "authorization_pending", "temporarily_unavailable", "use_dpop_nonce"}
)  # fmt: skip
"""Answers that are no fault of the client's."""
ADDRESSES: Final = {"redirect_uri": "redirect_uris", "post_logout_redirect_uri": "post_logout_redirect_uris"}
"""Parameters that are compared with what is registered, and where."""
HEADERS: Final = frozenset({"DPoP", "Content-Type", "Content-Length", "Host"})
"""What else than a parameter our descriptions begin with."""
LONGEST: Final = 2048

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Noted:
    """What was noted about the client of this request, for its log."""

    client_id: str | None = None
    """The client that the request says it is from."""
    request: Request | None = None
    """The OAuth request, where its parameters are not simply the form."""
    reason: tuple[str, str] | None = None
    """The parameter that is wrong, and what is wrong with it, where the error must not say so."""
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    """Error, parameter and fact of each failure."""


def about(client_id: str | None, request: Request | None = None) -> None:
    """Note the client that this request says it is from; `request` where the parameters are not simply the form."""
    noted = request_state.part(_Noted)
    noted.client_id, noted.request = client_id, request


def because(parameter: str, fact: str) -> None:
    """The reason behind an error that will not tell it; the first one counts."""
    noted = request_state.part(_Noted)
    if noted.reason is None:
        noted.reason = parameter, fact


def note(error: str, parameter: str, fact: str) -> None:
    """The request failed, because of `parameter`; or, where one is known, for the reason that was not told."""
    if error not in EXPECTED:
        _add(error, parameter, fact)


def _add(error: str, parameter: str, fact: str) -> None:
    noted = request_state.part(_Noted)
    noted.failures.append((error, *(noted.reason or (parameter, fact))))


def note_error(error: OAuth2Error) -> None:
    """The same for an OAuth error."""
    if isinstance(error, Paused):  # has the code of a person who refused, which is not noted
        _add(error.error, *reason(error))
    else:
        note(error.error, *reason(error))


def reason(error: OAuth2Error) -> tuple[str, str]:
    """The parameter that is wrong, empty where it is none, and what is wrong with it, whether or not that is told.

    Our descriptions begin with the parameter. In the server's log the two are fields of their own: a text such as
    "code: expired" looks like a credential there, and would be scrubbed.
    """
    if (untold := request_state.part(_Noted).reason) is not None:
        return untold
    parameter, colon, fact = (error.description or "").partition(": ")
    known = bool(colon) and (parameter in KNOWN or parameter in HEADERS)
    return (parameter, fact) if known else ("", error.description or "")


def note_page(refused: NotToBeRedirected) -> None:
    """The same for what is shown on a page."""
    note(refused.error, refused.parameter, refused.fact)


def keep(response: Response) -> Response:
    """After the answer has been made: write what was noted into the client's log."""
    noted = request_state.part(_Noted)
    if noted.failures and noted.client_id:
        try:
            _write(noted.client_id, noted.failures)
        except SQLAlchemyError as fault:  # no reason to fail what has been answered
            log.warning("not kept", name="client event", error=type(fault).__name__)
    return response


def _write(client_id: str, noted: list[tuple[str, str, str]]) -> None:
    endpoint = f"{request.method} {request.path}"
    failures = [
        Failure(endpoint, error, parameter, fact, _comparison(client_id, parameter))
        for error, parameter, fact in sorted(noted)  # two of us at once take the rows in one order
    ]
    # What was read since the view, here or to show a page, would have SQLite's only writer wait for itself.
    database.end_read_transaction()
    with transactions.work(current_app._get_current_object()):  # type: ignore[attr-defined]  # noqa: SLF001
        for failure in failures:
            journal.record(client_id, failure)


def _comparison(client_id: str, parameter: str) -> tuple[dict[str, Any], ...] | None:
    """How the address that was sent differs from each registered one; None where that is not what is wrong."""
    client = clients.find(client_id) if parameter in ADDRESSES else None
    oauth_request = request_state.part(_Noted).request
    uri = (request.values if oauth_request is None else oauth_request.sent).get(parameter) or ""
    if client is None or not uri:
        return None
    registered = getattr(client.registered, ADDRESSES[parameter])
    if registry.matches_any(uri, registered):
        return None
    return tuple(
        {"sent": without_values(uri, client), "registered": each, "differs_in": clients.differing(uri, each)}
        for each in registered
    )


def without_values(uri: str, client: OAuthClient) -> str:
    """The address as it was sent, less what could be a secret: credentials, and values of an unregistered query."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "(cannot be read)"
    known = {urlsplit(each).query for name in ADDRESSES.values() for each in getattr(client.registered, name)}
    query = parts.query
    if query not in known:
        query = "&".join(f"{name}=..." for name, _ in parse_qsl(query, keep_blank_values=True, max_num_fields=None))
    host = ("...@" if "@" in parts.netloc else "") + parts.netloc.rpartition("@")[2]
    shown = parts._replace(netloc=host, query=query, fragment="..." if parts.fragment else "").geturl()
    return "".join(char for char in shown if char.isprintable())[:LONGEST]
