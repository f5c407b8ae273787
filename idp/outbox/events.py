"""Render an event's body when it is sent, with the function that a higher package supplies (`foundation/ports`).

A signed token is valid for minutes only, so it is not stored in the queue, and this package cannot sign it itself.
"""

import json
from dataclasses import replace

from idp.foundation import runtime
from idp.outbox.outgoing import OutgoingMessage


def render(outgoing: OutgoingMessage) -> OutgoingMessage:
    """`outgoing`, ready to be sent; call it in a transaction. Raises `NotSent`."""
    body, content_type = runtime.ports().event_bodies[outgoing.name](outgoing.id, json.loads(outgoing.text))
    return replace(outgoing, text=body, content_type=content_type)
