"""Words of names and towns: folding, permitted edits and trigrams."""

import pytest
from hypothesis import given, strategies as st

from idp.schools import words

PARTS = (
    "the",
    "st",
    "c",
    "e",
    "r",
    "roman",
    "catholic",
    "church",
    "of",
    "england",
    "co",
    "cof",
    "ce",
    "rc",
    "hs",
    "jmi",
)


@pytest.mark.parametrize(
    ("typed", "folded"),
    [
        ("St. Mary's C of E Sch", "saint marys cofe school"),
        ("Saint Mary’s Church of England School", "saint marys cofe school"),
        ("ST MARYS C.E. SCHOOL", "saint marys cofe school"),
        ("St Joseph's R.C. Pri", "saint josephs catholic primary"),
        ("St Joseph's Roman Catholic Primary", "saint josephs catholic primary"),
        ("SS Peter & Paul", "saint peter and paul"),
        ("Barrow-in-Furness", "barrow in furness"),
        ("The Oaks Acad", "oaks academy"),
        ("Voilà Côté 360°", "voila cote 360"),
        ("Hill HS", "hill high school"),
        ("Dell Inf and Jnr", "dell infant and junior"),
        ("The", "the"),
        ("(", ""),
    ],
)
def test_fold_makes_different_spellings_equal(typed, folded):
    assert words.fold(typed) == folded


@given(st.text(max_size=60))
def test_folding_text_twice_changes_nothing_more(text):
    once = words.fold(text)

    assert words.fold(once) == once


@given(st.lists(st.sampled_from(PARTS), max_size=9))
def test_folding_abbreviations_twice_changes_nothing_more(parts):
    once = words.fold(" ".join(parts))

    assert words.fold(once) == once


def test_short_words_and_numbers_must_match_exactly():
    assert [words.max_edits(word) for word in ("a", "st", "oak", "leeds", "school", "1st", "2079")] == [
        0, 0, 1, 1, 2, 0, 0,
    ]  # fmt: skip


def test_trigrams_mark_where_a_word_begins_and_ends():
    assert words.trigrams("oak") == {"  o", " oa", "oak", "ak "}
