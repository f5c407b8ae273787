"""Which chosen passwords are refused, and why; and setting a password."""

from datetime import timedelta

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st
from sqlalchemy import select

from idp.audit.models import Entry
from idp.estabs import common_passwords, credentials
from idp.foundation.database import session
from tests.factories import a_school, an_administrator, an_estab

GOOD_PASSWORD = "wobbly kettle sings at dusk"


def reason(password, public_facts=()):
    """Why the password is refused, or "it is good"."""
    return credentials.rejection_reason(password, public_facts) or "it is good"


@pytest.fixture
def app_context(app):
    with app.app_context():
        yield


@pytest.fixture(scope="module")
def public_facts():
    """Public facts about Jo Bloggs of St Mary's."""
    return (
        "Jo Bloggs",
        "jo.bloggs",
        "stmarys",
        "example",
        "3124567",
        "St Mary's Church of England Primary School",
        "Uxbridge",
        "UB8 1AB",
        "900123",
        "Assembly",
    )


def test_twelve_characters_are_enough_and_eleven_are_not(app_context):
    assert credentials.rejection_reason("qvxzkwjphbnm") is None
    assert reason("qvxzkwjphbn").startswith("Use at least 12 characters.")


def test_256_characters_are_taken_and_one_more_is_not(app_context):
    words = "wobbly kettle sings at dusk under pale umbrella while forty-one quiet badgers count turnips "
    longest = (words * 3)[:256]

    assert credentials.rejection_reason(longest) is None
    assert reason(longest + "x") == "Use at most 256 characters."


def test_eight_characters_besides_known_words_are_enough_and_seven_are_not(app_context):
    assert credentials.rejection_reason("oakhill-qvxzkwjp", ("Oakhill",)) is None
    assert reason("oakhill-qvxzkwj", ("Oakhill",)).startswith("Too much of this password")


@pytest.mark.parametrize(
    "password",
    [
        GOOD_PASSWORD,
        "Wobbly-Kettle-7",
        "ünïcödé ist auch gut",
        "mm7 kd!0x qq;z4",
        "日本語のパスワードは長い",
        " leading and trailing ",
        "wobblykettles" * 2,
    ],
)
def test_strong_passwords_are_accepted(app_context, public_facts, password):
    assert credentials.rejection_reason(password, public_facts) is None


@pytest.mark.parametrize("password", ["", "elevenchars", "kettle"])
def test_short_passwords_are_refused(app_context, password):
    assert "at least 12" in reason(password)


def test_passwords_longer_than_the_hash_limit_are_refused(app_context):
    assert credentials.rejection_reason("kettle drums at dusk " * 12) is None
    assert "at most 256" in reason("kettle drums at dusk " * 13)


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "Password 1234",
        "P@ssw0rd12345",
        "PASSWORD-PASSWORD",
        "iloveyouforever",
        "manchester-united",
        "1q2w3e4r5t6y",
        "correct horse battery staple",
        "Summer2024!!!",
        "*** 2026 Password 99 ***",
        "letmein12345",
    ],
)
def test_common_passwords_are_refused(app_context, password):
    assert "Very many people" in reason(password)


@pytest.mark.parametrize(
    "password",
    [
        "St Mary's School",
        "stmarysprimary1!",
        "5tM4ry5Primary!!",
        "JoBloggs-UB81AB",
        "jo.bloggs@stmarys",
        "900123-3124567-x",
        "Uxbridge!Uxbridge!",
        "AssemblySchool99",
        "IDaaS-xporter-1a",
        "Bloggs 3124567!!",
        "Jö Blöggs Prïmary",
        "qwertyuiopasdf!1",
        "poiuytrewq7531",
        "S.t. .M.a.r.y.s. .S.c.h.o.o.l",
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "12345678901234",
        "x!x!x!x!x!x!x!x!",
    ],
)
def test_what_can_be_guessed_from_the_school_or_the_keyboard_is_refused(app_context, public_facts, password):
    assert "easy to guess" in reason(password, public_facts)


def test_known_words_with_few_other_letters_are_refused_and_with_enough_accepted(app_context, public_facts):
    assert credentials.rejection_reason("Primary kettle", public_facts)
    assert credentials.rejection_reason("Primary kettle drum", public_facts) is None


@given(st.data())
@hypothesis_settings(max_examples=60)
def test_passwords_made_of_known_words_only_are_refused(session_app, public_facts, data):
    words = data.draw(
        st.lists(st.sampled_from(sorted(credentials._guessable_words(public_facts))), min_size=1, max_size=12)
    )
    case = data.draw(st.sampled_from([str.lower, str.upper, str.title]))
    with session_app.app_context():
        assert credentials.rejection_reason(case("".join(words)), public_facts)


@given(st.text(max_size=300), st.lists(st.text(max_size=20), max_size=4))
@hypothesis_settings(max_examples=150)
def test_a_password_refused_without_public_facts_is_refused_with_them(session_app, password, public_facts):
    with session_app.app_context():
        without_facts = credentials.rejection_reason(password)
        with_facts = credentials.rejection_reason(password, public_facts)

    assert without_facts is None or isinstance(without_facts, str)
    assert with_facts is not None or without_facts is None


@given(st.text(max_size=200))
def test_folding_changes_no_length(text):
    assert len(credentials.fold(text)) == len(text)
    assert len(common_passwords.undo_leetspeak(text)) == len(text)


def test_the_words_about_a_person_are_those_of_their_name_address_and_school(transaction):
    with transaction():
        school = a_school(name="St Mary's", town="Uxbridge", postcode="UB8 1AB", dfe_number="3124567")
        person = an_administrator(an_estab(school), name="Jo Bloggs", email="jo.b@stmarys.example")
        words = credentials.words_about(person)

        assert {"Jo Bloggs", "jo", "b", "stmarys", "3124567", "St Mary's", "Uxbridge", "UB8 1AB"} <= set(words)
        assert school.register_id in words


def test_setting_a_hash_stores_when_and_records_it(transaction, clock):
    with transaction() as database:
        person = an_administrator(password_changed_at=None)
        credentials.set_hash(person, "a-hash", by="cli")

        assert (person.password_hash, person.password_changed_at) == ("a-hash", clock.now())
        entry = database.scalars(select(Entry).where(Entry.event == "password.set")).one()
        assert (entry.actor, entry.subject, entry.estab) == ("cli", person.id, person.memberships[0].estab_id)


def test_a_generated_password_replaces_one_persons_password_as_it_was_set_then(transaction, clock):
    with transaction():
        person, colleague = an_administrator(), an_administrator()
        made_at, before = person.password_changed_at, colleague.password_hash
        clock.move(timedelta(minutes=1))

        assert not credentials.replace_hash(person, "too late", made_at=made_at - timedelta(seconds=1))
        assert credentials.replace_hash(person, "a newer hash", made_at=made_at)
        session().refresh(colleague)

        assert (person.password_hash, person.password_is_ours) == ("a newer hash", True)
        assert person.password_changed_at == clock.now()
        assert (colleague.password_hash, colleague.password_changed_at) == (before, made_at)
