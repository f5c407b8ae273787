"""A link of a mail works once, until it expires or is replaced, for one purpose and one person."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.estabs import links
from idp.estabs.models import PersonalSecret
from idp.foundation import crypto
from tests.factories import an_administrator

DAY = timedelta(days=1)


def refusal_code(secret, purpose="welcome"):
    """The code of the error that a check of the link raises, or None."""
    try:
        links.check(secret, purpose)
    except links.LinkRefused as refused:
        return refused.code
    return None


def row(session, secret):
    return session.get(PersonalSecret, crypto.digest(secret), populate_existing=True)


@pytest.fixture
def secret(transaction, clock):
    with transaction():
        return links.issue("adm_jo", "welcome", DAY)


def test_opening_a_link_does_not_use_it_up(transaction, secret):
    for _ in range(3):
        with transaction():
            assert links.check(secret, "welcome").person_id == "adm_jo"


def test_of_eight_uses_of_a_link_at_once_one_succeeds(run_concurrently, secret):
    outcomes = run_concurrently(8, lambda: links.spend(secret, "welcome", "adm_jo"))

    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, links.LinkUsed) for outcome in outcomes) == 7


def test_an_unusable_link_is_reported_as_unknown_used_superseded_or_expired(transaction, secret, clock):
    with transaction():
        newer = links.issue("adm_jo", "welcome", DAY)
        used = links.issue("adm_al", "welcome", DAY)
    with transaction():
        links.spend(used, "welcome", "adm_al")
    with transaction():
        assert refusal_code(secret) == "link_superseded"
        assert refusal_code(used) == "link_used"
        assert refusal_code(newer) is None
        assert refusal_code("x" * 43) == "link_unknown"
        assert refusal_code(newer, "operator_set_up") == "link_unknown"
        clock.move(DAY)
        assert refusal_code(newer) == "link_expired"


def test_a_link_that_was_revoked_without_a_newer_one_does_not_speak_of_one(transaction, secret, clock):
    clock.move(timedelta(minutes=1))
    with transaction():
        links.supersede("adm_jo", "welcome")
        links.issue("adm_jo", "set_up", DAY)
        links.issue("adm_al", "welcome", DAY)
    with transaction():
        assert refusal_code(secret) == "link_revoked"
    clock.move(timedelta(minutes=1))
    with transaction():
        newest = links.issue("adm_jo", "welcome", DAY)
    with transaction():
        assert refusal_code(secret) == "link_superseded"
        links.supersede_since("adm_jo", clock.now())
        assert refusal_code(newest) == "link_revoked"


def test_a_link_works_for_its_own_person_only(transaction, secret):
    with pytest.raises(links.LinkUnknown), transaction():
        links.spend(secret, "welcome", "adm_al")
    with transaction():
        assert refusal_code(secret) is None


def test_a_newer_link_replaces_those_of_this_person_and_purpose_that_still_work(transaction, secret, clock):
    with transaction():
        others = [(links.issue("adm_al", "welcome", DAY), "welcome"), (links.issue("adm_jo", "set_up", DAY), "set_up")]
        used = links.issue("adm_jo", "used_once", DAY)
    with transaction():
        links.spend(used, "used_once", "adm_jo")
    began = clock.now()
    for _ in range(2):
        clock.move(timedelta(minutes=1))
        with transaction():
            links.supersede("adm_jo", "welcome")
            links.supersede("adm_jo", "used_once")

    with transaction() as session:
        assert [refusal_code(other, purpose) for other, purpose in others] == [None, None]
        assert row(session, secret).superseded_at == began + timedelta(minutes=1), "when it was first replaced"
        assert row(session, used).superseded_at is None


def test_the_value_of_a_link_is_set_once_and_erased_with_those_of_the_same_person(transaction, secret):
    with transaction():
        jos_second, als = links.issue("adm_jo", "set_up", DAY), links.issue("adm_al", "welcome", DAY)
    with transaction() as session:
        for value in ("first", "second"):
            links.set_value(row(session, secret), value)
            assert row(session, secret).value == "first"
        assert [row(session, link).value for link in (jos_second, als)] == [None, None]
        links.set_value(row(session, als), "Al's")
        links.erase_values("adm_jo")
        session.expire_all()
        assert [row(session, link).value for link in (secret, als)] == [None, "Al's"]


def test_the_limit_of_welcome_links_counts_those_of_one_person_only(transaction, outbox, clock):
    with transaction():
        person = an_administrator(password_hash=None)
        person_id, email = person.id, person.email
        secret = links.issue(person_id, links.WELCOME, DAY)
        for _ in range(links.MAX_WELCOME_LINKS_PER_HOUR):
            links.issue("adm_al", links.WELCOME, DAY)
            links.issue(person_id, "of_another_purpose", DAY)
    with transaction():
        links.resend_welcome(secret)

    assert [message.to for message in outbox.all("welcome_link")] == [email]


def test_the_secret_is_not_in_the_database(transaction, secret):
    with transaction() as session:
        row = session.scalars(select(PersonalSecret)).one()
        assert row.digest == crypto.digest(secret)
        assert secret not in (row.person_id, row.value, row.purpose)


def test_a_welcome_link_points_to_our_host(transaction):
    with transaction():
        person = an_administrator()
        url = links.issue_welcome_url(person)

        assert url.startswith("http://localhost:5000/welcome/")
        assert links.check(url.rsplit("/", 1)[1], "welcome").person_id == person.id
