"""Fixtures of the audit tests: sealed entries, and statements that run without the database's guards."""

from contextlib import contextmanager

import pytest
from sqlalchemy import text

from idp.audit import chain, log
from idp.foundation.database import db

SQLITE_GUARDS = ("audit_entries_only_sealed", "audit_entries_kept", "audit_checkpoints_fixed", "audit_checkpoints_kept")


@pytest.fixture
def sealed(transaction):
    """Nine sealed entries, from position 1 on; the first are about the signing keys of a new database."""
    with transaction() as session:
        already = session.scalar(text("SELECT count(*) FROM audit_entries"))
        for number in range(9 - already):
            details = {"name": f"Jo {number}", "address": "jo@oakhill.example"}
            log.record("estab.registered", by="adm_jo", estab="est_oak", details=details, number=number)
        assert chain.seal() == 9


@pytest.fixture
def tamper(app):
    """`tamper(sql)` runs statements that change the log, as with the database administrator's password."""

    @contextmanager
    def unguarded(connection):
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            for name in SQLITE_GUARDS:
                connection.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
        yield

    def run(*statements, **values):
        with app.app_context(), db.engine.begin() as connection, unguarded(connection):
            for statement in statements:
                connection.execute(text(statement), values)

    return run
