"""SQLAlchemy's connections to PostgreSQL, kept with what SQLAlchemy makes around each until a request needs it again.

To make that anew for each request, and to take the driver's connection out of SQLAlchemy's pool and return it, takes a
tenth of an introspection and a twentieth of a silent authorize. SQLite's connections are pooled by SQLAlchemy.
"""

import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import Any, Final, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeout

MAX_WAIT_SECONDS: Final = 5
"""How long a request waits for a connection while all are in use."""
MAX_IDLE_SECONDS = 1.0
"""A connection that was idle for longer is pinged before it is used: the database may have been restarted."""

READ_ONLY_PARAMETERS: Final = (b"in_hot_standby", b"default_transaction_read_only")
"""What PostgreSQL reports of itself, also when it changes (since version 14)."""


class PooledConnections:
    """The connections of one process, pooled by SQLAlchemy."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def take(self) -> Connection:
        """A connection for one request. Raises SQLAlchemy's `TimeoutError`, or `DBAPIError` where none can be made."""
        return self.engine.connect()

    def release(self, connection: Connection) -> None:
        """Return a connection, after rolling back what was not committed."""
        connection.close()


class KeptConnections(PooledConnections):
    """The same, kept open: at most `size` are, and the one that was returned last is used first."""

    def __init__(self, engine: Engine, size: int) -> None:
        super().__init__(engine)
        self._idle = deque[tuple[Connection, float]]()
        """With the monotonic time of its return, or 0 if another was lost while it was in use."""
        self._taken_at: dict[Connection, float] = {}
        """The monotonic time at which each connection in use was taken."""
        self._lost_at = 0.0
        self._places: SimpleQueue[None] = SimpleQueue()  # a semaphore takes ten times as long
        for _ in range(size):
            self._places.put(None)
        event.listen(engine, "invalidate", self._note_loss)
        event.listen(engine, "engine_disposed", self._close_idle)

    def take(self) -> Connection:
        """A connection for one request; raises the same if `size` are in use for `MAX_WAIT_SECONDS`."""
        try:
            self._places.get(timeout=MAX_WAIT_SECONDS)
        except Empty:
            raise PoolTimeout(f"all connections were in use for {MAX_WAIT_SECONDS} seconds") from None
        try:
            connection = self._working_connection()
        except BaseException:
            self._places.put(None)
            raise
        self._taken_at[connection] = time.monotonic()
        return connection

    def release(self, connection: Connection) -> None:
        """Keep a connection for the next request, after rolling back what was not committed.

        One in which the driver still has a transaction is closed: SQLAlchemy may not have noticed it after an error.
        So is one to a server that takes no writes: it was opened while another was taking its place, and the next one
        may lead there.
        """
        is_kept, taken_at = False, self._taken_at.pop(connection)
        try:
            if connection.get_transaction() is not None:  # also one whose COMMIT failed
                connection.rollback()
            is_kept = not (connection.invalidated or connection.closed) and _is_reusable(connection)
        finally:
            try:
                if is_kept:
                    self._idle.append((connection, time.monotonic() if taken_at > self._lost_at else 0.0))
                else:
                    connection.close()
            finally:
                self._places.put(None)

    def _working_connection(self) -> Connection:
        while (idle := self._pop()) is not None:
            if self._works(*idle):
                return idle[0]
        return self.engine.connect()

    def _pop(self) -> tuple[Connection, float] | None:
        try:
            return self._idle.pop()
        except IndexError:  # another thread may just have been first
            return None

    def _works(self, connection: Connection, since: float) -> bool:
        """Whether an idle connection still works: it is asked only if it may have been lost. Closes it if it does not.

        Under load none is asked until a request has lost its connection; then all others are, because a restart of the
        database ends all of them.
        """
        if since > self._lost_at and time.monotonic() - since < MAX_IDLE_SECONDS:
            return True
        driver = connection.connection.dbapi_connection
        try:
            assert driver is not None
            self.engine.dialect.do_ping(driver)
        except self.engine.dialect.loaded_dbapi.Error as error:
            connection.invalidate(error)
            connection.close()
            self._close_idle(self.engine)  # a restart has ended them too, and each ping may take long
            return False
        return True

    def _note_loss(self, *_of: object) -> None:
        self._lost_at = time.monotonic()

    def _close_idle(self, _engine: Engine) -> None:
        while (idle := self._pop()) is not None:
            idle[0].close()


def _is_reusable(connection: Connection) -> bool:
    server = cast("psycopg.Connection[Any]", connection.connection.driver_connection).pgconn
    return server.transaction_status == TransactionStatus.IDLE and not any(
        server.parameter_status(name) == b"on" for name in READ_ONLY_PARAMETERS
    )
