"""Receives mail by SMTP, for programs that send it so, and puts it into the Maildir."""

import mailbox
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

MAX_MESSAGE_BYTES = 1_000_000


class _ToMaildir:
    """The handler: whatever comes is kept; nothing is sent on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  its name
        """Keep one message."""
        mailbox.Maildir(self._folder).add(envelope.original_content or b"")
        return "250 Kept"


def serve(folder: Path, port: int) -> Controller:
    """Receive on `port` of this machine, in a thread of its own, until `stop` is called."""
    controller = Controller(_ToMaildir(folder), hostname="127.0.0.1", port=port, data_size_limit=MAX_MESSAGE_BYTES)
    controller.start()
    return controller
