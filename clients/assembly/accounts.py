"""Accounts of our own: sign up with an invite code, activate by the mailed link, sign in by password.

Nothing here tells a stranger whether an address has an account: signing up with a known address looks the same, and
the mail tells its owner. An account does nothing until it is activated, which needs the mail and the password: so
neither who signed up with someone else's address, nor a program that opens links in mails, can activate it.
"""

import sqlite3
import time
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from email_validator import EmailNotValidError, validate_email

from clients.assembly import invite_codes, mail
from clients.assembly.database import Database, digest

TERMS_VERSION = "2026-01"
"""The version of our terms of service; a person who signs up accepts this one."""
MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 200
MAX_FAILURES = 10
"""After this many failed sign-ins of one address within `FAILURE_SECONDS`, its password is not checked."""
FAILURE_SECONDS = 900
WRONG_PASSWORD = "The e-mail address or the password is wrong, or the account is not activated yet"  # noqa: S105
RESEND_SECONDS = 60
"""The least time between two activation mails to one address."""

_hasher = PasswordHasher()
_DUMMY_HASH = _hasher.hash("a password of no account")  # verified for unknown addresses, to take as long


class InvalidInput(Exception):
    """What was typed cannot be used; errors by field, for people."""

    def __init__(self, **field_errors: str) -> None:
        super().__init__(field_errors)
        self.field_errors = field_errors


@dataclass(frozen=True, slots=True)
class Account:
    """A person with a password here, and the school that they chose."""

    id: int
    email: str
    activated_at: float | None
    contact_name: str | None
    urn: str | None
    school_name: str | None
    school_place: str | None
    mis: str | None
    estab_id: str | None
    password_hash: str = field(repr=False)


def sign_up(database: Database, *, code: str, email: str, password: str, terms_version: str) -> None:
    """Make an account that is not activated, and mail its link. Raises `InvalidInput`.

    A known address uses up the code as well: otherwise a code with one use would tell whether an address is known.
    """
    is_missing = "Enter the invite code that we have sent to your school"
    wrong_code = {"code": "This invite code is unknown, has been used, or has expired" if code.strip() else is_missing}
    field_errors = {} if invite_codes.works(database, code) else wrong_code
    try:
        address = normalise_email(email)
    except InvalidInput as error:
        field_errors = field_errors | error.field_errors
    if field_errors := field_errors | _field_errors(password, terms_version):
        raise InvalidInput(**field_errors)
    hashed, now = _hasher.hash(password), time.time()
    with database.transaction() as connection:
        if not invite_codes.use(connection, code):
            raise InvalidInput(**wrong_code)
        inserted = connection.execute(
            "INSERT INTO accounts (email, password_hash, terms_version, created_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (email) DO NOTHING",
            (address, hashed, terms_version, now),
        )
        row = connection.execute("SELECT id, activated_at FROM accounts WHERE email = ?", (address,)).fetchone()
        if inserted.rowcount == 0 and row["activated_at"] is None:  # the last sign-up chooses the password
            connection.execute(
                "UPDATE accounts SET password_hash = ?, terms_version = ? WHERE id = ? AND activated_at IS NULL",
                (hashed, terms_version, row["id"]),
            )
        mail.queue(connection, "activate" if row["activated_at"] is None else "already_registered", row["id"])


def resend(database: Database, email: str) -> None:
    """Mail the link again, where the address waits for one. The new link replaces the old one."""
    try:
        address = normalise_email(email)
    except InvalidInput:
        return
    with database.transaction() as connection:
        row = connection.execute(
            "SELECT id FROM accounts WHERE email = ? AND activated_at IS NULL "
            "AND coalesce(activation_expires_at, 0) < ?",
            (address, time.time() + mail.ACTIVATION_LINK_SECONDS - RESEND_SECONDS),
        ).fetchone()
        if row is not None:
            mail.queue(connection, "activate", row["id"])


def can_activate(database: Database, secret: str) -> bool:
    """Whether the link with this secret works now. This does not use it up."""
    with database.transaction() as connection:
        return _find_by_link(connection, secret) is not None


def activate(database: Database, secret: str, password: str) -> Account:
    """Activate the account of a link. Raises `InvalidInput` if the link does not work or the password is wrong."""
    with database.transaction() as connection:
        row = _find_by_link(connection, secret)
    if row is None:
        raise InvalidInput(link="This link has been used, has expired, or has been replaced by a newer one")
    _require_attempts_left(database, row["email"])
    if not _matches(row["password_hash"], password):
        _count_failure(database, row["email"])
        raise InvalidInput(password="This is not the password that was chosen when signing up")  # noqa: S106  a message
    with database.transaction() as connection:
        activated = connection.execute(
            "UPDATE accounts SET activated_at = ?, activation_digest = NULL WHERE activation_digest = ? "
            "AND password_hash = ? AND activated_at IS NULL",
            (time.time(), digest(secret), row["password_hash"]),
        )
        if activated.rowcount != 1:
            raise InvalidInput(link="This link has been used, has expired, or has been replaced by a newer one")
        return _find(connection, row["id"])


