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
from tests.fuzz.profiles import fuzz_settings
from tests.oidc.support import Partner, sign_in_and_authorise

REQUIRED, OPTIONAL = frozenset({"openid", "offline_access", "school"}), frozenset({"email", "students", "attendance"})
ALL_SCOPES = REQUIRED | OPTIONAL
any_scopes = st.frozensets(st.sampled_from(sorted(ALL_SCOPES | {"staff"})))


@dataclass
class Lineage:
    """A code, and the tokens that came from it."""

    code: str
    requested: frozenset[str]
    issued_at: object
    verifier: str
    is_redeemed: bool = False
    has_ended: bool = False
    refresh: list[str] = field(default_factory=list)
    """Oldest first."""
    access: list[str] = field(default_factory=list)


class Tokens(RuleBasedStateMachine):
    """A signed-in school, and a new client for each run."""

    target: ClassVar[Any] = None
    rotates = False

    def __init__(self):
        super().__init__()
        self.lineages, self.partner = [], None
        with self.target.transaction():
            client = factories.a_client(
                required_scopes=REQUIRED, optional_scopes=OPTIONAL, rotate_refresh_tokens=self.rotates
            )
            self.partner = Partner(client.id)
            owner = session().query(Administrator).filter_by(username=self.target.username).one()
            self.owner, self.estab = owner.id, owner.memberships[0].estab_id

    # Rules

    @rule(optional=st.frozensets(st.sampled_from(sorted(OPTIONAL))), ticked=st.booleans())
    def request_code(self, optional, ticked):
        self._restore_client()
        requested = REQUIRED | optional
        areas = tuple(sorted(optional)) if ticked else ()
        params = sign_in_and_authorise(
            self.target.web, self.partner, self.target.username, *areas, scope=" ".join(sorted(requested))
        )
        assert params.keys() == {"code", "state", "iss"}, params
        self.lineages.append(Lineage(params["code"], requested, clock.now(), self.partner.verifier))

    @precondition(lambda self: self.lineages)
    @rule(data=st.data(), verifier=st.sampled_from([None, None, None, "x" * 43]))
    def redeem(self, data, verifier):
        lineage = data.draw(st.sampled_from(self.lineages))
        response = self.partner.redeem(self.target.web, lineage.code, code_verifier=verifier or lineage.verifier)
        is_late = clock.now() - lineage.issued_at >= timedelta(seconds=120)
        if lineage.is_redeemed:
            lineage.has_ended = True
        if response.status_code == 200:
            assert not lineage.is_redeemed, "a code was redeemed twice"
            assert not lineage.has_ended
            assert not is_late
            assert verifier is None
            self._check_tokens(lineage, response.json, lineage.requested)
        else:
            assert response.json["error"] == "invalid_grant", response.text
            assert lineage.is_redeemed or lineage.has_ended or is_late or verifier or not self._may_use()
            lineage.has_ended = lineage.has_ended or not is_late
        lineage.is_redeemed = True

    @precondition(lambda self: any(lineage.refresh for lineage in self.lineages))
    @rule(data=st.data(), scope=st.none() | any_scopes, old=st.booleans())
    def refresh(self, data, scope, old):
        lineage = data.draw(st.sampled_from([lineage for lineage in self.lineages if lineage.refresh]))
        token = data.draw(st.sampled_from(lineage.refresh)) if old else lineage.refresh[-1]
        requested = " ".join(sorted(scope)) if scope else None
        response = self.partner.refresh(self.target.web, token, scope=requested)
        if response.status_code == 200:
            assert not lineage.has_ended, "an ended lineage was refreshed"
            if token != lineage.refresh[-1]:
                assert response.json["refresh_token"] == lineage.refresh[-1], "a family has two newest tokens"
            self._check_tokens(lineage, response.json, scope or lineage.requested)
        elif response.json["error"] == "invalid_grant":
            is_newest = token == lineage.refresh[-1]
            assert not is_newest or lineage.has_ended or not self._may_use(), response.text
            lineage.has_ended = lineage.has_ended or not is_newest
        else:
            assert response.json["error"] == "invalid_scope"
            assert not scope <= lineage.requested

    @precondition(lambda self: any(lineage.refresh for lineage in self.lineages))
    @rule(data=st.data())
    def revoke(self, data):
        lineage = data.draw(st.sampled_from([lineage for lineage in self.lineages if lineage.refresh]))
        token = data.draw(st.sampled_from(lineage.refresh))
        assert self.partner.post(self.target.web, "/oauth/revoke", {"token": token}).status_code == 200
        lineage.has_ended = True

    @rule(seconds=st.sampled_from([1, 15, 70, 130, 700, 86_400]))
    def wait(self, seconds):
        clock.move(timedelta(seconds=seconds))

    @rule(what=st.sampled_from(["withdraw", "withdraw", "pause", "resume"]))
    def decide(self, what):
        with self.target.transaction() as session:
            agreed = authorise.current(self.estab)
            own = [agreement for agreement in agreed if agreement.client_id == self.partner.id]
            if not own or (own[0].state == "paused") != (what == "resume"):
                return
            getattr(authorise, what)(
                self.estab, self.partner.id, by=session.get_one(Administrator, self.owner).memberships[0]
            )
        if what == "withdraw":
            for lineage in self.lineages:
                lineage.has_ended = True

    @rule(ticked=st.frozensets(st.sampled_from(sorted(OPTIONAL))))
    def change(self, ticked):
        with self.target.transaction() as session:
            if (agreed := self._agreement()) is not None:
                scopes = REQUIRED & agreed.offered | ticked & agreed.offered
                authorise.change(
                    self.estab, self.partner.id, scopes, by=session.get_one(Administrator, self.owner).memberships[0]
                )

    @rule(optional=st.frozensets(st.sampled_from(sorted(OPTIONAL))))
    def change_optional_scopes(self, optional):
        self._register(optional)

    # Invariants

    @invariant()
    def each_code_has_at_most_one_live_family(self):
        with self.target.transaction() as session:
            for lineage in self.lineages:
                code = session.get_one(Code, crypto.digest(lineage.code))
                families = session.query(RefreshFamily).filter_by(lineage=code.lineage).all()
                assert len(families) <= 1
                assert len(families) == bool(lineage.refresh)

    @invariant()
    def ended_lineages_stay_ended(self):
        for lineage in self.lineages:
            if lineage.has_ended and lineage.access:
                parameters = {"token": lineage.access[-1]}
                response = self.partner.post(self.target.web, "/oauth/introspect", parameters)
                assert response.json == {"active": False}

    def _check_tokens(self, lineage, tokens, requested):
        """Scopes: token ⊆ request ⊆ authorisation ⊆ client; and those that are stored for later."""
        granted = frozenset(tokens["scope"].split())
        with self.target.transaction() as session:
            agreed, client = self._agreement(), session.get_one(Client, self.partner.id)
            assert granted <= requested
            assert granted <= agreed.scopes
            assert granted <= client.required_scopes | client.optional_scopes
            assert agreed.state == "active"
        lineage.access.append(tokens["access_token"])
        if (token := tokens.get("refresh_token")) and token not in lineage.refresh:
            lineage.refresh.append(token)

    def _agreement(self):
        return session().query(Authorisation).filter(
            Authorisation.current(self.estab, self.partner.id)
        ).one_or_none()  # fmt: skip

    def _may_use(self):
        """Whether an agreement is in force, so that a valid token must be accepted."""
        with self.target.transaction():
            agreed = self._agreement()
            return agreed is not None and agreed.state == "active"

    def _restore_client(self):
        self._register(OPTIONAL)
        with self.target.transaction() as session:
            agreed = self._agreement()
            if agreed is not None and agreed.state == "paused":
                authorise.resume(
                    self.estab, self.partner.id, by=session.get_one(Administrator, self.owner).memberships[0]
                )

    def _register(self, optional):
        with self.target.transaction() as session:
            session.get_one(Client, self.partner.id).optional_scopes = optional
            registry.forget(self.partner.id)


@pytest.mark.parametrize("rotates", [False, True])
def test_each_code_has_one_lineage_within_the_agreed_scopes(target, rotates):
    class Machine(Tokens):
        pass

    Machine.target, Machine.rotates = target, rotates
    run_state_machine_as_test(Machine, settings=fuzz_settings(0.4))
