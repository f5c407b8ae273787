"""The state of an agreement, which every refresh, userinfo, introspection and data request reads."""

from datetime import timedelta

import pytest

from idp.estabs.models import Administrator, Estab, Membership
from idp.foundation import clock as clocks
from idp.foundation.database import session
from idp.partners import registry
from idp.partners.models import Client
from idp.sharing import agreement_state, authorise
from tests.factories import a_client, an_administrator, an_estab

IDENTITY = frozenset({"openid", "profile", "email"})
DATA = frozenset({"school", "students", "attendance"})


@pytest.fixture
def agreed(transaction, clock):
    with transaction():
        return give_agreement(a_client(), an_administrator())


def give_agreement(client, by, what=IDENTITY | DATA):
    until = authorise.default_end(client)
    how = {"agreement_version": client.agreement_version, "until": until, "second_step": True}
    return authorise.give(client, what, by=by.memberships[0], **how)


def state_of(agreed):
    state = authorise.state(agreed.id)
    assert state
    return state


def snapshot(client_id):
    client = registry.client(client_id)
    assert client
    return client


def allowed_scopes(agreed, what=IDENTITY | DATA, person=None):
    state = authorise.state(agreed.id, person)
    return state.allowed(what) if state else frozenset()


def test_what_was_agreed_is_allowed_and_nothing_else(transaction, agreed):
    with transaction():
        assert allowed_scopes(agreed, IDENTITY | DATA | {"students.sen", "phone"}) == IDENTITY | DATA
        assert allowed_scopes(agreed, frozenset({"school"})) == {"school"}


def test_an_unknown_agreement_allows_nothing(transaction):
    with transaction():
        assert authorise.state("aut_unknown") is None
        assert not authorise.is_in_force("aut_unknown")


def test_data_is_withheld_until_the_school_is_verified_and_then_comes_without_asking_again(transaction, clock):
    with transaction():
        owner = an_administrator(an_estab(state="unverified"))
        agreed = give_agreement(a_client(), owner)
        assert allowed_scopes(agreed) == IDENTITY
        owner.memberships[0].estab.state = "verified"
        session().flush()
        assert allowed_scopes(agreed) == IDENTITY | DATA


def test_when_the_person_has_left_the_data_agreement_stays_in_force(transaction, agreed):
    with transaction():
        session().get_one(Membership, (agreed.given_by, agreed.estab_id)).removed_at = clocks.now()
        session().flush()
        assert allowed_scopes(agreed) == DATA
        assert authorise.is_in_force(agreed.id)


def test_identity_depends_on_the_subject_and_not_on_who_agreed(transaction, agreed):
    with transaction():
        giver = session().get_one(Administrator, agreed.given_by)
        colleague = an_administrator(giver.memberships[0].estab, username="colleague")
        giver.memberships[0].removed_at = clocks.now()
        session().flush()
        assert allowed_scopes(agreed, person=colleague.id) == IDENTITY | DATA
        assert allowed_scopes(agreed, person=giver.id) == DATA


def test_a_person_of_another_school_has_no_identity_here(transaction, agreed):
    with transaction():
        assert allowed_scopes(agreed, person=an_administrator().id) == DATA
        assert allowed_scopes(agreed, person="adm_unknown") == DATA


@pytest.mark.parametrize("state", ["rejected", "suspended", "closed"])
def test_a_school_that_is_not_in_good_standing_shares_nothing(transaction, agreed, state):
    with transaction():
        session().get_one(Estab, agreed.estab_id).state = state
        session().flush()
        assert allowed_scopes(agreed) == frozenset()
        assert not authorise.is_in_force(agreed.id)


def test_a_disabled_client_or_partner_gets_nothing(transaction, agreed):
    with transaction():
        registry.disable(agreed.client_id, by="cli")
        assert allowed_scopes(agreed) == frozenset()
        client = registry.enable(agreed.client_id, by="cli")
        assert allowed_scopes(agreed) == IDENTITY | DATA
        registry.switch_partner(client.partner_name, on=False)
        assert allowed_scopes(agreed) == frozenset()


