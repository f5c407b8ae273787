"""The connections to the database: how many there are, and what happens while all are in use."""

import psycopg
import pytest
from sqlalchemy import delete, exc, make_url

from clients.xporter import database, tables
from clients.xporter.snapshots import MAX_SNAPSHOTS
from tests.clients.xporter.support import build_announcement

POSTGRESQL_CONNECTIONS = 90
"""PostgreSQL allows 100 by default, of which some are left to other programs."""


def test_all_connections_together_are_fewer_than_postgresql_allows_by_default():
    options = database._options(is_sqlite=False)
    assert options["pool_size"] + options["max_overflow"] + MAX_SNAPSHOTS <= POSTGRESQL_CONNECTIONS


def test_a_request_is_refused_with_retry_after_while_no_connection_is_left(endpoint, monkeypatch):
    def all_in_use(*_, **__):
        raise exc.TimeoutError("QueuePool limit")

    monkeypatch.setattr("clients.xporter.extracts.announce", all_in_use)
    refused = endpoint.announce(build_announcement(b"abc"))
    assert (refused.status_code, refused.json["code"]) == (503, "temporarily_unavailable")
    assert int(refused.headers["Retry-After"]) > 0


def test_connections_to_a_server_that_takes_no_writes_are_not_kept(app):
    program_database = app.extensions["xporter"].database
    if program_database.is_sqlite:
        pytest.skip("about PostgreSQL's connections")
    url = make_url(app.extensions["xporter"].settings.database_url).set(drivername="postgresql")

    def write():
        with program_database.write() as connection:
            connection.execute(delete(tables.schools))

    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as operator:
        operator.execute(f'ALTER DATABASE "{url.database}" SET default_transaction_read_only = on')
        operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with pytest.raises(exc.DBAPIError, match="read-only"):
            write()
        operator.execute("SET default_transaction_read_only = off")
        operator.execute(f'ALTER DATABASE "{url.database}" RESET default_transaction_read_only')
    write()
