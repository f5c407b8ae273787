"""Build an e-mail message (RFC 5322): text and HTML alternatives, and headers safe from injection."""

from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from typing import Final
from urllib.parse import urlsplit

from idp.foundation.settings import Settings
from idp.outbox.outgoing import OutgoingMessage

POLICY: Final = SMTP.clone(refold_source="none")
"""Writes as they are the headers that we encode ourselves.

Python's own encoding loses and adds spaces next to letters outside ASCII, sometimes whole words, writes encoded words
that some servers refuse, and decodes what looks like an encoded word in a name.
"""
MAX_LINE_LENGTH: Final = 78


def mail(outgoing: OutgoingMessage, settings: Settings) -> EmailMessage:
    """The message. Its `Message-ID` and `Date` are those of the row, so that a message sent twice is recognised.

    `Auto-Submitted` (RFC 3834) keeps out-of-office replies away. A line break in a header is a `ValueError`.
    """
    message = _with_headers(outgoing, _encode_sender(settings.mail.sender), settings)
    message.set_raw("Subject", _encode("Subject", outgoing.subject))
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(outgoing.text)
    message.add_alternative(outgoing.html, subtype="html")
    return message


def text_message(outgoing: OutgoingMessage, settings: Settings) -> EmailMessage:
    """A text message for the demonstration's mailbox, marked by `X-Channel: sms`."""
    message = _with_headers(outgoing, _encode("From", settings.sms.sender), settings)
    message["X-Channel"] = "sms"
    message.set_content(outgoing.text)
    return message


def _with_headers(outgoing: OutgoingMessage, sender: str, settings: Settings) -> EmailMessage:
    message = EmailMessage(policy=POLICY)
    message.set_raw("From", sender)
    message["To"] = outgoing.to
    message["Date"] = outgoing.created_at
    message["Message-ID"] = f"<{outgoing.id}@{urlsplit(settings.server.issuer).hostname}>"
    return message


def _encode(header: str, text: str) -> str:
    """The text for the header of this name, in lines: encoded (RFC 2047) if it is, or looks like, more than ASCII."""
    if "\r" in text or "\n" in text:
        raise ValueError(f"a line break in {header}")
    is_plain = text.isascii() and "=?" not in text
    return Header(text, "us-ascii" if is_plain else "utf-8", header_name=header).encode(linesep=POLICY.linesep)


def _encode_sender(sender: str) -> str:
    name, address = parseaddr(sender)
    if not name or (sender.isascii() and len(f"From: {sender}") <= MAX_LINE_LENGTH):
        return sender
    return f"{Header(name, 'utf-8', header_name='From').encode(linesep=POLICY.linesep)} <{address}>"
