"""security.md S36: granted scopes never exceed those that were agreed to and registered.

CVE-2026-9704 (Keycloak), GHSA-7qjx-gp9h-65qj (Dex), CVE-2024-29892, CVE-2026-33132 (Zitadel).
"""

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from idp.estabs.models import Administrator, Estab
from idp.foundation import scopes
from idp.foundation.database import session
from idp.foundation.errors import BadRequest
from idp.partners.models import Client
from idp.sharing import authorise
from tests.factories import a_client, an_administrator, an_estab

SCHOOL_SCOPES = sorted(name for name, scope in scopes.catalogue().items() if scope.kind != "client")
school_scopes = st.frozensets(st.sampled_from(SCHOOL_SCOPES))
any_scopes = st.frozensets(st.sampled_from(sorted(scopes.catalogue())))


class Ids(NamedTuple):
    """Ids of a school's owner, and of a client."""

    owner: str
    client: str


@pytest.fixture
def ids(transaction):
    with transaction():
        owner, client = an_administrator(an_estab()), a_client()
        return Ids(owner.id, client.id)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    required=school_scopes, optional=school_scopes, offered=any_scopes, ticked=any_scopes, later=school_scopes,
    requested=any_scopes,
    state=st.sampled_from(["unverified", "verified", "suspended"]),
)  # fmt: skip
def test_granted_scopes_are_requested_agreed_and_registered(
    transaction, ids, required, optional, offered, ticked, later, requested, state
):
    with transaction():
        owner, client = session().get_one(Administrator, ids.owner), session().get_one(Client, ids.client)
        session().get_one(Estab, owner.memberships[0].estab_id).state = "verified"
        client.required_scopes, client.optional_scopes = required, optional - required
        session().flush()
        until = authorise.default_end(client)
        try:
            agreed = authorise.give(
                client,
                ticked,
                by=owner.memberships[0],
                agreement_version="1",
                until=until,
                offered=offered,
                second_step=True,
            )
        except BadRequest:
            assert not ticked <= offered <= client.scopes or offered & required - ticked
            return
        client.required_scopes, client.optional_scopes = later & required, later - required
        owner.memberships[0].estab.state = state
        session().flush()
        agreement_state = authorise.state(agreed.id)
        assert agreement_state
        allowed = agreement_state.allowed(requested)

        assert allowed <= requested
        assert allowed <= agreed.scopes <= offered
        assert allowed <= later
        assert state == "verified" or not scopes.filter_by_kind("data", allowed)
        assert state != "suspended" or not allowed


def test_an_agreement_never_covers_a_scope_that_was_not_shown_to_the_school(transaction, ids):
    with transaction():
        owner, client = session().get_one(Administrator, ids.owner), session().get_one(Client, ids.client)
        everything = client.scopes
        few = client.required_scopes
        authorise.give(client, few, by=owner.memberships[0], agreement_version="1", until=authorise.default_end(client))

        for more in everything - few:
            assert authorise.agreement_in_force(owner.memberships[0].estab_id, client.id, few | {more}) is None
