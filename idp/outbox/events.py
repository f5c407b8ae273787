"""Render an event's body when it is sent, with the function that a higher package supplies (`foundation/ports`).

A signed token is valid for minutes only, so it is not stored in the queue, and this package cannot sign it itself.
"""

import json
from dataclasses import replace

from idp.foundation import runtime
from idp.outbox.letter import Letter


def render(letter: Letter) -> Letter:
    """`letter`, ready to be sent; call it in a transaction. Raises `NotSent`."""
    body, content_type = runtime.ports().event_bodies[letter.name](letter.id, json.loads(letter.text))
    return replace(letter, text=body, content_type=content_type)
