"""Decisions about refresh tokens and pending requests are made on current rows, not on those read before (S46).

Each function is given what was read before another request changed the row, as when two requests meet on PostgreSQL.
"""

from typing import NamedTuple

import pytest
from authlib.oauth2 import OAuth2Error

from idp.foundation import crypto
from idp.foundation.database import session
from idp.oidc.authorization import pending_requests
from idp.oidc.clients import oauth_client
from idp.oidc.errors import StaleRequest
from idp.oidc.models import AuthorizationRequest, RefreshFamily
from idp.oidc.tokens import access_tokens, families
from tests.oidc.support import Partner, obtain_tokens


class PartnerAndToken(NamedTuple):
    """A public client, and its first refresh token, which rotates."""

    partner: Partner
    token: str


@pytest.fixture
def partner_and_token(web, world):
    partner = world.new_partner(token_endpoint_auth_method="none")
    return PartnerAndToken(partner, obtain_tokens(web, partner, world.username)["refresh_token"])


def test_a_family_that_was_revoked_meanwhile_has_no_successor(transaction, partner_and_token):
    partner, token = partner_and_token
    with transaction():
        client = oauth_client.find(partner.id)
        presented = families.present(token, client, None)
        access_tokens.revoke_lineage(presented.family.basis.lineage)

        with pytest.raises(OAuth2Error, match="revoked"):
            families.use(token, presented)


def test_a_token_that_was_rotated_twice_meanwhile_does_not_reset_the_sequence(transaction, partner_and_token):
    partner, token = partner_and_token
    with transaction():
        client = oauth_client.find(partner.id)
        presented = families.present(token, client, None)
        second = families.use(token, families.present(token, client, None))
        families.use(second, families.present(second, client, None))

        with pytest.raises(OAuth2Error, match="used before"):
            families.use(token, presented)
        assert session().get_one(RefreshFamily, presented.family.id).sequence == 2


def test_a_pushed_request_that_another_browser_opened_meanwhile_is_refused(app, web, transaction, world):
    urn = world.partner.post(web, "/oauth/par", world.partner.parameters()).json["request_uri"]
    digest = crypto.digest(urn.removeprefix(pending_requests.URN_PREFIX))
    with app.test_request_context("/oauth/authorize"), transaction():
        first, _ = pending_requests._bind(digest, oauth_client.find(world.partner.id))
    with app.test_request_context("/oauth/authorize"), pytest.raises(StaleRequest), transaction():
        pending_requests._bind(digest, oauth_client.find(world.partner.id))
    with transaction() as database:
        assert database.get_one(AuthorizationRequest, digest).browser == first
