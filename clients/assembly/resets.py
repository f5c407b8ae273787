"""A forgotten password: a link by mail that works once, for an hour, and with which a new one is chosen.

Nothing here tells a stranger whether an address has an account. A program that opens the link changes nothing. A new
password signs the account out everywhere, and a mail says that it was changed.
"""

import sqlite3
import time

from clients.assembly import accounts, mail
from clients.assembly.accounts import InvalidInput
from clients.assembly.database import Database, digest

MIN_SECONDS_BETWEEN = 60
"""The least time between two mails to one account."""
MAX_PER_DAY = 5
"""The most mails to one account in a day."""
DAY_SECONDS = 86_400
NO_LINK = "This link has been used, has expired, or has been replaced by a newer one"


def request(database: Database, email: str) -> None:
    """Mail a link, if the address has an account and not too many were sent.

    Raises `InvalidInput` if `email` is not an address.

    An account that is not activated gets the link that activates it again: its password does not work before that.
    """
    address, now = accounts.normalise_email(email), time.time()
    with database.transaction() as connection:
        row = connection.execute("SELECT id, activated_at FROM accounts WHERE email = ?", (address,)).fetchone()
        if row is not None and _count_mail(connection, row["id"], now):
            mail.queue(connection, "activate" if row["activated_at"] is None else "reset", row["id"])


def works(database: Database, secret: str) -> bool:
    """Whether the link with this secret works now. This does not use it up."""
    with database.transaction() as connection:
        row = connection.execute(
            "SELECT 1 FROM password_resets WHERE digest = ? AND expires_at > ?", (digest(secret), time.time())
        ).fetchone()
        return row is not None


def choose(database: Database, secret: str, password: str) -> None:
    """Set the password of the link's account. Raises `InvalidInput`; that does not use up the link.

    Of two who use a link at once, only one sets the password: the statement that finds the link uses it up.
    """
    if not works(database, secret):  # before a hash is calculated for it
        raise InvalidInput(link=NO_LINK)
    hashed = accounts.hash_new(password)
    with database.transaction() as connection:
        spent = connection.execute(
            "UPDATE password_resets SET digest = NULL WHERE digest = ? AND expires_at > ? RETURNING account_id",
            (digest(secret), time.time()),
        ).fetchone()
        if spent is None:
            raise InvalidInput(link=NO_LINK)
        account_id = spent["account_id"]
        row = connection.execute(
            "UPDATE accounts SET password_hash = ? WHERE id = ? RETURNING email", (hashed, account_id)
        ).fetchone()
        connection.execute("DELETE FROM sign_ins WHERE account_id = ?", (account_id,))
        connection.execute("DELETE FROM failed_sign_ins WHERE email_digest = ?", (digest(row["email"]),))
        mail.queue(connection, "password_changed", account_id)


def _count_mail(connection: sqlite3.Connection, account_id: int, now: float) -> bool:
    """Count a mail to the account; False if there have been too many."""
    counted = connection.execute(
        "INSERT INTO password_resets (account_id, requested_at, since, count) VALUES (?, ?, ?, 1) "
        "ON CONFLICT (account_id) DO UPDATE SET requested_at = excluded.requested_at, "
        "count = CASE WHEN since < excluded.since - ? THEN 1 ELSE count + 1 END, "
        "since = CASE WHEN since < excluded.since - ? THEN excluded.since ELSE since END "
        "WHERE requested_at < excluded.requested_at - ? AND (count < ? OR since < excluded.since - ?)",
        (account_id, now, now, DAY_SECONDS, DAY_SECONDS, MIN_SECONDS_BETWEEN, MAX_PER_DAY, DAY_SECONDS),
    )
    return counted.rowcount == 1
