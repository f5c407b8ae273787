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
from tests.fuzz.depth import deep

REQUIRED, OPTIONAL = frozenset({"openid", "school"}), frozenset({"students", "attendance", "email"})
some = st.frozensets(st.sampled_from(sorted(REQUIRED | OPTIONAL | {"staff"})))
usual = st.frozensets(st.sampled_from(sorted(OPTIONAL))).map(REQUIRED.union)


class Sharing(RuleBasedStateMachine):
    """One school and one client; `stands` is the expected state of the agreement: None, "active" or "paused"."""

    work: Any = None

    def __init__(self):
        super().__init__()
        self.stands: str | None = None
        self.agreed: frozenset[str] = frozenset()
        self.until: Any = None
        self.decisions = 0
        with self.work():
            owner = factories.an_administrator(password="short")
            viewer = factories.an_administrator(
                owner.memberships[0].estab, role="viewer", username=f"v{owner.id}", password_hash=owner.password_hash
            )
            client = factories.a_client(required_scopes=REQUIRED, optional_scopes=OPTIONAL, authorisation_days=30)
            self.owner, self.viewer, self.estab, self.client = (
                owner.id,
                viewer.id,
                owner.memberships[0].estab_id,
                client.id,
            )
            self.stranger = factories.an_administrator(password="short").id

    def decides(self, do, by=None):
        """Call a function that decides; returns whether it succeeded."""
        try:
            with self.work() as session:
                do(
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

    @rule(ticked=usual | some, offered=st.just(REQUIRED | OPTIONAL) | some)
    def give(self, ticked, offered):
        lawful = ticked <= offered <= REQUIRED | OPTIONAL and not offered & REQUIRED - ticked
        was_accepted = self.decides(
            lambda client, by: authorise.give(
                client, ticked, by=by, agreement="1", until=authorise.default_end(client), offered=offered
            )
        )
        assert was_accepted == lawful
        if was_accepted:
            self.stands, self.agreed, self.offered = "active", ticked, offered
            self.until = clock.now() + timedelta(days=30)

    @rule(ticked=usual | some)
    def change(self, ticked):
        was_accepted = self.decides(lambda _client, by: authorise.change(self.estab, self.client, ticked, by=by))
        if was_accepted:
            assert self.stands
            assert ticked <= self.offered
            self.agreed = ticked

    @rule()
    def pause(self):
        was_accepted = self.decides(lambda _client, by: authorise.pause(self.estab, self.client, by=by))
        assert was_accepted == (self.stands == "active")
        self.stands = "paused" if was_accepted else self.stands

    @rule()
    def resume(self):
        was_accepted = self.decides(lambda _client, by: authorise.resume(self.estab, self.client, by=by))
        assert was_accepted == (self.stands == "paused")
        self.stands = "active" if was_accepted else self.stands

    @rule()
    def withdraw(self):
        was_accepted = self.decides(lambda _client, by: authorise.withdraw(self.estab, self.client, by=by))
        assert was_accepted == (self.stands is not None)
        self.stands = None

    @rule(who=st.sampled_from(["viewer", "stranger"]), what=st.sampled_from(["pause", "resume", "withdraw"]))
    def meddle(self, who, what):
        meddler = getattr(self, who)
        assert not self.decides(lambda _client, by: getattr(authorise, what)(self.estab, self.client, by=by), meddler)

    @rule(days=st.sampled_from([1, 20, 31]))
    def wait(self, days):
        clock.move(timedelta(days=days))

    @invariant()
    def state_is_as_expected(self):
        is_live = self.stands == "active" and not self.is_over
        with self.work() as session:
            rows = session.query(Authorisation).filter(Authorisation.current(self.estab, self.client)).all()
            assert len(rows) == (self.stands is not None)
            for requested in (REQUIRED, REQUIRED | {"students"}):
                standing = authorise.standing(self.estab, self.client, requested)
                assert standing is None or (is_live and requested & REQUIRED <= standing.scopes == self.agreed)
            for row in session.query(Authorisation).filter_by(estab_id=self.estab, client_id=self.client):
                state = authorise.state(row.id)
                allowed = state.allowed(frozenset(scopes.catalogue())) if state else frozenset()
                assert allowed <= (self.agreed if is_live else frozenset())
            assert len(authorise.history(self.estab)) == min(self.decisions, 200)


def test_the_newest_decision_about_an_agreement_is_in_force(fresh):
    class Here(Sharing):
        work = staticmethod(fresh)

    run_state_machine_as_test(Here, settings=deep(0.5))
