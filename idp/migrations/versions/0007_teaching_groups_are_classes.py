"""The scope `groups` is called `classes`: generic software asks for one called `groups` to learn a person's roles.

What schools agreed to, what clients are registered for, and what is under way goes on under the new name. Access
tokens cannot be changed: those that are out, for ten minutes at most, do without the area until they are refreshed.
The audit log keeps the name that was used then.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

OLD, NEW = "groups", "classes"
SETS = {
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
    for name, columns in SETS.items():
        for column in columns:
            _rename(connection, name, column)
    _rename_in_requests(connection)


def _rename(connection: sa.Connection, name: str, column: str) -> None:
    """Each set that has the old name, written as `foundation.database.Words` does: sorted, with single spaces."""
    table = sa.table(name, sa.column(column, sa.Text()), sa.column("version", sa.Integer()))
    words = table.c[column]
    found = connection.scalars(sa.select(words).distinct().where((" " + words + " ").like(f"% {OLD} %"))).all()
    for old in found:
        values: dict[str, object] = {column: " ".join(sorted({NEW if word == OLD else word for word in old.split()}))}
        if name == "clients":  # running processes drop what they remember of it
            values["version"] = table.c.version + 1
        connection.execute(sa.update(table).where(words == old).values(values))


def _rename_in_requests(connection: sa.Connection) -> None:
    """Kept requests, which live for two hours: the `scope` parameter as it was sent."""
    table = sa.table("authorization_requests", sa.column("digest"), sa.column("params", sa.JSON()))
    is_meant = sa.cast(table.c.params, sa.Text()).like(f"%{OLD}%")
    for digest, params in connection.execute(sa.select(table.c.digest, table.c.params).where(is_meant)).all():
        scope = params["values"].get("scope", "")
        changed = " ".join(NEW if word == OLD else word for word in scope.split(" "))
        if changed != scope:
            values = {**params, "values": {**params["values"], "scope": changed}}
            connection.execute(sa.update(table).where(table.c.digest == digest).values(params=values))
