"""Our mail: a queue in the database, which the background thread empties by SMTP.

A mail is written at the moment it is sent, with a new link, and leaves the queue afterwards. If the program is killed
in between, it sends the mail again: the reader may get two, of which the newer works.
"""

import logging
import secrets
import smtplib
import sqlite3
import time
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Literal

from clients.assembly.database import Database, digest
from clients.assembly.settings import Settings

TIMEOUT_SECONDS = 10
"""The most seconds that one step of the SMTP dialogue may take."""
ACTIVATION_LINK_SECONDS = 24 * 3600
"""How long the link that activates an account works."""
RESET_LINK_SECONDS = 3600
"""How long the link with which a new password is chosen works."""
LEASE_SECONDS = 12 * TIMEOUT_SECONDS
"""How long a mail that is being sent is not taken again: longer than all steps of a dialogue with its server together.

They are to connect (to two addresses), the greeting, EHLO, HELO, MAIL, RCPT, DATA, the message, and QUIT.
"""
RETRY_SECONDS = 20
"""How long a mail that could not be sent waits for the next attempt."""
MAX_ATTEMPTS = 200
"""After this many attempts, more than an hour, a mail is given up."""
SUPPORT_TELEPHONE, SUPPORT_EMAIL = "020 8506 6100", "support@assembly.example"

MailKind = Literal["activate", "already_registered", "reset", "password_changed"]

_ACTIVATE = """Hello,

You have signed up for {name}. Open this page and enter the password that you chose:

{url}/activate/{secret}

The link works once, for a day. If it was not you who signed up, do nothing: without the password it does not work.

{name} · {telephone} · {email}
"""

_ALREADY_REGISTERED = """Hello,

Someone, probably you, has signed up for {name} with this address. You already have an account:

{url}/sign-in

If you have forgotten your password, choose a new one: {url}/forgotten-password

{name} · {telephone} · {email}
"""

_RESET = """Hello,

Someone, probably you, has asked for a new password for {name}. Choose it here:

{url}/new-password/{secret}

The link works once, for an hour. If it was not you, do nothing: your password stays as it is.

{name} · {telephone} · {email}
"""

_PASSWORD_CHANGED = """Hello,

The password of your {name} account was changed just now, using a link that we had sent to this address.
All browsers were signed out.

If it was not you, choose another password at once, and then call us:
{url}/forgotten-password

{name} · {telephone} · {email}
"""  # noqa: S105  a mail

_REFUSALS = (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError)
"""The errors that concern one mail; after others, the next mail would most likely fail as well."""

log = logging.getLogger(__name__)


def queue(connection: sqlite3.Connection, kind: MailKind, account_id: int) -> None:
    """Have a mail sent soon, unless the same one waits already; in the caller's transaction."""
    waiting = connection.execute("SELECT 1 FROM mails WHERE kind = ? AND account_id = ?", (kind, account_id))
    if waiting.fetchone() is None:
        connection.execute(
            "INSERT INTO mails (kind, account_id, due_at) VALUES (?, ?, ?)", (kind, account_id, time.time())
        )


def send_due(database: Database, settings: Settings) -> None:
    """Send the mails that are due now. One that the server refuses waits, and does not delay the others.

    If the server cannot be reached or does not respond, the others wait for the next call as well: each attempt may
    take `TIMEOUT_SECONDS`, and the caller has other work.
    """
    began = time.time()
    while (claimed := _claim(database, settings, due_by=began)) is not None:
        mail_id, email = claimed
        try:
            with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_SECONDS) as smtp:
                smtp.send_message(email)
        except OSError as error:  # those of smtplib among them
            log.warning("a mail could not be sent, and will be retried: %s", type(error).__name__)
            with database.transaction() as connection:
                connection.execute("UPDATE mails SET due_at = ? WHERE id = ?", (time.time() + RETRY_SECONDS, mail_id))
            if isinstance(error, _REFUSALS):
                continue
            return
        with database.transaction() as connection:
            connection.execute("DELETE FROM mails WHERE id = ?", (mail_id,))


def _claim(database: Database, settings: Settings, *, due_by: float) -> tuple[int, EmailMessage] | None:
    """The id and the text of the next mail that was due at `due_by`; None if there is none.

    No other thread or process takes it for `LEASE_SECONDS`. Mails with too many attempts are deleted.
    """
    with database.transaction() as connection:
        given_up = connection.execute(
            "DELETE FROM mails WHERE attempts >= ? AND due_at <= ? RETURNING id, kind", (MAX_ATTEMPTS, due_by)
        ).fetchall()
        for row in given_up:
            log.error("mail %d (%s) was given up after %d attempts", row["id"], row["kind"], MAX_ATTEMPTS)
        row = connection.execute(
            "UPDATE mails SET attempts = attempts + 1, due_at = ? WHERE id = "
            "(SELECT id FROM mails WHERE due_at <= ? ORDER BY due_at LIMIT 1) RETURNING id, kind, account_id",
            (time.time() + LEASE_SECONDS, due_by),
        ).fetchone()
        if row is None:
            return None
        account = connection.execute("SELECT email FROM accounts WHERE id = ?", (row["account_id"],)).fetchone()
        new_secret = {"activate": _new_activation_secret, "reset": _new_reset_secret}.get(row["kind"])
        secret = new_secret(connection, row["account_id"]) if new_secret else ""
    return row["id"], _write(settings, row["kind"], account["email"], secret)


def _new_activation_secret(connection: sqlite3.Connection, account_id: int) -> str:
    """A new secret for the link that activates an account; the one before stops working."""
    secret = secrets.token_urlsafe(32)
    connection.execute(
        "UPDATE accounts SET activation_digest = ?, activation_expires_at = ? WHERE id = ?",
        (digest(secret), time.time() + ACTIVATION_LINK_SECONDS, account_id),
    )
    return secret


def _new_reset_secret(connection: sqlite3.Connection, account_id: int) -> str:
    """A new secret for the link with which a password is chosen; the one before stops working."""
    secret = secrets.token_urlsafe(32)
    connection.execute(
        "UPDATE password_resets SET digest = ?, expires_at = ? WHERE account_id = ?",
        (digest(secret), time.time() + RESET_LINK_SECONDS, account_id),
    )
    return secret


def _write(settings: Settings, kind: MailKind, recipient: str, secret: str) -> EmailMessage:
    """The mail of this kind to this address; `secret` goes into its link, if it has one."""
    name = settings.application.name
    subject, text = {
        "activate": (f"Activate your {name} account", _ACTIVATE),
        "already_registered": (f"You already have a {name} account", _ALREADY_REGISTERED),
        "reset": (f"Choose a new password for {name}", _RESET),
        "password_changed": (f"Your {name} password was changed", _PASSWORD_CHANGED),
    }[kind]
    email = EmailMessage()
    email["To"], email["From"], email["Subject"] = recipient, f"{name} <{SUPPORT_EMAIL}>", subject
    email["Date"], email["Message-ID"] = formatdate(localtime=False), make_msgid(domain="assembly.example")
    email["Auto-Submitted"] = "auto-generated"
    email.set_content(
        text.format(name=name, url=settings.url, secret=secret, telephone=SUPPORT_TELEPHONE, email=SUPPORT_EMAIL)
    )
    return email
