"""Rows by the million: refresh token families like a real one, and the table that access tokens do not have."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Connection, Engine, Table, bindparam, text

from idp.foundation.database import Base, Instant
from idp.oidc.models import RefreshFamily

LIVE_FAMILY_RATIO: Final = 100
"""One in this number of families belongs to an existing agreement; the others only fill the indexes."""
RECENTLY: Final = 1_000
"""Of one school in this number the server is lost, which was recorded within the hour."""
INDEX_LATER_ROWS: Final = 100_000
"""Rows, from which on indexes are made afterwards."""

_table = cast("Table", RefreshFamily.__table__)
_DIGEST: Final = {"postgresql": "sha256(convert_to('bench-' || n, 'UTF8'))", "sqlite": "sha256('bench-' || n)"}
_EXPIRY: Final = {  # the days that follow
    "postgresql": "now() + (n % {0} + 1) * interval '1 day'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', (n % {0} + 1) || ' days')",
}
_NUMBERS: Final = (
    "WITH RECURSIVE numbers(n) AS (SELECT CAST(:first AS INTEGER) UNION ALL SELECT n + 1 FROM numbers WHERE n < :last) "
)
_BYTES: Final = {"postgresql": "BYTEA", "sqlite": "BLOB"}


def name(number: int) -> str:
    """The id of family number so and so."""
    return f"fam_bench_{number}"


def token(number: int) -> str:
    """The refresh token of family number so and so."""
    return f"bench-{number}"


def digest(number: int) -> bytes:
    """What it is found by."""
    return hashlib.sha256(token(number).encode()).digest()


def families(engine: Engine, client: str, first: int, last: int, *, expired: bool = False) -> None:
    """Add the families from number `first` to before `last`, all like one of `client`'s.

    They end within 400 days, or ended ten days ago.
    """
    dialect = engine.dialect.name
    overrides = {
        "id": "'fam_bench_' || n", "lineage": "'lin_bench_' || n", "digest": _DIGEST[dialect],
        "person_id": f"CASE WHEN n % {LIVE_FAMILY_RATIO} = 0 THEN person_id ELSE 'adm_bench_' || n END",
        "authorisation_id": f"CASE WHEN n % {LIVE_FAMILY_RATIO} = 0 THEN authorisation_id ELSE 'aut_bench_' || n END",
        "expires_at": ":ended" if expired else _EXPIRY[dialect].format(400),
    }  # fmt: skip
    values = ", ".join(overrides.get(name, name) for name in _table.c.keys())  # noqa: SIM118  a collection of columns
    real = "SELECT * FROM refresh_families WHERE client_id = :client AND id NOT LIKE 'fam_bench_%' LIMIT 1"
    columns = ", ".join(_table.c.keys())
    insert = f"{_NUMBERS} INSERT INTO refresh_families ({columns}) SELECT {values} FROM ({real}) one, numbers"
    parameters: dict[str, Any] = {"client": client, "first": first, "last": last - 1}
    statement = text(insert)
    if expired:
        statement = statement.bindparams(bindparam("ended", type_=Instant()))
        parameters["ended"] = datetime.now(UTC) - timedelta(days=10)
    with _in_bulk(engine) as connection:
        if last - first < INDEX_LATER_ROWS:
            connection.execute(statement, parameters)
            return
        for index in _table.indexes:
            index.drop(connection)
        connection.execute(statement, parameters)
        for index in _table.indexes:
            index.create(connection)


def tokens(engine: Engine, rows: int) -> None:
    """The table `bench_tokens`: an access token a row, as narrow as can be, all ending within ten days."""
    dialect = engine.dialect.name
    expires = _table.c.expires_at.type.compile(engine.dialect)
    with _in_bulk(engine) as connection:
        connection.execute(
            text(
                f"CREATE TABLE bench_tokens (digest {_BYTES[dialect]} PRIMARY KEY, client_id TEXT NOT NULL,"
                f" authorisation_id TEXT NOT NULL, expires_at {expires} NOT NULL)"
            )
        )
        values = f"{_DIGEST[dialect]}, 'a-client', 'aut_' || n, {_EXPIRY[dialect].format(10)}"
        connection.execute(
            text(f"{_NUMBERS} INSERT INTO bench_tokens SELECT {values} FROM numbers"), {"first": 0, "last": rows - 1}
        )
        connection.execute(text("CREATE INDEX bench_tokens_expires ON bench_tokens (expires_at)"))


@contextmanager
def _in_bulk(engine: Engine) -> Iterator[Connection]:
    """A transaction for very many rows; afterwards the planner knows them, and nothing is left to be written."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            driver.create_function("sha256", 1, lambda text: hashlib.sha256(text.encode()).digest(), deterministic=True)
            driver.execute("PRAGMA cache_size = -524288")  # KiB; once, before the transaction
        else:
            connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        yield connection
        connection.commit()
        connection.execute(text("ANALYZE"))
        connection.commit()
        if engine.dialect.name == "sqlite":
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("CHECKPOINT"))
    engine.dispose()


