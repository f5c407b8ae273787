"""The channels for messages, one module each: `sender(settings)` is a context that yields the function which sends."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from idp.foundation.settings import Settings, Sms
from idp.outbox.channels import console, http_push, mailbox, notify, sms_http, smtp, twilio
from idp.outbox.channels.callback import Callback, Receipt
from idp.outbox.outgoing import OutgoingMessage

Send = Callable[[OutgoingMessage], str | None]
"""Sends one message, or raises `NotSent`; returns the provider's id of the message, if there is one."""

OpenChannel = Callable[[Settings], AbstractContextManager[Send]]

_CHANNELS: Final[dict[tuple[str, str], OpenChannel]] = {
    ("email", "smtp"): smtp.sender,
    ("email", "console"): console.sender,
    ("email", "mailbox"): mailbox.sender,
    ("sms", "http"): sms_http.sender,
    ("sms", "twilio"): twilio.sender,
    ("sms", "notify"): notify.sender,
    ("sms", "console"): console.sender,
    ("sms", "mailbox"): mailbox.sender,
    ("event", "http"): http_push.sender,
}

RECEIPTS: Final[dict[str, Callable[[Callback, Sms], Receipt]]] = {
    "http": sms_http.read_receipt,
    "twilio": twilio.read_receipt,
    "notify": notify.read_receipt,
}
"""By channel: the function that reads a provider's delivery receipt for a text message."""

KINDS: Final = ("email", "sms", "event")
"""The kinds of messages; each has a channel."""


def open_channel(kind: str, settings: Settings) -> AbstractContextManager[Send]:
    """The channel that the settings choose for messages of `kind`."""
    channel = {"email": settings.mail.channel, "sms": settings.sms.channel, "event": "http"}[kind]
    return _CHANNELS[kind, channel](settings)
