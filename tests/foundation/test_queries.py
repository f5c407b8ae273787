"""Queries whose rows are named tuples: columns and fields are compared when the module is imported."""

from typing import NamedTuple

import pytest
from sqlalchemy import bindparam, select

from idp.estabs.models import Estab
from idp.foundation.queries import Query
from tests.factories import an_estab

TABLE = Estab.__table__


class Row(NamedTuple):
    id: str
    state: str


class Misspelt(NamedTuple):
    id: str
    sate: str


class NeverNull(NamedTuple):
    id: str
    mis: str


QUERY = Query(
    Row, select(TABLE.c.id, TABLE.c.state).where(TABLE.c.state == bindparam("wanted_state")).order_by(TABLE.c.id)
)


def test_a_query_returns_rows_of_its_type(transaction):
    with transaction():
        estabs = [an_estab(), an_estab()]
        ids = sorted(estab.id for estab in estabs)

        assert QUERY.all(wanted_state=estabs[0].state) == [Row(id_, estabs[0].state) for id_ in ids]
        assert QUERY.one(wanted_state="closed") is None


def test_a_misspelt_field_is_an_error_at_import():
    with pytest.raises(TypeError, match="sate"):
        Query(Misspelt, select(TABLE.c.id, TABLE.c.state))


def test_a_column_that_may_be_null_needs_an_optional_field_or_a_condition():
    query = select(TABLE.c.id, TABLE.c.mis)

    with pytest.raises(TypeError, match="may be NULL"):
        Query(NeverNull, query)
    assert Query(NeverNull, query.where(TABLE.c.mis.is_not(None)), not_null=frozenset({"mis"}))
