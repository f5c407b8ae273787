"""Build an e-mail message (RFC 5322): text and HTML alternatives, and headers safe from injection."""

from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import urlsplit

from idp.foundation.settings import Settings
from idp.outbox.letter import Letter


def mail(letter: Letter, settings: Settings) -> EmailMessage:
    """The message. Its `Message-ID` and `Date` are those of the row, so that a message sent twice is recognised.

    `Auto-Submitted` (RFC 3834) keeps out-of-office replies away. A line break in a header is a `ValueError`.
    """
    message = _with_headers(letter, settings.mail.sender, settings)
    message["Subject"] = letter.subject
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    return message


def text_message(letter: Letter, settings: Settings) -> EmailMessage:
    """A text message for the demonstration's mailbox, marked by `X-Channel: sms`."""
    message = _with_headers(letter, settings.sms.sender, settings)
    message["X-Channel"] = "sms"
    message.set_content(letter.text)
    return message


def _with_headers(letter: Letter, sender: str, settings: Settings) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = letter.to
    message["Date"] = letter.created_at
    message["Message-ID"] = f"<{letter.id}@{urlsplit(settings.server.issuer).hostname}>"
    return message
