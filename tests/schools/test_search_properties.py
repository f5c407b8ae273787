"""Properties of the search, for every school of the sample and any query. The register is imported once."""

import pytest
from hypothesis import given, settings, strategies as st

from idp.foundation.web import transactions
from idp.schools import files, refresh, search, words
from tests.schools.conftest import SAMPLE, rows_of

OPEN = [row for row in rows_of(SAMPLE) if row["EstablishmentStatus (code)"] in {"1", "3"}]
QUERIES = ("st", "the", "hs", "c", "of", "e", "rc", "pri", "oak", "s", "leeds", "b7", "312", "'%_\\", "school")


@pytest.fixture(scope="module", autouse=True)
def import_sample(session_app, databases):
    """Import the sample once for all tests of the file."""
    databases.restore(session_app)
    with transactions.transaction(session_app), files.open_sources(SAMPLE) as sources:
        refresh.run(sources)
    with transactions.transaction(session_app):
        yield


def test_every_open_school_is_found_by_each_of_its_numbers_and_names():
    for row in OPEN:
        name, number = row["EstablishmentName"], row["EstablishmentNumber"]
        typed = [row["URN"], name, name.replace("'", "").replace("’", ""), f"{name} {row['Town']}", row["Postcode"]]
        if number and row["LA (code)"] != "0":
            typed.append(f"{row['LA (code)']}/{number}")
        if row["Postcode"]:
            typed.append(row["Postcode"].split()[0] + " ")
        for text in filter(None, typed):
            register_ids = {result.school.register_id for result in search.find(text, show=200).results}
            assert row["URN"] in register_ids, (text, row["URN"])


def test_a_name_with_two_letters_swapped_finds_its_school():
    missed = []
    for row in OPEN:
        longest = max(words.normalise(row["EstablishmentName"]).split(), key=len)
        if len(longest) > 4:
            swapped = longest[:2] + longest[3] + longest[2] + longest[4:]
            typed = words.normalise(row["EstablishmentName"]).replace(longest, swapped, 1)
            if row["URN"] not in {result.school.register_id for result in search.find(typed, show=200).results}:
                missed.append((typed, row["EstablishmentName"]))

    assert len(missed) <= 0.03 * len(OPEN), missed


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80))
def test_a_search_for_any_text_returns_a_result(text):
    assert isinstance(search.find(text), search.SearchResult)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(QUERIES), max_size=14))
def test_a_search_for_any_words_returns_a_result(parts):
    assert isinstance(search.find(" ".join(parts)), search.SearchResult)
