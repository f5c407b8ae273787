"""Generated passphrases: their words, and the ways in which people type them."""

import re
from math import log2

import pytest
from hypothesis import given, strategies as st

from idp.estabs import credentials, passphrases
from idp.estabs.models import Administrator
from idp.foundation import runtime
from tests.factories import an_administrator
from tests.signin.person import Person

AMERICAN = re.compile(
    "[^srp]ize$|[^se]iz(er|ing|ed)$|yz(e|ing)$|colored|flavor|favor|harbor|^gray$|plow|mold|sulf|theater|"
    "(lo|ci|no)meter$|fense$|catalog|pajama|mom$"
)
"""Patterns of American spelling; not all of them."""

GENERATED = "kettle-wobbly-dusk-otter-juggle-plum"


def test_passphrases_are_six_words_of_the_list(app):
    with app.app_context():
        words = passphrases.word_list()
        assert len(words) == len(set(words))
        for _ in range(50):
            passphrase = passphrases.generate()
            assert len(passphrase.split("-")) == passphrases.WORD_COUNT
            assert set(passphrase.split("-")) <= set(words)
            assert credentials.rejection_reason(passphrase) is None
        assert len({passphrases.generate() for _ in range(50)}) == 50


def test_passphrases_have_77_bits_of_entropy():
    assert passphrases.WORD_COUNT * log2(len(passphrases.word_list())) > 77


def test_generated_passphrases_begin_with_different_words():
    assert len({passphrases.generate().split("-")[0] for _ in range(400)}) > 350


def test_the_words_are_plain_and_british():
    words = passphrases.word_list()

    assert [word for word in words if not re.fullmatch("[a-z]{3,9}", word)] == []
    assert [word for word in words if AMERICAN.search(word)] == []


@pytest.mark.parametrize(
    "typed",
    [
        GENERATED, GENERATED.replace("-", " "), "Kettle Wobbly Dusk Otter Juggle Plum",
        "KETTLE-WOBBLY-DUSK-OTTER-JUGGLE-PLUM",
        f"  {GENERATED}\t", "kettle - wobbly - dusk - otter - juggle - plum", GENERATED.replace("-", "\u2013"),
        GENERATED.replace("-", "\u00a0"),
    ],
)  # fmt: skip
def test_a_generated_passphrase_is_accepted_with_other_separators_and_capitals(web, transaction, typed):
    with transaction() as session:
        person = an_administrator(password=GENERATED)
        session.get_one(Administrator, person.id).password_is_ours = True
        username = person.username

    assert Person(web).sign_in(username, typed).status_code == 303


@pytest.mark.parametrize(
    "typed", ["kettlewobblyduskotterjuggleplum", "kettle wobbly dusk otter juggle", f"{GENERATED}s"]
)
def test_other_words_are_still_wrong(web, transaction, typed):
    with transaction() as session:
        person = an_administrator(password=GENERATED)
        session.get_one(Administrator, person.id).password_is_ours = True
        username = person.username

    assert Person(web).sign_in(username, typed).status_code == 422


@pytest.mark.parametrize("own", ["Kettle Wobbly Dusk Otter Juggle Plum", GENERATED])
@pytest.mark.parametrize("typed", ["kettle wobbly dusk otter juggle plum", f" {GENERATED}", GENERATED.title()])
def test_a_password_of_ones_own_is_compared_as_it_was_typed(web, transaction, own, typed):
    with transaction():
        username = an_administrator(password=own).username

    assert Person(web).sign_in(username, typed).status_code == 422
    assert Person(web).sign_in(username, own).status_code == 303


def test_a_password_of_ones_own_is_not_marked_as_generated(transaction):
    with transaction():
        person = an_administrator()
        credentials.set_hash(person, "one", by=person.id, is_generated=True)
        assert person.password_is_ours
        credentials.set_hash(person, "another", by=person.id)
        assert not person.password_is_ours


@pytest.mark.parametrize("typed", [GENERATED, GENERATED.replace("-", " ").title(), "wrong"])
def test_comparing_a_generated_password_costs_one_hash(app, web, transaction, typed):
    with transaction() as session:
        person = an_administrator(password=GENERATED)
        session.get_one(Administrator, person.id).password_is_ours = True
        username = person.username
    before = runtime.for_app(app).passwords.hashed

    Person(web).sign_in(username, typed)

    assert runtime.for_app(app).passwords.hashed == before + 1


@given(
    st.lists(st.sampled_from(["kettle", "dusk", "plum"]), min_size=1, max_size=6), st.sampled_from([" ", "-", " - "])
)
def test_normalising_a_passphrase_twice_changes_nothing_more(words, between):
    folded = passphrases.normalise(between.join(words))

    assert folded == passphrases.normalise(folded) == "-".join(words)
