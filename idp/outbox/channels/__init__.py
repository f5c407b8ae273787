"""The channels for messages, one module each: `opened(settings)` is a context in which letters are sent one by one."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from idp.foundation.settings import Settings, Sms
from idp.outbox.channels import console, http_push, mailbox, notify, sms_http, smtp, twilio
from idp.outbox.channels.callback import Callback, Receipt
from idp.outbox.letter import Letter

Send = Callable[[Letter], str | None]
"""Sends one letter, or raises `NotSent`; returns the provider's id of the message, if there is one."""

OpenChannel = Callable[[Settings], AbstractContextManager[Send]]

_CHANNELS: Final[dict[tuple[str, str], OpenChannel]] = {
    ("email", "smtp"): smtp.opened,
    ("email", "console"): console.opened,
    ("email", "mailbox"): mailbox.opened,
    ("sms", "http"): sms_http.opened,
    ("sms", "twilio"): twilio.opened,
    ("sms", "notify"): notify.opened,
    ("sms", "console"): console.opened,
    ("sms", "mailbox"): mailbox.opened,
    ("event", "http"): http_push.opened,
}

RECEIPTS: Final[dict[str, Callable[[Callback, Sms], Receipt]]] = {
    "http": sms_http.read_receipt,
    "twilio": twilio.read_receipt,
    "notify": notify.read_receipt,
}
"""By channel: the function that reads a provider's delivery receipt for a text message."""

KINDS: Final = ("email", "sms", "event")


def open_channel(kind: str, settings: Settings) -> AbstractContextManager[Send]:
    """The channel that the settings choose for messages of `kind`."""
    channel = {"email": settings.mail.channel, "sms": settings.sms.channel, "event": "http"}[kind]
    return _CHANNELS[kind, channel](settings)
