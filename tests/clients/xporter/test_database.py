"""The connections to the database: how many there are, and what happens while all are in use."""

from sqlalchemy import exc

from clients.xporter import database
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
