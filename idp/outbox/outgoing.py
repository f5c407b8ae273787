"""A decrypted message for a channel, and the errors that channels raise.

* NotSent
  - TemporaryFailure    a temporary error: it will be retried
    - ServerUnreachable  the server is down: the rest of the round waits as well
  - PermanentFailure    a permanent error: it will not be retried
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A decrypted message. `html` is empty in a text message, and so is `subject`; an event has only `text`."""

    id: str
    kind: str
    name: str
    to: str
    created_at: datetime
    subject: str
    text: str
    """The body; of an event its facts as JSON until `events.render` replaces them by the body."""
    html: str
    content_type: str = ""
    """The media type of an event's body."""


MAX_REASON_LENGTH: Final = 500
"""In characters."""


class NotSent(Exception):
    """The message was not sent. `reason` is stored in the row for operators; `code` is the server's, for the log.

    The text may come from a hostile server, so it is reduced to one line of printable characters.
    """

    def __init__(self, reason: str, *, code: int | None = None) -> None:
        self.code = code
        line = " ".join(reason[:MAX_REASON_LENGTH].split())
        self.reason = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
        super().__init__(self.reason)


class TemporaryFailure(NotSent):
    """A temporary error: the message will be retried."""


class ServerUnreachable(TemporaryFailure):
    """The server cannot be reached or refuses us: this channel can send nothing for now."""


class PermanentFailure(NotSent):
    """A permanent error of this message."""
