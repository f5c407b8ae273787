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
def agreement(transaction, clock):
    with transaction():
        return give_agreement(a_client(), an_administrator())


def give_agreement(client, by, scopes=IDENTITY | DATA):
    until = authorise.default_end(client)
    return authorise.give(
        client, scopes, by=by.memberships[0], agreement_version=client.agreement_version, until=until, second_step=True
    )


def state_of(agreement):
    state = authorise.state(agreement.id)
    assert state
    return state


def snapshot(client_id):
    client = registry.client(client_id)
    assert client
    return client


def allowed_scopes(agreement, scopes=IDENTITY | DATA, person=None):
    state = authorise.state(agreement.id, person)
    return state.allowed(scopes) if state else frozenset()


def test_what_was_agreed_is_allowed_and_nothing_else(transaction, agreement):
    with transaction():
        assert allowed_scopes(agreement, IDENTITY | DATA | {"students.sen", "phone"}) == IDENTITY | DATA
        assert allowed_scopes(agreement, frozenset({"school"})) == {"school"}


def test_an_unknown_agreement_allows_nothing(transaction):
    with transaction():
        assert authorise.state("aut_unknown") is None
        assert not authorise.is_in_force("aut_unknown")


def test_data_is_withheld_until_the_school_is_verified_and_then_comes_without_asking_again(transaction, clock):
    with transaction():
        owner = an_administrator(an_estab(state="unverified"))
        agreement = give_agreement(a_client(), owner)
        assert allowed_scopes(agreement) == IDENTITY
        owner.memberships[0].estab.state = "verified"
        session().flush()
        assert allowed_scopes(agreement) == IDENTITY | DATA


def test_when_the_person_has_left_the_data_agreement_stays_in_force(transaction, agreement):
    with transaction():
        session().get_one(Membership, (agreement.given_by, agreement.estab_id)).removed_at = clocks.now()
        session().flush()
        assert allowed_scopes(agreement) == DATA
        assert authorise.is_in_force(agreement.id)


def test_identity_depends_on_the_subject_and_not_on_who_agreed(transaction, agreement):
    with transaction():
        giver = session().get_one(Administrator, agreement.given_by)
        colleague = an_administrator(giver.memberships[0].estab, username="colleague")
        giver.memberships[0].removed_at = clocks.now()
        session().flush()
        assert allowed_scopes(agreement, person=colleague.id) == IDENTITY | DATA
        assert allowed_scopes(agreement, person=giver.id) == DATA


def test_a_person_of_another_school_has_no_identity_here(transaction, agreement):
    with transaction():
        assert allowed_scopes(agreement, person=an_administrator().id) == DATA
        assert allowed_scopes(agreement, person="adm_unknown") == DATA


@pytest.mark.parametrize("state", ["rejected", "suspended", "closed"])
def test_a_school_that_is_not_in_good_standing_shares_nothing(transaction, agreement, state):
    with transaction():
        session().get_one(Estab, agreement.estab_id).state = state
        session().flush()
        assert allowed_scopes(agreement) == frozenset()
        assert not authorise.is_in_force(agreement.id)


def test_a_disabled_client_or_partner_gets_nothing(transaction, agreement):
    with transaction():
        registry.disable(agreement.client_id, by="cli")
        assert allowed_scopes(agreement) == frozenset()
        client = registry.enable(agreement.client_id, by="cli")
        assert allowed_scopes(agreement) == IDENTITY | DATA
        registry.switch_partner(client.partner_name, on=False)
        assert allowed_scopes(agreement) == frozenset()


def test_a_changed_agreement_keeps_earlier_tokens_valid_and_never_widens_them(transaction, agreement):
    with transaction():
        giver = session().get_one(Administrator, agreement.given_by)
        client = session().get_one(Client, agreement.client_id)
        newer = give_agreement(client, giver, (IDENTITY | DATA | {"students.sen"}) - {"attendance"})

        assert state_of(agreement).id == newer.id
        assert allowed_scopes(agreement, agreement.scopes) == IDENTITY | DATA - {"attendance"}
        assert authorise.is_in_force(agreement.id)


def test_a_withdrawn_agreement_stays_ended_when_the_school_agrees_again(transaction, agreement):
    with transaction():
        giver = session().get_one(Administrator, agreement.given_by)
        client = session().get_one(Client, agreement.client_id)
        changed = give_agreement(client, giver)
        authorise.withdraw(agreement.estab_id, agreement.client_id, by=giver.memberships[0])
        again = give_agreement(client, giver)

        assert authorise.is_in_force(again.id)
        assert authorise.state(agreement.id) is None
        assert authorise.state(changed.id) is None


@pytest.mark.parametrize("others", [1, 3])
def test_the_newest_agreement_of_a_school_and_client_counts(transaction, agreement, others):
    with transaction():
        giver = session().get_one(Administrator, agreement.given_by)
        client = session().get_one(Client, agreement.client_id)
        for _ in range(others):
            give_agreement(client, giver)  # replaces the agreement before it, and is then withdrawn
            authorise.withdraw(agreement.estab_id, agreement.client_id, by=giver.memberships[0])
            assert agreement_state.current(agreement.estab_id, agreement.client_id) is None
            give_agreement(client, giver)
        newest = give_agreement(client, giver)

        assert agreement_state.current(agreement.estab_id, agreement.client_id).id == newest.id
        assert agreement_state.current(agreement.estab_id, a_client().id) is None
        assert agreement_state.current(an_estab().id, agreement.client_id) is None


def test_nothing_is_released_about_a_person_who_left_an_unverified_school(transaction, agreement):
    with transaction():
        session().get_one(Estab, agreement.estab_id).state = "unverified"
        session().get_one(Membership, (agreement.given_by, agreement.estab_id)).removed_at = clocks.now()
        session().flush()

        assert allowed_scopes(agreement) == frozenset()


def test_an_area_the_client_is_no_longer_registered_for_is_withheld(transaction, agreement):
    with transaction():
        session().get_one(Client, agreement.client_id).optional_scopes -= {"attendance"}
        session().flush()
        assert allowed_scopes(agreement) == IDENTITY | DATA - {"attendance"}


def test_an_agreement_that_has_run_out_or_is_paused_allows_nothing(transaction, agreement, clock):
    with transaction():
        giver = session().get_one(Administrator, agreement.given_by)
        authorise.pause(agreement.estab_id, agreement.client_id, by=giver.memberships[0])
        assert allowed_scopes(agreement) == frozenset()
        authorise.resume(agreement.estab_id, agreement.client_id, by=giver.memberships[0])
        assert allowed_scopes(agreement) == IDENTITY | DATA
    clock.move(timedelta(days=365))
    with transaction():
        assert allowed_scopes(agreement) == frozenset()


def test_the_state_is_read_in_one_statement(transaction, agreement, record_statements):
    with transaction(), record_statements() as statements:
        authorise.state(agreement.id)
    assert len(statements) == 1, statements


def test_reading_another_version_of_the_client_drops_the_snapshot(transaction, agreement):
    with transaction():
        assert snapshot(agreement.client_id).version == 1
        client = session().get_one(Client, agreement.client_id)
        client.version, client.client_name = 2, "Renamed by another process"
        session().flush()
        assert snapshot(agreement.client_id).client_name == "Assembly"
        authorise.state(agreement.id)
        assert snapshot(agreement.client_id).client_name == "Renamed by another process"
