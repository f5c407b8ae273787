"""A person's link: once, in time, the newest, for its purpose and for nobody else."""

from datetime import timedelta

import pytest

from idp.estabs import links
from tests.factories import an_administrator

DAY = timedelta(days=1)


def refused(secret, purpose="welcome"):
    try:
        links.check(secret, purpose)
    except links.LinkRefused as why:
        return why.code
    return None


@pytest.fixture
def secret(work, clock):
    with work():
        return links.issue("adm_jo", "welcome", DAY)


def test_looking_spends_nothing(work, secret):
    for _ in range(3):
        with work():
            assert links.check(secret, "welcome").person_id == "adm_jo"


def test_it_is_spent_once_however_often_it_is_pressed(at_once, secret):
    outcomes = at_once(8, lambda: links.spend(secret, "welcome", "adm_jo"))

    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, links.LinkUsed) for outcome in outcomes) == 7


def test_a_link_that_cannot_be_used_says_which_it_is(work, secret, clock):
    with work():
        newer = links.issue("adm_jo", "welcome", DAY)
        used = links.issue("adm_al", "welcome", DAY)
    with work():
        links.spend(used, "welcome", "adm_al")
    with work():
        assert refused(secret) == "link_superseded"
        assert refused(used) == "link_used"
        assert refused(newer) is None
        assert refused("x" * 43) == "link_unknown"
        assert refused(newer, "operator_set_up") == "link_unknown"
        clock.move(DAY)
        assert refused(newer) == "link_expired"


def test_a_link_is_good_for_nobody_else(work, secret):
    with pytest.raises(links.LinkUnknown), work():
        links.spend(secret, "welcome", "adm_al")
    with work():
        assert refused(secret) is None


def test_the_secret_is_not_in_the_database(work, secret):
    from sqlalchemy import select

    from idp.estabs.models import PersonalSecret
    from idp.foundation import crypto

    with work() as session:
        kept = session.scalars(select(PersonalSecret)).one()
        assert kept.digest == crypto.digest(secret)
        assert secret not in (kept.person_id, kept.value, kept.purpose)


def test_a_welcome_is_a_link_of_ours(work):
    with work():
        person = an_administrator()
        address = links.issue_welcome_url(person)

        assert address.startswith("http://localhost:5000/welcome/")
        assert links.check(address.rsplit("/", 1)[1], "welcome").person_id == person.id