def test_a_changed_agreement_keeps_earlier_tokens_valid_and_never_widens_them(transaction, agreed):
    with transaction():
        giver = session().get_one(Administrator, agreed.given_by)
        client = session().get_one(Client, agreed.client_id)
        newer = give_agreement(client, giver, (IDENTITY | DATA | {"students.sen"}) - {"attendance"})

        assert state_of(agreed).id == newer.id
        assert allowed_scopes(agreed, agreed.scopes) == IDENTITY | DATA - {"attendance"}
        assert authorise.is_in_force(agreed.id)


def test_a_withdrawn_agreement_stays_ended_when_the_school_agrees_again(transaction, agreed):
    with transaction():
        giver = session().get_one(Administrator, agreed.given_by)
        client = session().get_one(Client, agreed.client_id)
        changed = give_agreement(client, giver)
        authorise.withdraw(agreed.estab_id, agreed.client_id, by=giver.memberships[0])
        again = give_agreement(client, giver)

        assert authorise.is_in_force(again.id)
        assert authorise.state(agreed.id) is None
        assert authorise.state(changed.id) is None


@pytest.mark.parametrize("others", [1, 3])
def test_the_newest_agreement_of_a_school_and_client_counts(transaction, agreed, others):
    with transaction():
        giver = session().get_one(Administrator, agreed.given_by)
        client = session().get_one(Client, agreed.client_id)
        for _ in range(others):
            give_agreement(client, giver)  # replaces the agreement before it, and is then withdrawn
            authorise.withdraw(agreed.estab_id, agreed.client_id, by=giver.memberships[0])
            assert agreement_state.current(agreed.estab_id, agreed.client_id) is None
            give_agreement(client, giver)
        newest = give_agreement(client, giver)

        assert agreement_state.current(agreed.estab_id, agreed.client_id).id == newest.id
        assert agreement_state.current(agreed.estab_id, a_client().id) is None
        assert agreement_state.current(an_estab().id, agreed.client_id) is None


def test_nothing_is_released_about_a_person_who_left_an_unverified_school(transaction, agreed):
    with transaction():
        session().get_one(Estab, agreed.estab_id).state = "unverified"
        session().get_one(Membership, (agreed.given_by, agreed.estab_id)).removed_at = clocks.now()
        session().flush()

        assert allowed_scopes(agreed) == frozenset()


def test_an_area_the_client_is_no_longer_registered_for_is_withheld(transaction, agreed):
    with transaction():
        session().get_one(Client, agreed.client_id).optional_scopes -= {"attendance"}
        session().flush()
        assert allowed_scopes(agreed) == IDENTITY | DATA - {"attendance"}


def test_an_agreement_that_has_run_out_or_is_paused_allows_nothing(transaction, agreed, clock):
    with transaction():
        giver = session().get_one(Administrator, agreed.given_by)
        authorise.pause(agreed.estab_id, agreed.client_id, by=giver.memberships[0])
        assert allowed_scopes(agreed) == frozenset()
        authorise.resume(agreed.estab_id, agreed.client_id, by=giver.memberships[0])
        assert allowed_scopes(agreed) == IDENTITY | DATA
    clock.move(timedelta(days=365))
    with transaction():
        assert allowed_scopes(agreed) == frozenset()


def test_the_state_is_read_in_one_statement(transaction, agreed, record_statements):
    with transaction(), record_statements() as statements:
        authorise.state(agreed.id)
    assert len(statements) == 1, statements


def test_reading_another_version_of_the_client_drops_the_snapshot(transaction, agreed):
    with transaction():
        assert snapshot(agreed.client_id).version == 1
        client = session().get_one(Client, agreed.client_id)
        client.version, client.client_name = 2, "Renamed by another process"
        session().flush()
        assert snapshot(agreed.client_id).client_name == "Assembly"
        authorise.state(agreed.id)
        assert snapshot(agreed.client_id).client_name == "Renamed by another process"