def sign_in(database: Database, email: str, password: str) -> Account:
    """The activated account with this address and password. Raises `InvalidInput`, with one message for all reasons."""
    wrong = InvalidInput(email=WRONG_PASSWORD)
    try:
        address = normalise_email(email)
    except InvalidInput:
        address = ""
    _require_attempts_left(database, address)
    with database.transaction() as connection:
        row = connection.execute(
            "SELECT id, password_hash FROM accounts WHERE email = ? AND activated_at IS NOT NULL", (address,)
        ).fetchone()
    if not _matches(row["password_hash"] if row else _DUMMY_HASH, password) or row is None:
        _count_failure(database, address)
        raise wrong
    with database.transaction() as connection:
        return _find(connection, row["id"])


def find(database: Database, account_id: int) -> Account:
    """The account with this id."""
    with database.transaction() as connection:
        return _find(connection, account_id)


def choose_school(database: Database, account_id: int, *, urn: str, name: str, place: str, mis: str) -> None:
    """Store the school and its system. Another school than before drops what belonged to that one."""
    with database.transaction() as connection:
        connection.execute(
            "UPDATE accounts SET estab_id = CASE WHEN urn = ? THEN estab_id END, urn = ?, school_name = ?, "
            "school_place = ?, mis = ? WHERE id = ?",
            (urn, urn, name, place, mis, account_id),
        )


def set_contact_name(database: Database, account_id: int, name: str) -> None:
    """Store the name that the provider writes to."""
    with database.transaction() as connection:
        connection.execute("UPDATE accounts SET contact_name = ? WHERE id = ?", (name, account_id))


def store_acts_for(database: Database, account_id: int, estab_id: str, urn: str | None) -> None:
    """Store that the person acts for this school, as the sign-in with the school account proved, if they chose it."""
    with database.transaction() as connection:
        connection.execute(
            "UPDATE accounts SET estab_id = ? WHERE id = ? AND urn IS NOT NULL AND urn = ?", (estab_id, account_id, urn)
        )


def _find_by_link(connection: sqlite3.Connection, secret: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT id, email, password_hash FROM accounts WHERE activation_digest = ? AND activation_expires_at > ? "
        "AND activated_at IS NULL",
        (digest(secret), time.time()),
    ).fetchone()
    return row


def _find(connection: sqlite3.Connection, account_id: int) -> Account:
    row = connection.execute(
        "SELECT id, email, activated_at, contact_name, urn, school_name, school_place, mis, estab_id, password_hash "
        "FROM accounts WHERE id = ?",
        (account_id,),
    ).fetchone()
    return Account(**dict(row))


def normalise_email(email: str) -> str:
    """The address as it is stored. Raises `InvalidInput`."""
    try:
        return validate_email(email.strip(), check_deliverability=False).normalized.lower()
    except EmailNotValidError as error:
        raise InvalidInput(email="Enter an e-mail address, such as office@school.example") from error


def hash_new(password: str) -> str:
    """The hash of a password that is being chosen. Raises `InvalidInput` where it is too short or too long."""
    if field_errors := _password_errors(password):
        raise InvalidInput(**field_errors)
    return _hasher.hash(password)


def _password_errors(password: str) -> dict[str, str]:
    if MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        return {}
    return {"password": f"Choose a password of {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters"}


def _field_errors(password: str, terms_version: str) -> dict[str, str]:
    field_errors = _password_errors(password)
    if terms_version != TERMS_VERSION:
        field_errors["terms"] = "Read and accept the terms of service"
    return field_errors


def _matches(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password[: MAX_PASSWORD_LENGTH + 1])
    except VerificationError:
        return False


def _require_attempts_left(database: Database, address: str) -> None:
    with database.transaction() as connection:
        connection.execute("DELETE FROM failed_sign_ins WHERE at < ?", (time.time() - FAILURE_SECONDS,))
        query = "SELECT count(*) FROM failed_sign_ins WHERE email_digest = ?"
        if connection.execute(query, (digest(address),)).fetchone()[0] >= MAX_FAILURES:
            raise InvalidInput(email="There were too many attempts. Try again in a quarter of an hour")


def _count_failure(database: Database, address: str) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO failed_sign_ins VALUES (?, ?)", (digest(address), time.time()))
