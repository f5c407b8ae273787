"""What Alembic runs: one connection, handed over by `idp.migrations.upgrade`, with timeouts and one lock."""

from alembic import context
from sqlalchemy import text

from idp.foundation.database import db

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=db.metadata, render_as_batch=False, compare_type=True)

with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        connection.execute(text("SET LOCAL statement_timeout = '10min'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(20260302)"))  # two upgrades at once: one waits
    context.run_migrations()
