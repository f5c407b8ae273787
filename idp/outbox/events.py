"""What an event says is made when it is sent: a package above knows how, and registers a maker by the event's name.

This package cannot sign for those above it, and a signed token may not wait in a queue: it lives for minutes.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from idp.foundation import runtime
from idp.outbox.letter import Letter

MAKERS: Final = "idp.outbox.makers"
"""The application's extension in which packages register their makers, by the name of the event."""

Maker = Callable[[Letter], tuple[str, str]]
"""Body and content type for a letter that has its facts; raises `NotSent` where nothing is to be sent any more."""


def made(letter: Letter) -> Letter:
    """`letter`, ready to be sent. Asks for a transaction around it; raises `NotSent`."""
    makers: dict[str, Maker] = runtime.kept(MAKERS, dict)
    body, content_type = makers[letter.name](letter)
    return replace(letter, text=body, content_type=content_type)
