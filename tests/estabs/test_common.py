"""The list of common passwords, and passwords of neighbouring keys."""

import pytest

from idp.estabs import common_passwords


def test_the_list_has_3000_passwords_or_more_all_of_12_characters_or_more_in_lower_case():
    assert len(common_passwords.common_passwords()) >= 3000
    assert all(len(password) >= 12 for password in common_passwords.common_passwords())
    assert all(password == password.casefold() for password in common_passwords.common_passwords())


def test_no_common_word_suffix_or_phrase_is_listed_twice():
    for words in (common_passwords.COMMON_WORDS, common_passwords.COMMON_SUFFIXES, common_passwords.COMMON_PHRASES):
        assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("qwer", 4),
        ("xqwertyx", 6),
        ("rewq", 4),
        ("1234", 4),
        ("9876", 4),
        ("zxcvbn", 6),
        ("abcd", 4),
        ("1qaz2wsx", 8),
        ("aaaa", 4),
        ("xyxyxy", 6),
        ("abc", 0),
        ("tree", 0),
        ("were", 0),
        ("kettle", 0),
        ("aabb", 0),
        ("", 0),
    ],
)
def test_runs_of_neighbouring_keys_and_repetitions_are_found_but_not_words(text, covered):
    assert len({place for run in common_passwords.runs(text) for place in run}) == covered
