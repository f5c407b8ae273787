"""Alembic's environment: one connection, passed by `idp.migrations`, with timeouts and one lock."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import text

from idp.foundation.database import Instant, WordSet, db


def render_type(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Render our column types as those of the database, because a migration must not change with our code."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    return "sa.Text()" if kind == "type" and isinstance(item, WordSet) else False


connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=db.metadata, compare_type=True, render_item=render_type)

with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        connection.execute(text("SET LOCAL statement_timeout = '10min'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(20260302)"))  # concurrent upgrades wait
    context.run_migrations()
