"""The database: one connection per request, the types of our columns, row locks, and single-use claims.

Core statements go straight to `connection`; the ORM's `session` shares it and its transaction. Nothing here
commits. `foundation/web/transactions` does, once per request.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import structlog
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    Update,
    bindparam,
    event,
    func,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session, SessionTransaction, registry
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from idp.foundation import clock, crypto, request_state
from idp.foundation.fastpath import libpq
from idp.foundation.fastpath.connections import KeptConnections, PooledConnections
from idp.foundation.runtime import PerApplication
from idp.foundation.setting_types import ROOT
from idp.foundation.settings import Settings

log = structlog.get_logger(__name__)

NETWORK_LOSS: Final = {
    "tcp_user_timeout": 15_000, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
}  # fmt: skip
"""Parameters of libpq. Where the server's machine vanishes, a statement fails after 15 s (`tcp_user_timeout` is in
milliseconds), or after 20 s if it had already arrived there. Otherwise the thread waits for 15 minutes, or for 2 hours.
"""
ASYNCHRONOUS_COMMIT_KEY: Final = "asynchronous commit"
"""Key in the info of a SQLite connection whose commits do not wait for the disk until it is returned to the pool."""


class Instant(TypeDecorator[datetime]):
    """A moment in UTC. SQLite has no time zones, so there it is stored naive and read back aware."""

    impl = DateTime(timezone=True)
    cache_ok = True
    python_type = datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time: it would mean something else on another machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time was about to be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC: SQLite's are naive, and PostgreSQL's are in the time zone of the connection."""
        if value is None or value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class WordSet(TypeDecorator[frozenset[str]]):
    """A set of words without spaces (scopes, codes), stored sorted and separated by one space."""

    impl = Text
    cache_ok = True
    python_type = frozenset

    def process_bind_param(self, value: frozenset[str] | None, dialect: Dialect) -> str | None:
        """Join the words, sorted so that equal sets are equal text."""
        return None if value is None else " ".join(sorted(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> frozenset[str] | None:
        """Split the text into the set."""
        return None if value is None else _split(value)


@lru_cache(maxsize=1024)  # most rows hold one of a few combinations
def _split(text: str) -> frozenset[str]:
    return frozenset(text.split())


class _Base(DeclarativeBase):
    registry = registry(
        metadata=MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={
            datetime: Instant,
            frozenset[str]: WordSet,
            str: Text,
            list[str]: JSON,
            dict[str, Any]: JSON(none_as_null=True),
        },
    )


class _Session(FlaskSession):
    """The ORM's session, on the connection that Core statements use; it commits and rolls back their transaction."""

    def get_bind(self, *_args: Any, **_kwargs: Any) -> Connection:
        """Return the request's connection, the only one at a time."""
        return connection()


db = SQLAlchemy(
    model_class=_Base,
    disable_autonaming=True,
    session_options={"class_": _Session, "expire_on_commit": False, "join_transaction_mode": "control_fully"},
)

if TYPE_CHECKING:

    class Base(_Base):
        """The base class of all models."""

        __abstract__ = True
else:
    Base = db.Model


CONNECTIONS: Final = PerApplication[PooledConnections]()

TRANSIENT: Final = "transient"
"""Key in the info of a table that no backup contains."""

Model = TypeVar("Model", bound=Base)


def transient(model: type[Model]) -> type[Model]:
    """Leave the rows of `model` out of backups: what they stand for ends within hours, and must not begin again."""
    cast("Table", model.__table__).info[TRANSIENT] = True
    return model


def session() -> Session:
    """The session of this request, command or job."""
    request_state.current().has_session = True
    return cast("Session", db.session())


def connection() -> Connection:
    """The connection of this request, command or job; its first statement begins the transaction.

    For Core statements on busy paths: making an ORM session takes as long as several of them.
    """
    state = request_state.current()
    if state.connection is not None and state.connection.closed:  # it could begin no transaction
        release_connection()
    if state.connection is None:
        taken = CONNECTIONS.get().take()
        if taken.get_execution_options().get("autocommit", False) is not state.autocommit:
            taken.execution_options(autocommit=state.autocommit)
        state.connection = taken
    return state.connection


def close(_fault: object = None) -> None:
    """Close session and connection, rolling back what was not committed."""
    state = request_state.current()
    try:
        if state.has_session:
            state.has_session = False
            db.session.remove()
    finally:
        release_connection()


def release_connection() -> None:
    """Return the connection, rolling back what was not committed."""
    state = request_state.current()
    if (taken := state.connection) is not None:
        state.connection = None
        CONNECTIONS.get().release(taken)


def end_read_transaction() -> None:
    """End a transaction that has only read, before something slow such as hashing or fetching.

    Objects read before are expired; keep plain values. Raises `RuntimeError` if the session has unsaved changes.
    """
    if request_state.current().has_session:
        if session().new or session().dirty or session().deleted:
            raise RuntimeError("the session has changes that ending the transaction would lose")
        session().rollback()
    release_connection()


def configure(app: Flask, settings: Settings) -> None:
    """Bind the database of the settings to `app`."""
    url = make_url(settings.database.url)
    options: dict[str, Any] = {"hide_parameters": True}  # error messages, which are logged, would contain them
    if url.get_backend_name() == "sqlite":
        if url.database and url.database != ":memory:" and not url.database.startswith("/"):
            url = url.set(database=str(ROOT / url.database))
        if url.database and url.database != ":memory:":
            _create_file(Path(url.database))
        options["connect_args"] = {"timeout": settings.database.busy_timeout}
    else:
        options |= {
            "poolclass": NullPool,  # `KeptConnections` keeps them
            "connect_args": {
                "autocommit": True,  # BEGIN is sent by `_begin_transactions`
                "connect_timeout": 5,
                **NETWORK_LOSS,
                # Our statements are short: compiling one costs more than running it.
                "options": "-c jit=off -c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000 "
                "-c timezone=UTC",  # moments come as `Instant` returns them
            },
        }
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    app.teardown_appcontext_funcs[:] = [close]  # replaces Flask-SQLAlchemy's, which looks up a session each time
    with app.app_context():
        connections = PooledConnections(db.engine)
        if db.engine.dialect.name == "sqlite":
            _tune_sqlite(db.engine)
            _begin_transactions(
                db.engine, "BEGIN IMMEDIATE", lambda current, sql: current.connection.cursor().execute(sql)
            )
        else:
            connections = KeptConnections(db.engine, settings.database.pool_size)
            _begin_transactions(db.engine, "BEGIN", libpq.execute)
            libpq.note_rollbacks(db.engine)
        CONNECTIONS.set(app, connections)


def _create_file(file: Path) -> None:
    """Make an empty file that only this user can read, unless it is there; SQLite would let every user read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # the first connection fails with a message
        file.touch(0o600)


def _tune_sqlite(engine: Engine) -> None:
    """WAL, real foreign keys, and writers that queue instead of failing half way.

    A deferred transaction that reads and then writes fails at once when another has written meanwhile, so
    every transaction takes the write lock when it begins. The price: requests that touch the database
    follow one another, which one process on one file can afford.
    """

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is sent by `_begin_transactions`
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")

    @event.listens_for(engine, "checkin")
    def _returned(connection: sqlite3.Connection | None, record: ConnectionPoolEntry) -> None:
        if record.info.pop(ASYNCHRONOUS_COMMIT_KEY, False) and connection is not None:
            connection.execute("PRAGMA synchronous = FULL")


def _begin_transactions(engine: Engine, begin: str, execute: Callable[[Connection, str], object]) -> None:
    """Send `begin` where a transaction begins, unless the connection's option `autocommit` is set.

    The drivers begin none by themselves. SQLAlchemy's own isolation level AUTOCOMMIT would change the connection for
    each such request, and change it back.
    """

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("autocommit"):
            has_begun = False
            try:  # without SQLAlchemy, which would take as long as for a query
                execute(connection, begin)
                has_begun = True
            except connection.dialect.loaded_dbapi.Error as error:
                raise wrap_driver_error(error, begin, connection) from error
            finally:
                if not has_begun:  # SQLAlchemy would begin no transaction on it again
                    connection.close()


def wrap_driver_error(error: Exception, sql: str, connection: Connection) -> BaseException:
    """The driver's error as SQLAlchemy's `DBAPIError`, without the bound values; a lost connection is invalidated."""
    lost = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, None)  # type: ignore[arg-type]
    if lost:
        connection.invalidate(error)
    return DBAPIError.instance(
        sql, None, error, connection.dialect.loaded_dbapi.Error, hide_parameters=True, connection_invalidated=lost,
        dialect=connection.dialect,
    )  # fmt: skip


def lock(model: type[Model], key: object, *, shared: bool = False) -> Model | None:
    """The row with this primary key as it is now, unchangeable by others until this transaction ends; None without one.

    The object in the session is refreshed: decide on what this returns, never on an object loaded earlier.
    `shared` lets others read it under the same lock; do not change a row that you hold so. Where several are held,
    they are locked in one order, or two transactions wait for each other: registration, join request, estab,
    review, invitation, person, membership, then links, codes and counters of guesses; sessions last. SQLite has one
    writer at a time: there the row is only read again.
    """
    columns = cast("Table", model.__table__).primary_key.columns
    values = key if isinstance(key, tuple) else (key,)
    conditions = (column == value for column, value in zip(columns, values, strict=True))
    statement = select(model).where(*conditions).execution_options(populate_existing=True)
    return session().scalar(statement.with_for_update(of=model, read=shared, key_share=not shared))


def advisory_lock(*name: str) -> None:
    """Hold the lock called `name` until the transaction ends; other transactions wait here for it.

    For decisions about rows that do not exist yet, such as "at most five an hour". SQLite has one writer in any case.
    """
    if connection().dialect.name == "postgresql":
        number = int.from_bytes(crypto.digest("\0".join(name))[:8], signed=True)
        connection().execute(select(func.pg_advisory_xact_lock(number)))


@contextmanager
def savepoint() -> Iterator[SessionTransaction]:
    """A savepoint around the block: if it raises, what the session and Core statements did in it is undone.

    By itself the session sends SAVEPOINT with its own next statement, so that Core statements before it would stay.
    """
    with session().begin_nested() as nested:
        session().connection()
        yield nested


@contextmanager
def row_isolated(kind: str, row_id: str) -> Iterator[None]:
    """Run the block for one row of a loop in a savepoint: if it raises, it is undone and logged; the loop continues.

    One row that cannot be processed must not keep the others waiting (security.md S51).
    """
    try:
        with savepoint():
            yield
    except Exception as error:
        log.exception("row set aside", name=kind, subject=row_id, reason=type(error).__name__)


def claim(model: type[Base], **conditions: object) -> bool:
    """Mark as used the one row that matches all `conditions` and is neither used nor expired; False if there is none.

    This UPDATE decides: of eight concurrent requests one gets the row. Never read first and write afterwards.
    `conditions` name everything that the secret is bound to; None means that the column must be NULL.
    """
    bound = {name: value for name, value in conditions.items() if value is not None}
    statement = _claim_statement(model, frozenset(bound), frozenset(conditions.keys() - bound.keys()))
    values = {f"by_{name}": value for name, value in bound.items()}
    return connection().execute(statement, values | {"now": clock.now()}).rowcount == 1


@cache  # composing the statement takes as long as running it
def _claim_statement(model: type[Base], bound: frozenset[str], absent: frozenset[str]) -> Update:
    """The UPDATE of `claim`, for a model and the names of its conditions."""
    table = cast("Table", model.__table__)
    return (
        update(table)
        .where(*(table.c[name] == bindparam(f"by_{name}", type_=table.c[name].type) for name in sorted(bound)))
        .where(*(table.c[name].is_(None) for name in sorted(absent | {"used_at"})))
        .where(table.c.expires_at > bindparam("now", type_=Instant()))
        .values(used_at=bindparam("now", type_=Instant()))
    )
