"""The messages in a Maildir, the newest first; text messages have the header `X-Channel: sms`."""

import email
import mailbox
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import IO, Any, cast

MAX_LISTED = 200
"""How many messages are listed."""

_KEY = re.compile(r"[\w.=,-]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `html` is None where it has no such part; `key` names it in URLs."""

    key: str
    is_text_message: bool
    to: str
    sender: str
    subject: str
    sent_at: datetime
    text: str
    html: str | None

    @property
    def summary(self) -> str:
        """The subject, or the first line of a text message, for the list."""
        return (self.text.strip().partition("\n")[0] if self.is_text_message else self.subject) or "(no subject)"


def list_messages(folder: Path) -> list[Message]:
    """The newest messages first; none where the folder does not exist yet."""
    if not (folder / "new").is_dir():
        return []
    maildir = _maildir(folder)
    messages = [_read(key, email_message) for key, email_message in maildir.iteritems() if _KEY.fullmatch(key)]
    return sorted(messages, key=lambda message: (message.sent_at, message.key), reverse=True)[:MAX_LISTED]


def find(folder: Path, key: str) -> Message | None:
    """The message called `key`, or None."""
    if not _KEY.fullmatch(key) or not (folder / "new").is_dir():
        return None
    message = _maildir(folder).get(key)
    return _read(key, message) if message is not None else None


def latest(folder: Path) -> tuple[int, str]:
    """The number of messages and the name of the newest file, which change with every new message."""
    files = [file for part in ("new", "cur") for file in (folder / part).glob("[!.]*")]
    return len(files), max(files, key=lambda file: (file.stat().st_mtime_ns, file.name)).name if files else ""


def _maildir(folder: Path) -> "mailbox.Maildir":
    return mailbox.Maildir(folder, factory=cast("Any", _parsed), create=False)


def _parsed(file: IO[bytes]) -> EmailMessage:
    return email.message_from_binary_file(file, policy=default)


def _read(key: str, email_message: Any) -> Message:
    """The message as it is shown; parts that are missing are left empty."""
    html = email_message.get_body(("html",))
    text = email_message.get_body(("plain",))
    return Message(
        key=key,
        is_text_message=str(email_message.get("X-Channel", "")).strip().lower() == "sms",
        to=str(email_message.get("To", "")),
        sender=str(email_message.get("From", "")),
        subject=str(email_message.get("Subject", "")),
        sent_at=_sent_at(email_message),
        text=text.get_content() if text is not None else "",
        html=html.get_content() if html is not None else None,
    )


def _sent_at(message: EmailMessage) -> datetime:
    sent: datetime | None = getattr(message["Date"], "datetime", None)
    if sent is None:
        return datetime.fromtimestamp(0, UTC)
    return sent if sent.tzinfo else sent.replace(tzinfo=UTC)
