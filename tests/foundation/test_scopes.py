"""Scopes: parsing and formatting of the `scope` parameter, and the catalogue."""

import pytest
from hypothesis import given, strategies as st

from idp.foundation import scopes

NAMES = sorted(scopes.catalogue())


@given(st.frozensets(st.sampled_from(NAMES)))
def test_formatting_and_parsing_are_opposites(wanted):
    assert scopes.parse(scopes.format(wanted)) == wanted


@given(st.text())
def test_any_text_is_a_set_of_known_scopes_or_refused(text):
    try:
        parsed = scopes.parse(text)
    except scopes.UnknownScope:
        return
    assert parsed <= scopes.catalogue().keys()


@pytest.mark.parametrize("text", ["openid nonsense", "OPENID", 'open"id', "openid\nprofile", "x" * 3000, "openid\té"])
def test_an_unknown_or_malformed_scope_is_refused(text):
    with pytest.raises(scopes.UnknownScope):
        scopes.parse(text)


def test_no_scope_is_an_empty_set():
    assert scopes.parse(None) == scopes.parse("") == frozenset()


def test_the_catalogue_marks_special_category_data():
    marked = {name for name, scope in scopes.catalogue().items() if scope.special_category}

    assert marked == {"students.demographics", "students.sen", "students.medical"}


def test_every_scope_has_an_explanation_without_technical_words():
    for scope in scopes.catalogue().values():
        assert scope.title
        assert scope.explanation.endswith(".")
        assert scope.fields or scope.kind != "data"
        assert not {"scope", "OAuth", "client", "token"} & set(scope.explanation.split())


def test_titles_of_a_scope_have_their_members():
    students = scopes.catalogue()["students"].fields

    assert list(students)[:2] == ["Legal and preferred name", "Date of birth"]
    assert students["Year and registration group"] == ("students.year_group", "students.registration_group")


SCOPE_TOML = '[scope.{name}]\nkind = "data"\ntitle = "T"\nexplanation = "E."\n[scope.{name}.fields]\n{fields}\n'


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        (SCOPE_TOML.format(name="a", fields='X = ["s.x"]\nY = ["s.x"]'), "a: s.x is named already, by a"),
        (
            SCOPE_TOML.format(name="a", fields='X = ["s.x"]') + SCOPE_TOML.format(name="b", fields='X = ["s.x"]'),
            "named already, by a",
        ),
        (SCOPE_TOML.format(name="a", fields="X = []"), "must name its members"),
        (SCOPE_TOML.format(name="a", fields='X = ["x"]'), "collection.member"),
        ('[scope.a]\nkind = "data"\ntitle = "T"\nexplanation = "E."\nfields = ["X"]', "must name its members"),
    ],
)
def test_a_catalogue_that_does_not_give_each_member_one_scope_is_refused(toml, problem):
    with pytest.raises(scopes.InvalidCatalogue, match=problem):
        scopes.read_catalogue(toml)


def test_the_scope_endpoint_is_not_about_data_and_is_registered_by_our_staff_only():
    assert scopes.filter_by_kind("endpoint", NAMES) == {"endpoint"}
    assert "endpoint" not in scopes.filter_by_kind("data", NAMES) | scopes.filter_by_kind("identity", NAMES)
    assert scopes.operators_only(NAMES) == {"endpoint", "reads.report"}
