"""Entries of the protocol in the audit log: the client, the school, and the code or token."""

import pytest
from sqlalchemy import select

from idp.audit import events
from idp.oidc.models import RefreshFamily
from tests.audit_entries import recorded
from tests.oidc.support import obtain_tokens, sign_in_and_authorise


@pytest.fixture
def code(web, world):
    return sign_in_and_authorise(web, world.partner, world.username)["code"]


@pytest.fixture
def tokens(web, world, code):
    return world.partner.redeem(web, code).json


@pytest.fixture
def family(world, tokens):
    """The id and the lineage of the refresh family that the tokens belong to."""
    with world.transaction() as session:
        return session.execute(select(RefreshFamily.id, RefreshFamily.lineage)).one()


def test_a_code_or_refresh_token_of_another_client_is_recorded_under_the_one_that_sent_it(web, world, code):
    other = world.new_partner()
    other.verifier = world.partner.verifier
    other.redeem(web, code)
    tokens = world.partner.redeem(web, code).json
    other.refresh(web, tokens["refresh_token"])

    with world.transaction() as session:
        family = session.scalars(select(RefreshFamily)).one()
        assert recorded(events.CLIENT_REFUSED) == [
            (other.id, None, other.id, family.lineage, {"reason": "code"}, None),
            (other.id, None, other.id, family.id, {"reason": "refresh token"}, None),
        ]


def test_a_code_that_is_replayed_is_recorded_at_the_school(web, world, code, family):
    world.partner.redeem(web, code)

    client = world.partner.id
    with world.transaction():
        assert recorded(events.CODE_REPLAYED) == [(client, world.estab, client, family.lineage, {}, None)]


def test_a_refresh_token_that_is_used_again_is_recorded_at_the_school(web, world):
    partner = world.new_partner(token_endpoint_auth_method="none")
    first = obtain_tokens(web, partner, world.username)["refresh_token"]
    partner.refresh(web, partner.refresh(web, first).json["refresh_token"])
    partner.refresh(web, first)

    with world.transaction() as session:
        family = session.scalars(select(RefreshFamily.id)).one()
        assert recorded(events.REFRESH_REUSED) == [(partner.id, world.estab, partner.id, family, {}, None)]


def test_tokens_that_a_client_revokes_are_recorded_by_their_ids(web, world, tokens, family):
    jti = world.claims(tokens["access_token"])["jti"]
    for kind in ("access_token", "refresh_token"):
        world.partner.post(web, "/oauth/revoke", {"token": tokens[kind]})

    client = world.partner.id
    with world.transaction():
        assert recorded(events.TOKEN_REVOKED) == [
            (client, world.estab, client, jti, {}, None), (client, world.estab, client, family.id, {}, None),
        ]  # fmt: skip
