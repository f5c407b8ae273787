"""Assembly's server-side sessions, in one small SQLite file: tokens never go into a cookie.

The browser's cookie has a random value, the handle; the store has its digest, who signed in, and the tokens. It also
stores what a callback needs (PKCE verifier, nonce): `Store` is the cache of Authlib's client.
"""

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HOURS = 12
"""How long somebody stays signed in at Assembly."""

_TABLES = """
CREATE TABLE IF NOT EXISTS sign_ins (digest BLOB PRIMARY KEY, content TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS pending (name TEXT PRIMARY KEY, content TEXT NOT NULL, expires REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A person who signed in with their school account, and their tokens.

    `claims` are those of the ID Token, `about` is the userinfo response, `scope` the scope of the access token, and
    `withheld` what the school agreed to and is withheld for now; `paused` is whether the school has paused sharing.
    `access_until` and `checked_at` are seconds since 1970. Pages show the claims and `about`, never a token.
    """

    claims: dict[str, Any]
    about: dict[str, Any]
    scope: frozenset[str]
    access_until: float
    checked_at: float
    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    withheld: frozenset[str] = frozenset()
    paused: bool = False


class Store:
    """The file. Every call opens and closes it: there are few, and threads then share nothing."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        self._file = file
        with self._open() as database:
            database.executescript(_TABLES)

    def add(self, sign_in: SignIn) -> str:
        """Store a new sign-in; returns its handle, for the browser's cookie."""
        handle = secrets.token_urlsafe(32)
        with self._open() as database:
            database.execute("DELETE FROM sign_ins WHERE expires < ?", (time.time(),))
            database.execute(
                "INSERT INTO sign_ins VALUES (?, ?, ?)",
                (_digest(handle), _to_json(sign_in), time.time() + HOURS * 3600),
            )
        return handle

    def find(self, handle: str | None) -> SignIn | None:
        """The sign-in of a handle; None if it is unknown or expired."""
        if not handle:
            return None
        with self._open() as database:
            row = database.execute(
                "SELECT content FROM sign_ins WHERE digest = ? AND expires > ?", (_digest(handle), time.time())
            ).fetchone()
        return _from_json(row[0]) if row else None

    def replace(self, handle: str, sign_in: SignIn) -> None:
        """Store the result of a refresh; does nothing if the person has signed out meanwhile."""
        with self._open() as database:
            database.execute("UPDATE sign_ins SET content = ? WHERE digest = ?", (_to_json(sign_in), _digest(handle)))

    def forget(self, handle: str) -> None:
        """Delete a sign-in and its tokens."""
        with self._open() as database:
            database.execute("DELETE FROM sign_ins WHERE digest = ?", (_digest(handle),))

    # The cache that Authlib's client uses.

    def get(self, name: str) -> str | None:
        """The content stored under `name`, or None."""
        with self._open() as database:
            row = database.execute(
                "SELECT content FROM pending WHERE name = ? AND expires > ?", (name, time.time())
            ).fetchone()
        return str(row[0]) if row else None

    def set(self, name: str, content: str, seconds: float) -> None:
        """Store `content` under `name` for this many seconds."""
        with self._open() as database:
            database.execute("DELETE FROM pending WHERE expires < ?", (time.time(),))
            database.execute("INSERT OR REPLACE INTO pending VALUES (?, ?, ?)", (name, content, time.time() + seconds))

    def delete(self, name: str) -> None:
        """Delete the content stored under `name`."""
        with self._open() as database:
            database.execute("DELETE FROM pending WHERE name = ?", (name,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._file, timeout=10)
        try:
            with database:
                yield database
        finally:
            database.close()


def _digest(handle: str) -> bytes:
    return hashlib.sha256(handle.encode()).digest()


def _to_json(sign_in: SignIn) -> str:
    return json.dumps(asdict(sign_in) | {"scope": sorted(sign_in.scope), "withheld": sorted(sign_in.withheld)})


def _from_json(content: str) -> SignIn:
    fields = json.loads(content)
    return SignIn(**fields | {name: frozenset(fields.get(name, ())) for name in ("scope", "withheld")})
