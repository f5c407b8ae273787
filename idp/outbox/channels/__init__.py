"""The ways out, one module each: `opened(settings)` is a context in which letters can be sent one by one."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from idp.foundation.settings import Settings
from idp.outbox.channels import console, http_push, mailbox, sms_http, smtp
from idp.outbox.letter import Letter

Send = Callable[[Letter], None]
"""Sends one letter, or raises `NotSent`."""

OpenChannel = Callable[[Settings], AbstractContextManager[Send]]

_CHANNELS: Final[dict[tuple[str, str], OpenChannel]] = {
    ("email", "smtp"): smtp.opened,
    ("email", "console"): console.opened,
    ("email", "mailbox"): mailbox.opened,
    ("sms", "http"): sms_http.opened,
    ("sms", "console"): console.opened,
    ("sms", "mailbox"): mailbox.opened,
    ("event", "http"): http_push.opened,
}

KINDS: Final = ("email", "sms", "event")


def open_channel(kind: str, settings: Settings) -> AbstractContextManager[Send]:
    """The way out that the settings choose for messages of `kind`."""
    channel = {"email": settings.mail.channel, "sms": settings.sms.channel, "event": "http"}[kind]
    return _CHANNELS[kind, channel](settings)
