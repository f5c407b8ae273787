"""Rename the scope `groups` to `classes`: generic software requests a scope `groups` to learn a person's roles.

Agreements, registrations of clients and pending requests have the new name. Access tokens cannot be changed: those
already issued, valid for ten minutes at most, lack this data until they are refreshed. The audit log keeps the name
that was used at the time.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

OLD, NEW = "groups", "classes"
SCOPE_COLUMNS = {
    "authorisations": ("scopes", "offered"),
    "clients": ("required_scopes", "optional_scopes", "resource_scopes"),
    "codes": ("scopes",),
    "device_codes": ("scopes",),
    "initial_access_tokens": ("required_scopes", "optional_scopes"),
    "refresh_families": ("scopes",),
    "sharing_decisions": ("scopes",),
}


def upgrade() -> None:
    connection = op.get_bind()
    for name, columns in SCOPE_COLUMNS.items():
        for column in columns:
            _rename(connection, name, column)
    _rename_in_requests(connection)


def _rename(connection: sa.Connection, name: str, column: str) -> None:
    """Rename it in each set of scopes, written as `foundation.database.WordSet` does: sorted, with single spaces."""
    table = sa.table(name, sa.column(column, sa.Text()), sa.column("version", sa.Integer()))
    scopes = table.c[column]
    old_values = connection.scalars(sa.select(scopes).distinct().where((" " + scopes + " ").like(f"% {OLD} %"))).all()
    for old in old_values:
        values: dict[str, object] = {column: " ".join(sorted({NEW if word == OLD else word for word in old.split()}))}
        if name == "clients":  # running processes reload the client
            values["version"] = table.c.version + 1
        connection.execute(sa.update(table).where(scopes == old).values(values))


def _rename_in_requests(connection: sa.Connection) -> None:
    """Rename it in the `scope` parameter of pending requests, which are stored for two hours."""
    table = sa.table("authorization_requests", sa.column("digest"), sa.column("params", sa.JSON()))
    mentions_it = sa.cast(table.c.params, sa.Text()).like(f"%{OLD}%")
    for digest, params in connection.execute(sa.select(table.c.digest, table.c.params).where(mentions_it)).all():
        scope = params["values"].get("scope", "")
        changed = " ".join(NEW if word == OLD else word for word in scope.split(" "))
        if changed != scope:
            values = {**params, "values": {**params["values"], "scope": changed}}
            connection.execute(sa.update(table).where(table.c.digest == digest).values(params=values))
