"""A school's agreement: given, changed, paused, resumed, withdrawn and expired, in any order and by any person."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from idp.estabs.models import Administrator
from idp.foundation import clock, scopes
from idp.foundation.errors import Refusal
from idp.partners.models import Client
from idp.sharing import authorise
from idp.sharing.models import Authorisation
from tests import factories
from tests.fuzz.profiles import fuzz_settings

REQUIRED, OPTIONAL = frozenset({"openid", "school"}), frozenset({"students", "attendance", "email"})
any_scopes = st.frozensets(st.sampled_from(sorted(REQUIRED | OPTIONAL | {"staff"})))
usual_scopes = st.frozensets(st.sampled_from(sorted(OPTIONAL))).map(REQUIRED.union)


class Sharing(RuleBasedStateMachine):
    """One school and one client; `expected_state` is that of the agreement: None, "active" or "paused"."""

    transaction: Any = None

    def __init__(self):
        super().__init__()
        self.expected_state: str | None = None
        self.agreed: frozenset[str] = frozenset()
        self.until: Any = None
        self.decisions = 0
        with self.transaction():
            owner = factories.an_administrator(password="short")
            viewer = factories.an_administrator(
                owner.memberships[0].estab, role="viewer", username=f"v{owner.id}", password_hash=owner.password_hash
            )
            client = factories.a_client(required_scopes=REQUIRED, optional_scopes=OPTIONAL, authorisation_days=30)
            self.owner = owner.id
            self.viewer = viewer.id
            self.estab = owner.memberships[0].estab_id
            self.client = client.id
            self.stranger = factories.an_administrator(password="short").id

    def decide(self, decision, by=None):
        """Call a function that decides; returns whether it succeeded."""
        try:
            with self.transaction() as session:
                decision(
                    session.get_one(Client, self.client),
                    session.get_one(Administrator, by or self.owner).memberships[0],
                )
        except Refusal:
            return False
        self.decisions += 1
        return True

    @property
    def is_over(self):
        return self.until is not None and clock.now() >= self.until

    @rule(ticked=usual_scopes | any_scopes, offered=st.just(REQUIRED | OPTIONAL) | any_scopes)
    def give(self, ticked, offered):
        is_valid = ticked <= offered <= REQUIRED | OPTIONAL and not offered & REQUIRED - ticked
        was_accepted = self.decide(
            lambda client, by: authorise.give(
                client, ticked, by=by, agreement_version="1", until=authorise.default_end(client), offered=offered
            )
        )
        assert was_accepted == is_valid
        if was_accepted:
            self.expected_state, self.agreed, self.offered = "active", ticked, offered
            self.until = clock.now() + timedelta(days=30)

    @rule(ticked=usual_scopes | any_scopes)
    def change(self, ticked):
        was_accepted = self.decide(lambda _client, by: authorise.change(self.estab, self.client, ticked, by=by))
        if was_accepted:
            assert self.expected_state
            assert ticked <= self.offered
            self.agreed = ticked

    @rule()
    def pause(self):
        was_accepted = self.decide(lambda _client, by: authorise.pause(self.estab, self.client, by=by))
        assert was_accepted == (self.expected_state == "active")
        self.expected_state = "paused" if was_accepted else self.expected_state

    @rule()
    def resume(self):
        was_accepted = self.decide(lambda _client, by: authorise.resume(self.estab, self.client, by=by))
        assert was_accepted == (self.expected_state == "paused")
        self.expected_state = "active" if was_accepted else self.expected_state

    @rule()
    def withdraw(self):
        was_accepted = self.decide(lambda _client, by: authorise.withdraw(self.estab, self.client, by=by))
        assert was_accepted == (self.expected_state is not None)
        self.expected_state = None

    @rule(person=st.sampled_from(["viewer", "stranger"]), verb=st.sampled_from(["pause", "resume", "withdraw"]))
    def decide_without_right(self, person, verb):
        person_id = getattr(self, person)
        assert not self.decide(lambda _client, by: getattr(authorise, verb)(self.estab, self.client, by=by), person_id)

    @rule(days=st.sampled_from([1, 20, 31]))
    def wait(self, days):
        clock.move(timedelta(days=days))

    @invariant()
    def state_is_as_expected(self):
        is_in_force = self.expected_state == "active" and not self.is_over
        with self.transaction() as session:
            rows = session.query(Authorisation).filter(Authorisation.current(self.estab, self.client)).all()
            assert len(rows) == (self.expected_state is not None)
            for requested in (REQUIRED, REQUIRED | {"students"}):
                agreement = authorise.agreement_in_force(self.estab, self.client, requested)
                assert agreement is None or (is_in_force and requested & REQUIRED <= agreement.scopes == self.agreed)
            for row in session.query(Authorisation).filter_by(estab_id=self.estab, client_id=self.client):
                state = authorise.state(row.id)
                allowed = state.allowed(frozenset(scopes.catalogue())) if state else frozenset()
                assert allowed <= (self.agreed if is_in_force else frozenset())
            assert len(authorise.history(self.estab)) == min(self.decisions, 200)


def test_the_newest_decision_about_an_agreement_is_in_force(module_transaction):
    class Machine(Sharing):
        transaction = staticmethod(module_transaction)

    run_state_machine_as_test(Machine, settings=fuzz_settings(0.5))
