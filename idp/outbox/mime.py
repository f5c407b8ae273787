"""Build an e-mail message (RFC 5322): text and HTML alternatives, and headers safe from injection."""

from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import urlsplit

from idp.foundation.settings import Settings
from idp.outbox.outgoing import OutgoingMessage


def mail(outgoing: OutgoingMessage, settings: Settings) -> EmailMessage:
    """The message. Its `Message-ID` and `Date` are those of the row, so that a message sent twice is recognised.

    `Auto-Submitted` (RFC 3834) keeps out-of-office replies away. A line break in a header is a `ValueError`.
    """
    message = _with_headers(outgoing, settings.mail.sender, settings)
    message["Subject"] = outgoing.subject
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(outgoing.text)
    message.add_alternative(outgoing.html, subtype="html")
    return message


def text_message(outgoing: OutgoingMessage, settings: Settings) -> EmailMessage:
    """A text message for the demonstration's mailbox, marked by `X-Channel: sms`."""
    message = _with_headers(outgoing, settings.sms.sender, settings)
    message["X-Channel"] = "sms"
    message.set_content(outgoing.text)
    return message


def _with_headers(outgoing: OutgoingMessage, sender: str, settings: Settings) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = outgoing.to
    message["Date"] = outgoing.created_at
    message["Message-ID"] = f"<{outgoing.id}@{urlsplit(settings.server.issuer).hostname}>"
    return message
