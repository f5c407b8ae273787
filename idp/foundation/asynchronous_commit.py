"""Transactions that do not wait for the disk when they commit."""

from typing import Final

from idp.foundation.database import ASYNCHRONOUS_COMMIT_KEY, connection, wrap_driver_error
from idp.foundation.fastpath import libpq

_COMMAND: Final = "SET LOCAL synchronous_commit TO off"


def set_asynchronous_commit() -> None:
    """Let the transaction that begins next commit without waiting for the disk.

    A crash of PostgreSQL's server within a second undoes it, and with SQLite one of the machine, until another
    transaction has waited for the disk. Use it only for what can be done again without harm.
    """
    current = connection()
    if current.in_transaction():
        raise RuntimeError("the transaction has begun already")
    if current.dialect.name == "sqlite":
        pooled = current.connection
        pooled.info[ASYNCHRONOUS_COMMIT_KEY] = True
        pooled.cursor().execute("PRAGMA synchronous = NORMAL")  # SQLite accepts it only between transactions
        return
    current.begin()
    try:
        libpq.execute(current, _COMMAND)
    except current.dialect.loaded_dbapi.Error as error:
        raise wrap_driver_error(error, _COMMAND, current) from error
