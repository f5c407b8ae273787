"""Hand e-mail to an SMTP server (RFC 5321), one connection for a round of messages."""

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from urllib.parse import urlsplit

from idp.foundation.settings import Mail, Settings
from idp.outbox import mime
from idp.outbox.outgoing import NotSent, OutgoingMessage, PermanentFailure, ServerUnreachable, TemporaryFailure


@contextmanager
def sender(settings: Settings) -> Iterator[Callable[[OutgoingMessage], None]]:
    """A connection to `mail.host`, encrypted and signed in as the settings say. Raises `ServerUnreachable`."""
    try:
        server = _connect(settings.mail, urlsplit(settings.server.issuer).hostname or "localhost")
    except (OSError, smtplib.SMTPException) as error:
        raise ServerUnreachable(f"no connection to the mail server: {_reply_text(error)}", code=_code(error)) from error
    try:
        yield lambda outgoing: _send(server, mime.mail(outgoing, settings))
    finally:
        with suppress(OSError, smtplib.SMTPException):
            server.quit()


def _connect(mail: Mail, own_name: str) -> smtplib.SMTP:
    """A session in which mail can be sent; it is closed if the encryption or sign-in fails."""
    server: smtplib.SMTP
    if mail.security == "tls":
        encryption = ssl.create_default_context()
        server = smtplib.SMTP_SSL(mail.host, mail.port, own_name, timeout=mail.timeout, context=encryption)
    else:
        server = smtplib.SMTP(mail.host, mail.port, own_name, timeout=mail.timeout)
    try:
        if mail.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if mail.username:
            server.login(mail.username, mail.password.get_secret_value())
    except (OSError, smtplib.SMTPException):
        server.close()
        raise
    return server


def _send(server: smtplib.SMTP, message: EmailMessage) -> None:
    try:
        server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise _to_error(error) from error


def _to_error(error: Exception) -> NotSent:
    """The error for a failure: a reply 4xx is temporary, and 5xx permanent (RFC 5321 §4.2.1).

    Where it is about us (the sender refused, the connection lost) it is not the message's fault.
    """
    code, reply = _code(error), _reply_text(error)
    if isinstance(error, smtplib.SMTPServerDisconnected) or not isinstance(error, smtplib.SMTPException):
        return ServerUnreachable(f"the connection was lost: {reply}")
    if isinstance(error, smtplib.SMTPSenderRefused) or code == 421:
        return ServerUnreachable(f"the mail server refuses our mail: {reply}", code=code)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return PermanentFailure("the mail server cannot take this e-mail address")
    if code is not None and 500 <= code < 600:
        return PermanentFailure(f"the mail server refused it: {reply}", code=code)
    return TemporaryFailure(f"not taken: {reply}", code=code)


def _code(error: Exception) -> int | None:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next((code for code, _ in error.recipients.values()), None)
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else None


def _reply_text(error: Exception) -> str:
    """The server's reply, or where there is none the text of the error."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        replies = [f"{code} {_one_line(text)}" for code, text in error.recipients.values()]
        return "; ".join(replies)
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_one_line(error.smtp_error)}"
    return str(error) or type(error).__name__


def _one_line(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
