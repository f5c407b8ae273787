"""The exceptions that become an error page or an error response.

* Refusal             code, status, message (may be shown), reason (is only logged)
  - NotFound          404: not there, or not the caller's; the two are not distinguished
  - BadRequest        400: the request cannot be understood
  - TooManyRequests   429: too many requests; `retry_after` seconds
  - Busy              503: an error on our side or a full queue; `retry_after` seconds

Packages add their own as subclasses. A refusal becomes a page, an OAuth error, an API problem or a command's
message in exactly one place each.
"""

from collections.abc import Sequence
from typing import ClassVar


class Refusal(Exception):
    """A request that we refuse.

    `message` is a sentence for the person it happened to and may be shown; `reason` is a fact for our log
    and never leaves it. `next_steps` are (label, path) pairs offered on the page.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "We cannot do that"
    message: str = "This cannot be done."
    field_errors: Sequence[tuple[str, str]] = ()
    """Where several things are wrong: (name, reason) pairs, which a command shows on a line each."""

    def __init__(
        self, message: str | None = None, *, reason: str = "", next_steps: tuple[tuple[str, str], ...] = ()
    ) -> None:
        if message is not None:
            self.message = message
        self.reason = reason
        self.next_steps = next_steps
        super().__init__(f"{self.code}: {reason or self.message}")


def one_line_summary(error: BaseException) -> str:
    """An error in one line for operators: its type and the first line of its text, never a database's statement."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).partition("[SQL")[0].strip().splitlines()
    return f"{type(cause).__name__}: {lines[0]}"[:300] if lines else type(cause).__name__


class BadRequest(Refusal):
    """The request itself cannot be understood."""

    code, status, title = "bad_request", 400, "We could not read that request"
    message = "There was something in the address or the form that we did not expect. Please go back and try again."


class NotFound(Refusal):
    """The resource does not exist, or belongs to someone else: the response is the same."""

    code, status, title = "not_found", 404, "Page not found"
    message = "If you typed the address, please check it. If you followed a link, it may be out of date."


class TooManyRequests(Refusal):
    """Too many requests. `retry_after` is in seconds."""

    code, status, title = "too_many_requests", 429, "Too many attempts"
    message = "This has been tried too often. Please wait a little and try again."

    def __init__(self, message: str | None = None, *, reason: str = "", retry_after: int = 60) -> None:
        self.retry_after = retry_after
        super().__init__(message, reason=reason)


class Busy(Refusal):
    """The request cannot be processed now, but soon. `retry_after` is in seconds."""

    code, status, title = "busy", 503, "We are very busy"
    message = "Many people are using the service just now. Please try again in a few seconds."

    def __init__(self, message: str | None = None, *, reason: str = "", retry_after: int = 5) -> None:
        self.retry_after = retry_after
        super().__init__(message, reason=reason)
