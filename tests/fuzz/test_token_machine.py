"""Codes and refresh tokens: requested, redeemed, refreshed, replayed, revoked, withdrawn and expired, in any order.

Each code has at most one valid lineage, ended lineages stay ended, and no token has more scopes than were requested,
agreed to and registered (security.md S14, S15, S36).
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from idp.estabs.models import Administrator
from idp.foundation import clock, crypto
from idp.foundation.database import session
from idp.oidc.models import Code, RefreshFamily
from idp.partners import registry
from idp.partners.models import Client
from idp.sharing import authorise
from idp.sharing.models import Authorisation
from tests import factories
from tests.fuzz.depth import deep
from tests.oidc.support import Partner, sign_in_and_authorise

REQUIRED, OPTIONAL = frozenset({"openid", "offline_access", "school"}), frozenset({"email", "students", "attendance"})
ALL_SCOPES = REQUIRED | OPTIONAL
some = st.frozensets(st.sampled_from(sorted(ALL_SCOPES | {"staff"})))


@dataclass
class Lineage:
    """A code, and the tokens that came from it."""

    code: str
    requested: frozenset[str]
    at: object
    verifier: str
    is_redeemed: bool = False
    is_dead: bool = False
    refresh: list[str] = field(default_factory=list)
    """Oldest first."""
    access: list[str] = field(default_factory=list)


class Tokens(RuleBasedStateMachine):
    """A signed-in school, and a new client for each run."""

    target: ClassVar[Any] = None
    rotates = False

    def __init__(self):
        super().__init__()
        self.lines, self.partner = [], None
        with self.target.work():
            client = factories.a_client(
                required_scopes=REQUIRED, optional_scopes=OPTIONAL, rotate_refresh_tokens=self.rotates
            )
            self.partner = Partner(client.id)
            owner = session().query(Administrator).filter_by(username=self.target.username).one()
            self.owner, self.estab = owner.id, owner.memberships[0].estab_id

    # Rules

    @rule(optional=st.frozensets(st.sampled_from(sorted(OPTIONAL))), ticked=st.booleans())
    def ask(self, optional, ticked):
        self._restore_client()
        requested = REQUIRED | optional
        areas = tuple(sorted(optional)) if ticked else ()
        params = sign_in_and_authorise(
            self.target.web, self.partner, self.target.username, *areas, scope=" ".join(sorted(requested))
        )
        assert params.keys() == {"code", "state", "iss"}, params
        self.lines.append(Lineage(params["code"], requested, clock.now(), self.partner.verifier))

    @precondition(lambda self: self.lines)
    @rule(data=st.data(), verifier=st.sampled_from([None, None, None, "x" * 43]))
    def redeem(self, data, verifier):
        line = data.draw(st.sampled_from(self.lines))
        response = self.partner.redeems(self.target.web, line.code, code_verifier=verifier or line.verifier)
        is_late = clock.now() - line.at >= timedelta(seconds=120)
        if line.is_redeemed:
            line.is_dead = True
        if response.status_code == 200:
            assert not line.is_redeemed, "a code redeemed twice"
            assert not line.is_dead
            assert not is_late
            assert verifier is None
            self._received(line, response.json, line.requested)
        else:
            assert response.json["error"] == "invalid_grant", response.text
            assert line.is_redeemed or line.is_dead or is_late or verifier or not self._may_use()
            line.is_dead = line.is_dead or not is_late
        line.is_redeemed = True

    @precondition(lambda self: any(line.refresh for line in self.lines))
    @rule(data=st.data(), scope=st.none() | some, old=st.booleans())
    def refresh(self, data, scope, old):
        line = data.draw(st.sampled_from([line for line in self.lines if line.refresh]))
        token = data.draw(st.sampled_from(line.refresh)) if old else line.refresh[-1]
        requested = " ".join(sorted(scope)) if scope else None
        response = self.partner.refreshes(self.target.web, token, scope=requested)
        if response.status_code == 200:
            assert not line.is_dead, "a dead lineage refreshed"
            if token != line.refresh[-1]:
                assert response.json["refresh_token"] == line.refresh[-1], "a family forked"
            self._received(line, response.json, scope or line.requested)
        elif response.json["error"] == "invalid_grant":
            is_newest = token == line.refresh[-1]
            assert not is_newest or line.is_dead or not self._may_use(), response.text
            line.is_dead = line.is_dead or not is_newest
        else:
            assert response.json["error"] == "invalid_scope"
            assert not scope <= line.requested

    @precondition(lambda self: any(line.refresh for line in self.lines))
    @rule(data=st.data())
    def revoke(self, data):
        line = data.draw(st.sampled_from([line for line in self.lines if line.refresh]))
        token = data.draw(st.sampled_from(line.refresh))
        assert self.partner.posts(self.target.web, "/oauth/revoke", {"token": token}).status_code == 200
        line.is_dead = True

    @rule(seconds=st.sampled_from([1, 15, 70, 130, 700, 86_400]))
    def wait(self, seconds):
        clock.move(timedelta(seconds=seconds))

    @rule(what=st.sampled_from(["withdraw", "withdraw", "pause", "resume"]))
    def decide(self, what):
        with self.target.work() as session:
            agreed = authorise.current(self.estab)
            mine = [agreement for agreement in agreed if agreement.client_id == self.partner.id]
            if not mine or (mine[0].state == "paused") != (what == "resume"):
                return
            getattr(authorise, what)(
                self.estab, self.partner.id, by=session.get_one(Administrator, self.owner).memberships[0]
            )
        if what == "withdraw":
            for line in self.lines:
                line.is_dead = True

    @rule(ticked=st.frozensets(st.sampled_from(sorted(OPTIONAL))))
    def change(self, ticked):
        with self.target.work() as session:
            if (agreed := self._agreement()) is not None:
                scopes = REQUIRED & agreed.offered | ticked & agreed.offered
                authorise.change(
                    self.estab, self.partner.id, scopes, by=session.get_one(Administrator, self.owner).memberships[0]
                )

    @rule(left=st.frozensets(st.sampled_from(sorted(OPTIONAL))))
    def narrow_the_client(self, left):
        self._register(left)

    # Invariants

    @invariant()
    def each_code_has_at_most_one_live_family(self):
        with self.target.work() as session:
            for line in self.lines:
                code = session.get_one(Code, crypto.digest(line.code))
                families = session.query(RefreshFamily).filter_by(lineage=code.lineage).all()
                assert len(families) <= 1
                assert len(families) == bool(line.refresh)

    @invariant()
    def ended_lineages_stay_ended(self):
        for line in self.lines:
            if line.is_dead and line.access:
                parameters = {"token": line.access[-1]}
                response = self.partner.posts(self.target.web, "/oauth/introspect", parameters)
                assert response.json == {"active": False}

    def _received(self, line, tokens, requested):
        """Scopes: token ⊆ request ⊆ authorisation ⊆ client; and those that are stored for later."""
        granted = frozenset(tokens["scope"].split())
        with self.target.work() as session:
            agreed, client = self._agreement(), session.get_one(Client, self.partner.id)
            assert granted <= requested
            assert granted <= agreed.scopes
            assert granted <= client.required_scopes | client.optional_scopes
            assert agreed.state == "active"
        line.access.append(tokens["access_token"])
        if (token := tokens.get("refresh_token")) and token not in line.refresh:
            line.refresh.append(token)

    def _agreement(self):
        return session().query(Authorisation).filter(
            Authorisation.current(self.estab, self.partner.id)
        ).one_or_none()  # fmt: skip

    def _may_use(self):
        """Whether an agreement is in force, so that a valid token has to work."""
        with self.target.work():
            agreed = self._agreement()
            return agreed is not None and agreed.state == "active"

    def _restore_client(self):
        self._register(OPTIONAL)
        with self.target.work() as session:
            agreed = self._agreement()
            if agreed is not None and agreed.state == "paused":
                authorise.resume(
                    self.estab, self.partner.id, by=session.get_one(Administrator, self.owner).memberships[0]
                )

    def _register(self, optional):
        with self.target.work() as session:
            session.get_one(Client, self.partner.id).optional_scopes = optional
            registry.forget(self.partner.id)


@pytest.mark.parametrize("rotates", [False, True])
def test_each_code_has_one_lineage_within_the_agreed_scopes(target, rotates):
    class Here(Tokens):
        pass

    Here.target, Here.rotates = target, rotates
    run_state_machine_as_test(Here, settings=deep(0.4))
