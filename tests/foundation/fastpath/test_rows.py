"""A statement's columns are the fields of its row type: mypy checks who reads them, and the import checks them."""

import re
from datetime import datetime
from typing import Any, NamedTuple, cast

import pytest
from mypy import api as mypy
from sqlalchemy import Table, bindparam, insert, select

from idp.estabs.models import Administrator, Estab
from idp.foundation import database
from idp.foundation.fastpath import rows
from idp.foundation.fastpath.statements import Statement, WriteStatement
from tests.factories import an_administrator, an_estab

PEOPLE, ESTABS = cast("Table", Administrator.__table__), cast("Table", Estab.__table__)

SNIPPET = """
from idp.oidc.tokens import families
from idp.sharing import agreement_state

def misspelt(family: families.Family, row: agreement_state.Row) -> None:
    family.sequence
    family.basis.lineage
    family.sequnce
    family.basis.linage
    family.agreement.until
    row.untill
    found = families._SELECT.one(by_digest=b"")
    found.id
    assert found is not None
    found.revoked
"""


class Person(NamedTuple):
    id: str
    name: str
    removed_at: datetime | None


class Place(NamedTuple):
    estab_id: str
    mis: str | None


class PersonAtPlace(NamedTuple):
    role: str
    person: Person
    place: Place | None


def test_a_misspelt_column_is_rejected_by_mypy(tmp_path):
    (tmp_path / "snippet.py").write_text(SNIPPET, "utf-8")
    report, _, status = mypy.run(["--no-error-summary", str(tmp_path / "snippet.py")])

    assert status == 1
    assert [re.sub("; maybe [^ ]+", "", line.partition(": ")[2]) for line in report.splitlines()] == [
        'error: "Family" has no attribute "sequnce"  [attr-defined]',
        'error: "Basis" has no attribute "linage"  [attr-defined]',
        'error: Item "None" of "Row | None" has no attribute "until"  [union-attr]',
        'error: "Row" has no attribute "untill"  [attr-defined]',
        'error: Item "None" of "Family | None" has no attribute "id"  [union-attr]',
        'error: "Family" has no attribute "revoked"  [attr-defined]',
    ]


@pytest.mark.parametrize("columns", [("id", "name"), ("id", "name", "role"), ("name", "id", "removed_at")])
def test_a_row_type_with_other_fields_than_the_statement_is_refused_naming_both(columns):
    with pytest.raises(
        TypeError, match=r"Person has the fields id, name, removed_at, .* columns " + ", ".join(columns)
    ):
        Statement(Person, select(*(PEOPLE.c[name] for name in columns)))


def test_the_statement_of_a_dialect_is_checked_when_it_is_made(transaction):
    statement = Statement(Person, lambda _dialect: select(PEOPLE.c.id))
    with transaction(), pytest.raises(TypeError, match="Person has the fields"):
        statement.one()


def test_a_field_of_another_type_than_its_column_is_refused():
    with pytest.raises(TypeError, match=r"Person\.name is str, and its column bool"):
        Statement(Person, select(PEOPLE.c.id, PEOPLE.c.password_is_ours.label("name"), PEOPLE.c.removed_at))


def test_a_column_that_may_be_null_needs_a_field_that_may_be_none():
    with pytest.raises(TypeError, match=r"Person\.name is never None"):
        Statement(Person, select(PEOPLE.c.id, PEOPLE.c.password_hash.label("name"), PEOPLE.c.removed_at))


def test_a_write_statement_that_returns_rows_is_refused():
    with pytest.raises(TypeError, match="gives id"):
        WriteStatement(insert(PEOPLE).returning(PEOPLE.c.id))


def test_a_part_is_none_where_the_outer_join_found_nothing(transaction):
    statement = Statement(
        PersonAtPlace,
        select(PEOPLE.c.role, PEOPLE.c.id, PEOPLE.c.name, PEOPLE.c.removed_at, ESTABS.c.estab_id, ESTABS.c.mis)
        .outerjoin(ESTABS, (ESTABS.c.id == PEOPLE.c.estab_id) & (ESTABS.c.estab_id == bindparam("by_estab")))
        .where(PEOPLE.c.id == bindparam("by_id")),
    )
    with transaction():
        estab = an_estab()
        jo = an_administrator(estab)
        database.session().flush()
        person = Person(jo.id, jo.name, None)

        assert statement.one(by_id=jo.id, by_estab=estab.estab_id) == (
            jo.first_role,
            person,
            Place(estab.estab_id, estab.mis),
        )
        assert statement.one(by_id=jo.id, by_estab="another") == (jo.first_role, person, None)


def test_a_row_without_nested_tuples_is_made_by_the_named_tuples_own_method():
    make: Any = rows.maker(Person)
    assert make == Person._make
