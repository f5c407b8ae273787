"""The state of a request: one object for each request, with the parts of other packages."""

from dataclasses import dataclass

import pytest

from idp.foundation import database, request_state


@dataclass(slots=True)
class Counter:
    number: int = 0


@dataclass(slots=True)
class OtherCounter:
    number: int = 0


def test_a_part_is_the_same_object_for_the_whole_request(app):
    with app.app_context():
        request_state.part(Counter).number += 1
        request_state.part(Counter).number += 1

        assert request_state.part(Counter).number == 2


def test_each_class_has_a_part_of_its_own(app):
    with app.app_context():
        request_state.part(Counter).number = 1

        assert request_state.part(OtherCounter).number == 0


def test_the_next_request_has_a_new_state(app):
    with app.app_context():
        request_state.current().keeps_opener = True
        request_state.part(Counter).number = 1

    with app.app_context():
        assert not request_state.current().keeps_opener
        assert request_state.part(Counter).number == 0


def test_work_within_a_request_has_a_connection_and_a_state_of_its_own(app, transaction):
    with app.app_context():
        outer = request_state.current()
        with transaction():
            assert request_state.current() is not outer
            assert database.connection() is not outer.connection

        assert request_state.current() is outer
        assert outer.connection is None


def test_a_field_that_is_not_declared_is_refused(app):
    with app.app_context(), pytest.raises(AttributeError):
        request_state.current().keeps_openers = True  # type: ignore[attr-defined]
