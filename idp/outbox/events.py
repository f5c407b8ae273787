"""What an event says is made when it is sent, by a package above (`foundation/ports`), which knows how.

This package cannot sign for those above it, and a signed token may not wait in a queue: it lives for minutes.
"""

import json
from dataclasses import replace

from idp.foundation import runtime
from idp.outbox.letter import Letter


def made(letter: Letter) -> Letter:
    """`letter`, ready to be sent; call it in a transaction. Raises `NotSent`."""
    body, content_type = runtime.ports().event_bodies[letter.name](letter.id, json.loads(letter.text))
    return replace(letter, text=body, content_type=content_type)
