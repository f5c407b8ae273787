"""Render an event when it is sent, with the function that a higher package supplies (`foundation/ports`).

A signed token is valid for minutes only, so it is not stored in the queue, and this package cannot sign it itself.
"""

import json
from dataclasses import replace

from idp.foundation import runtime
from idp.outbox.outgoing import OutgoingMessage


def render(outgoing: OutgoingMessage) -> OutgoingMessage:
    """`outgoing`, ready to be sent; call it in a transaction. Raises `NotSent`."""
    make = runtime.ports().event_requests[outgoing.name]
    request = make(outgoing.id, outgoing.to, json.loads(outgoing.text))
    return replace(outgoing, to=request.url, text=request.body, content_type=request.content_type)
