"""Who is signed in, in which browser. The cookie has only a random value, the handle; the rest is in the database.

A browser is signed in by password (`account_id`), by school account (`estab_id`, `sub`), or by both.
"""

import json
import secrets
import sqlite3
import time
from dataclasses import dataclass, field, replace
from typing import Any

from clients.assembly.accounts import Account
from clients.assembly.database import Database, digest

LIFETIME_HOURS = 12


@dataclass(frozen=True, slots=True)
class SignIn:
    """One signed-in browser. `claims` are those of the ID Token, `about` is the userinfo response."""

    account_id: int | None = None
    estab_id: str | None = None
    sub: str | None = None
    sid: str | None = None
    id_token: str | None = field(default=None, repr=False)
    claims: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


def add_by_password(database: Database, account: Account, *, instead_of: str | None = None) -> str | None:
    """Sign a browser in after its person's password was verified; returns the handle for the cookie.

    None if the password has been changed meanwhile: a new password ends every sign-in, also one that is beginning.
    """
    with database.transaction() as connection:
        unchanged = connection.execute(
            "SELECT 1 FROM accounts WHERE id = ? AND password_hash = ?", (account.id, account.password_hash)
        ).fetchone()
        return _add(connection, SignIn(account_id=account.id), instead_of) if unchanged else None


def add_by_school_account(database: Database, sign_in: SignIn, *, instead_of: str | None = None) -> str:
    """Sign a browser in with its school account; returns the handle for the cookie.

    A person signed in by password under the handle `instead_of` stays so, unless that sign-in has ended meanwhile.
    """
    with database.transaction() as connection:
        before = _find(connection, instead_of)
        return _add(connection, replace(sign_in, account_id=before.account_id if before else None), instead_of)


def _add(connection: sqlite3.Connection, sign_in: SignIn, instead_of: str | None) -> str:
    handle, now = secrets.token_urlsafe(32), time.time()
    connection.execute(
        "DELETE FROM sign_ins WHERE expires_at < ? OR digest = ?", (now, digest(instead_of) if instead_of else b"")
    )
    connection.execute(
        "INSERT INTO sign_ins (digest, account_id, estab_id, sub, sid, id_token, claims, about, expires_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            digest(handle), sign_in.account_id, sign_in.estab_id, sign_in.sub, sign_in.sid, sign_in.id_token,
            json.dumps(sign_in.claims), json.dumps(sign_in.about), now + LIFETIME_HOURS * 3600,
        ),
    )  # fmt: skip
    return handle


def find(database: Database, handle: str | None) -> SignIn | None:
    """The sign-in of a handle; None if it is unknown, expired, or was ended."""
    with database.transaction() as connection:
        return _find(connection, handle)


def _find(connection: sqlite3.Connection, handle: str | None) -> SignIn | None:
    if not handle:
        return None
    row = connection.execute(
        "SELECT account_id, estab_id, sub, sid, id_token, claims, about FROM sign_ins "
        "WHERE digest = ? AND expires_at > ?",
        (digest(handle), time.time()),
    ).fetchone()
    if row is None:
        return None
    return SignIn(**{**dict(row), "claims": json.loads(row["claims"]), "about": json.loads(row["about"])})


def end(database: Database, handle: str) -> None:
    """Sign one browser out."""
    with database.transaction() as connection:
        connection.execute("DELETE FROM sign_ins WHERE digest = ?", (digest(handle),))


def end_at_provider(database: Database, *, sub: str | None, sid: str | None) -> None:
    """End the sign-ins by one session at the provider, or by all of a person's sessions (Back-Channel Logout §2.7).

    The whole browser is signed out, also of its password: the person has left it.
    """
    with database.transaction() as connection:
        if sid is not None:
            connection.execute("DELETE FROM sign_ins WHERE sid = ? AND (? IS NULL OR sub = ?)", (sid, sub, sub))
        else:
            connection.execute("DELETE FROM sign_ins WHERE sub = ?", (sub,))