def estab(number: int) -> str:
    """The internal id of the school number so and so that `authorised_schools` added."""
    return f"est_bench_{number:07}"


def estab_id(number: int) -> str:
    """Its Estab ID."""
    return f"B{number:06}"


def authorised_schools(engine: Engine, like: str, client: str, count: int) -> None:
    """Add `count` schools that authorised `client`, each with an agreement like the one with the client `like`.

    All was decided and connected long ago; of one school in `RECENTLY` the server is lost, recorded within the hour.
    """
    now = datetime.now(UTC)
    number = {"postgresql": "lpad(n::text, {0}, '0')", "sqlite": "printf('%0{0}d', n)"}[engine.dialect.name]
    copies: dict[str, dict[str, str]] = {
        "schools": {"id": "1000000 + n", "register_id": "'bench' || n", "dfe_number": "NULL"},
        "estabs": {
            "id": f"'est_bench_' || {number.format(7)}", "estab_id": f"'B' || {number.format(6)}",
            "school_id": "1000000 + n", "state_changed_at": ":long_ago",
            "endpoint_changed_at": f"CASE WHEN n % {RECENTLY} = 0 THEN :recently ELSE :long_ago END",
        },
        "authorisations": {
            "id": "'aut_bench_' || n", "line": "'aut_bench_' || n", "client_id": ":client",
            "given_at": ":long_ago", "changed_at": ":long_ago",
            "estab_id": f"'est_bench_' || {number.format(7)}",
        },
        "endpoints": {
            "id": "'end_bench_' || n", "estab_id": f"'est_bench_' || {number.format(7)}",
            "heard_at": f"CASE WHEN n % {RECENTLY} = 0 THEN :lost ELSE :recently END",
        },
    }  # fmt: skip
    templates = {
        "schools": "id = (SELECT school_id FROM estabs LIMIT 1)", "estabs": "true",
        "authorisations": "client_id = :like", "endpoints": "true",
    }  # fmt: skip
    parameters: dict[str, Any] = {
        "like": like, "client": client, "first": 0, "last": count - 1, "recently": now - timedelta(minutes=30),
        "long_ago": now - timedelta(days=90), "lost": now - timedelta(days=2),
    }  # fmt: skip
    moments = [bindparam(name, type_=Instant()) for name in ("recently", "long_ago", "lost")]
    with _in_bulk(engine) as connection:
        connection.execute(Base.metadata.tables["endpoints"].insert(), _an_endpoint(connection, client, now))
        long_ago = text("UPDATE register_imports SET imported_at = :long_ago").bindparams(moments[1])
        connection.execute(long_ago, {"long_ago": parameters["long_ago"]})
        for table, overrides in copies.items():
            columns = Base.metadata.tables[table].c.keys()
            values = ", ".join(overrides.get(name, name) for name in columns)
            statement = (
                f"{_NUMBERS} INSERT INTO {table} ({', '.join(columns)}) "
                f"SELECT {values} FROM (SELECT * FROM {table} WHERE {templates[table]} LIMIT 1) one, numbers"
            )
            needed = {name: value for name, value in parameters.items() if f":{name}" in statement}
            typed = [moment for moment in moments if moment.key in needed]
            connection.execute(text(statement).bindparams(*typed), needed)


def _an_endpoint(connection: Connection, client: str, now: datetime) -> dict[str, Any]:
    """The columns of a server of some school."""
    estab = connection.scalar(text("SELECT id FROM estabs LIMIT 1"))
    return {
        "id": "end_bench", "estab_id": estab, "client_id": client, "key_thumbprint": "thumbprint", "lineage": "lineage",
        "registered_at": now, "registered_by": "adm_bench", "heard_at": now, "extract_at": now, "name": "server",
        "mis": "sims", "agent_version": "1.0.0", "platform": "Linux",
    }  # fmt: skip
