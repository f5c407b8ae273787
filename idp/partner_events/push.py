"""Push one event to a client's endpoint (RFC 8935 §2), and interpret the response."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, Protocol

from idp.foundation import clock
from idp.foundation.web import fetch
from idp.outbox.outgoing import NotSent
from idp.partner_events.tokens import MEDIA_TYPE

RETRIED_ERRORS: Final = frozenset({"invalid_key", "authentication_failed", "access_denied"})
"""Codes of RFC 8935 §2.4 that are no error of the event: the receiver has not fetched our new key, or refuses us."""
ENDPOINT_ERRORS: Final = frozenset({"authentication_failed", "access_denied"})
"""Those of `RETRIED_ERRORS` that the endpoint would return for every event."""
BUSY: Final = frozenset({429, 503})
"""Statuses that ask for a pause."""
MAX_PAUSE_SECONDS: Final = 3600.0
"""The longest pause that an endpoint can ask for: one that names a day must not lose events of the hour."""

OutcomeKind = Literal["accepted", "later", "unreachable", "refused"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt."""

    kind: OutcomeKind
    """`accepted`; `later`, this event alone; `unreachable`, the endpoint takes nothing now; `refused`, for good."""
    reason: str = ""
    """For operators and the client's developer: one line of printable characters."""
    pause_seconds: float = 0
    """For how long the endpoint asked not to be tried; 0 if it did not."""


ACCEPTED: Final = Outcome("accepted")
"""The outcome of a delivery."""


class Post(Protocol):
    """Sends one request to the endpoint."""

    def __call__(self, *, body: bytes, content_type: str, headers: Mapping[str, str]) -> fetch.FetchResponse:
        """Raises `fetch.FetchFailed`."""


def push(post: Post, token: str, *, authorization: str | None) -> Outcome:
    """Send a token; returns the outcome. Only 202 means that it was accepted (RFC 8935 §2.2)."""
    headers = {"Accept": "application/json"}
    if authorization is not None:
        headers["Authorization"] = authorization
    try:
        response = post(body=token.encode("ascii"), content_type=MEDIA_TYPE, headers=headers)
    except fetch.FetchFailed as error:
        return _outcome("unreachable", f"not delivered: {error}")
    if response.status == 202:
        return ACCEPTED
    if response.status == 400:
        return _refusal(response.body)
    expected = f"the endpoint returned {response.status}, and 202 means that an event was accepted"
    if response.status not in BUSY:
        return _outcome("later", expected)
    return replace(_outcome("unreachable", expected), pause_seconds=_pause(response.headers.get("retry-after", "")))


def _pause(retry_after: str) -> float:
    """The seconds that `Retry-After` names, in seconds or by a date (RFC 9110 §10.2.3); 0 if it names none."""
    try:
        if retry_after.isascii() and retry_after.isdigit():
            seconds = float(retry_after)
        else:
            seconds = parsedate_to_datetime(retry_after).timestamp() - clock.now().timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0
    return min(max(seconds, 0), MAX_PAUSE_SECONDS)


def _refusal(body: bytes) -> Outcome:
    """What a 400 with `err` and `description` means (RFC 8935 §2.3)."""
    error, description = read_error(body)
    reason = f"the endpoint returned 400 {error or 'without a code'}" + (f": {description}" if description else "")
    if error in ENDPOINT_ERRORS:
        return _outcome("unreachable", reason)
    return _outcome("later" if error in RETRIED_ERRORS else "refused", reason)


def read_error(body: bytes) -> tuple[str, str]:
    """`err` and `description`, empty if they are missing."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    return _text(document.get("err")), _text(document.get("description"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _outcome(kind: OutcomeKind, reason: str) -> Outcome:
    return Outcome(kind, NotSent(reason).reason)  # shortened and made printable: it may come from a hostile server
