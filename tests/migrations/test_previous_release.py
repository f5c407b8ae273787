"""A migration leaves the previous release running: machines are updated one by one, on one database (security.md §1).

The release before a migration reads and writes the columns that it knows, and leaves out those that it does not know.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Column, Integer, MetaData, String, Table, create_engine, inspect
from sqlalchemy.pool import NullPool

from idp import migrations


class Schema(NamedTuple):
    """What the statements of a release depend on."""

    columns: dict[str, dict[str, Any]]
    """By `table.column`."""
    constraints: dict[str, frozenset[str]]
    """What refuses rows, with the columns (`table.column`) that it is about."""


def read_schema(connection):
    inspector = inspect(connection)
    columns, constraints = dict[str, dict[str, Any]](), dict[str, frozenset[str]]()
    for table in inspector.get_table_names():
        columns |= {f"{table}.{column['name']}": dict(column) for column in inspector.get_columns(table)}
        unique = [*inspector.get_unique_constraints(table), *inspector.get_indexes(table)]
        about = {
            "unique": [row["column_names"] for row in unique if row.get("unique", True)],
            "foreign key": [key["constrained_columns"] for key in inspector.get_foreign_keys(table)],
        }
        for kind, lists in about.items():
            for names in lists:
                of_table = frozenset(f"{table}.{name}" for name in names)
                constraints[f"{kind} of {', '.join(sorted(of_table))}"] = of_table
        for check in inspector.get_check_constraints(table):
            words = {f"{table}.{word}" for word in re.findall(r"\w+", check["sqltext"])}
            constraints[f"check of {table}: {check['sqltext']}"] = frozenset(words & columns.keys())
    return Schema(columns, constraints)


def find_breakages(before: Schema, after: Schema) -> Iterator[str]:
    """What a release that knows the schema `before` can no longer do."""
    tables = {name.partition(".")[0] for name in before.columns}
    for name, column in before.columns.items():
        if (now := after.columns.get(name)) is None:
            yield f"{name} is gone"
        elif str(now["type"]) != str(column["type"]):
            yield f"{name} was {column['type']} and is {now['type']}"
        elif column["nullable"] and not now["nullable"]:
            yield f"{name} may no longer be null"
        elif column["default"] and not now["default"] and not now["nullable"]:
            yield f"{name} has no default any more"
    for name, column in after.columns.items():
        is_added = name not in before.columns and name.partition(".")[0] in tables
        if is_added and not column["nullable"] and not column["default"]:
            yield f"{name} is new and must be given"
    for text, columns in after.constraints.items():
        if text not in before.constraints and columns <= before.columns.keys():  # not about a new column or table
            yield f"new {text}"


@pytest.fixture
def connection(databases):
    """A connection to an empty database."""
    engine = create_engine(databases.new("revisions"), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def test_no_migration_takes_anything_from_the_release_before(connection, also_on_postgresql):
    config = migrations._config(connection)
    schemas = {}
    for script in reversed(list(ScriptDirectory.from_config(config).walk_revisions())):
        command.upgrade(config, script.revision)
        connection.commit()
        schemas[script.revision] = read_schema(connection)

    assert list(schemas)[-1] == migrations.head()
    found = {
        revision: breakages
        for (_, before), (revision, after) in pairwise(schemas.items())
        if (breakages := list(find_breakages(before, after)))
    }
    assert found == {}


def schema_of(connection, *parts):
    """The schema of a database with one table of these parts, besides its key."""
    metadata = MetaData()
    Table("things", metadata, Column("id", Integer, primary_key=True), *parts)
    metadata.create_all(connection)
    schema = read_schema(connection)
    metadata.drop_all(connection)
    return schema


@pytest.mark.parametrize(
    ("parts", "breakage"),
    [
        ([], "things.name is gone"),
        ([Column("name", Integer)], "things.name was VARCHAR and is INTEGER"),
        ([Column("name", String, nullable=False)], "things.name may no longer be null"),
        ([Column("name", String, unique=True)], "new unique of things.name"),
        (
            [Column("name", String), Column("other", String, nullable=False)],
            "things.other is new and must be given",
        ),
        ([Column("name", String), CheckConstraint("name <> ''")], "new check of things: name <> ''"),
    ],
)
def test_what_would_break_the_release_before_is_found(parts, breakage):
    with create_engine("sqlite://").connect() as connection:
        before, after = schema_of(connection, Column("name", String)), schema_of(connection, *parts)
    assert list(find_breakages(before, after)) == [breakage]


def test_what_only_adds_breaks_nothing():
    with create_engine("sqlite://").connect() as connection:
        before = schema_of(connection, Column("name", String))
        after = schema_of(
            connection, Column("name", String), Column("other", String, unique=True),
            Column("third", String, nullable=False, server_default=""),
        )  # fmt: skip
    assert list(find_breakages(before, after)) == []
