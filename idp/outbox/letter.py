"""A message as it leaves: what a channel is given, and how it says that it could not.

* NotSent
  - Later          nothing is wrong with the message: try again
    - Unreachable  no server is there: the rest of the round can wait as well
  - Refused        the other side will not have it, however often it is tried
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final


@dataclass(frozen=True, slots=True)
class Letter:
    """A message, opened. `html` is empty in a text message, and so is `subject`; an event has only `text`."""

    id: str
    kind: str
    name: str
    to: str
    created_at: datetime
    subject: str
    text: str
    """Of an event its facts as JSON, and once `events.made` has seen it the body that is sent."""
    html: str
    content_type: str = ""
    """Of that body."""


LONGEST_REASON: Final = 500
"""Characters of it that are kept."""


class NotSent(Exception):
    """It did not leave. `why` is kept in the row for operators; `code` is the other side's, for the log.

    The other side words it, and need not mean well: it is one line that any terminal can show and any database keep.
    """

    def __init__(self, why: str, *, code: int | None = None) -> None:
        self.code = code
        line = " ".join(why[:LONGEST_REASON].split())
        self.why = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
        super().__init__(self.why)


class Later(NotSent):
    """Nothing is wrong with the message itself: try again."""


class Unreachable(Later):
    """The server cannot be reached or refuses us: nothing else can be sent by this channel for now."""


class Refused(NotSent):
    """The other side will not have this message, however often it is tried."""
