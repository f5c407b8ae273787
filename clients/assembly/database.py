"""The database: one SQLite file, plain SQL, and short transactions.

Whatever two requests could decide at once is decided by one statement here: `UPDATE … WHERE` on the state that it
expects, and the number of rows says who was first. So the program may be killed at any moment, and started twice.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TABLES = Path(__file__).with_name("tables.sql")


class Database:
    """The database file. Every transaction opens and closes it: there are few, and threads then share nothing."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        self._file = file
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(TABLES.read_text("utf-8"))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end of the block, and rolled back where the block raises."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._file, timeout=10, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            connection.close()


def digest(secret: str) -> bytes:
    """What is stored of a secret that only its holder needs to know."""
    return hashlib.sha256(secret.encode()).digest()
