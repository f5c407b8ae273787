"""Successors of closed schools."""

from datetime import UTC, date, datetime, timedelta

import pytest

from idp.foundation import clock as clocks
from idp.schools import search, succession
from idp.schools.models import SchoolLink
from tests.factories import a_school


@pytest.fixture
def successor_names(register, transaction):
    """`successor_names(name)` is the names of the successors of the closed school of this name."""

    def names(name):
        with transaction():
            result = next(result for result in search.find(name).results if result.school.name == name)
            return [step.name for step in result.successors]

    return names


@pytest.mark.parametrize(
    ("closed", "successors"),
    [
        ("Birch Green Primary School", ["Birch Green Academy"]),
        ("Chain Lane Infant School", ["Chain Lane Primary Academy"]),
        ("Chain Lane First School", ["Chain Lane Primary Academy"]),
        ("Chain Lane Primary School", ["Chain Lane Primary Academy"]),  # known only as its successor's predecessor
        ("Great Divide School", ["Great Divide East Academy", "Great Divide West Academy"]),
        ("Confluence North Infant School", ["Confluence Primary School"]),
        ("Absorbed Lane School", ["Greater Absorption Academy"]),
        ("Ouroboros Lower School", []),
        ("Gone Before Primary School", ["Never Listed Academy"]),
        ("Early Bird School", ["Early Bird Academy"]),
        ("Last Bell School", []),
    ],
)
def test_the_successors_of_a_closed_school_are_found_over_several_links(successor_names, closed, successors):
    assert successor_names(closed) == successors


def steps_of(name):
    return next(result.successors for result in search.find(name).results if result.school.name == name)


def test_only_an_open_successor_can_be_chosen(register, transaction):
    with transaction():
        (birch,), (early,), (never,) = map(
            steps_of, ("Birch Green Primary School", "Early Bird School", "Gone Before Primary School")
        )

        assert (birch.can_be_chosen, birch.lies_ahead) == (True, False)
        assert (early.can_be_chosen, early.lies_ahead) == (False, True)
        assert (never.can_be_chosen, never.school, never.name) == (False, None, "Never Listed Academy")


def link(closed, successor, since=None):
    return SchoolLink(
        from_urn=closed.register_id, to_urn=successor.register_id, kind="Successor", is_succession=True,
        name=successor.name, since=since,
    )  # fmt: skip


def test_the_successor_by_a_future_link_is_named_but_cannot_be_chosen(transaction, clock):
    with transaction() as database:
        old, middle, new = a_school(status_code="2"), a_school(status_code="2"), a_school()
        database.add_all([link(old, middle, clock.now().date() + timedelta(days=30)), link(middle, new)])
        database.flush()

        (step,) = succession.successors([old.register_id])[old.register_id]

        assert (step.school, step.lies_ahead, step.can_be_chosen) == (middle, True, False)


def test_a_link_of_today_is_followed(transaction, clock):
    with transaction() as database:
        old, new = a_school(status_code="2"), a_school()
        database.add(link(old, new, clock.now().date()))
        database.flush()

        (step,) = search.successors(old)

        assert (step.school, step.can_be_chosen) == (new, True)


def test_a_new_day_begins_at_a_british_midnight(transaction):
    with transaction() as database:
        old, new = a_school(status_code="2"), a_school()
        database.add(link(old, new, date(2026, 9, 1)))
    with clocks.fixed(datetime(2026, 8, 31, 22, 59, tzinfo=UTC)), transaction():
        assert succession.successors([old.register_id])[old.register_id][0].lies_ahead
    with clocks.fixed(datetime(2026, 8, 31, 23, 1, tzinfo=UTC)), transaction():
        assert not succession.successors([old.register_id])[old.register_id][0].lies_ahead


def test_a_school_that_left_the_register_is_no_successor(transaction, clock):
    with transaction() as database:
        old, gone = a_school(status_code="2"), a_school(left_register_on=clock.now().date())
        database.add(link(old, gone))
        database.flush()

        (step,) = search.successors(old)

        assert (step.school, step.can_be_chosen) == (None, False)


def test_a_school_of_another_register_has_no_successors(transaction):
    with transaction():
        assert search.successors(a_school(register="scotland", status_code="2")) == ()


def test_the_successors_of_forty_schools_take_at_most_six_queries(register, transaction, record_statements):
    urns = [str(urn) for urn in range(900_100, 900_140)]
    with transaction(), record_statements() as statements:
        succession.successors(urns)

    assert len(statements) <= 6
