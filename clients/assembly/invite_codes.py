"""Invite codes: who may sign up. The command makes them, and the database says how many uses are left."""

import secrets
import sqlite3
import time

from clients.assembly.database import Database, digest

_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # none that look alike


def create(database: Database, *, uses: int = 1, days: int = 14, note: str = "") -> str:
    """Make a code that works `uses` times within `days` days."""
    code = "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(3))
    _store(database, code, uses, days, note)
    return code


def ensure(database: Database, code: str) -> None:
    """Make `code` work for a year: for demonstrations, where it is printed."""
    _store(database, code, 1000, 365, "demonstration")


def works(database: Database, code: str) -> bool:
    """Whether a code can be used now; only `use` decides."""
    with database.transaction() as connection:
        row = connection.execute(
            "SELECT 1 FROM invite_codes WHERE digest = ? AND uses_left > 0 AND expires_at > ?",
            (digest(_normal(code)), time.time()),
        ).fetchone()
    return row is not None


def use(connection: sqlite3.Connection, code: str) -> bool:
    """Take one use of a code, in the caller's transaction; False where it is unknown, used up, or expired."""
    taken = connection.execute(
        "UPDATE invite_codes SET uses_left = uses_left - 1 WHERE digest = ? AND uses_left > 0 AND expires_at > ?",
        (digest(_normal(code)), time.time()),
    )
    return taken.rowcount == 1


def _store(database: Database, code: str, uses: int, days: int, note: str) -> None:
    with database.transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO invite_codes VALUES (?, ?, ?, ?)",
            (digest(_normal(code)), note, uses, time.time() + days * 86_400),
        )


def _normal(code: str) -> str:
    """A code as someone typed it, without spaces and hyphens, and in capitals."""
    return "".join(letter for letter in code.upper() if letter.isalnum())
