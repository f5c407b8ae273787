"""S46 for the protocol: what was read of a refresh token or a pending request is out of date by the time it is used.

Each verb is handed what it read before another request changed the row, as when two meet on PostgreSQL.
"""

import pytest
from authlib.oauth2 import OAuth2Error

from idp.foundation import crypto
from idp.foundation.database import session
from idp.oidc.authorization import pending_requests
from idp.oidc.clients import client as clients
from idp.oidc.errors import StaleRequest
from idp.oidc.models import AuthorizationRequest, RefreshFamily
from idp.oidc.tokens import access_tokens, families
from tests.oidc.support import sign_in_and_authorise
from tests.oidc.world import world

__all__ = ["world"]


@pytest.fixture
def app_of_a_school(web, world):
    """A public client, and its first refresh token, which rotates."""
    partner = world.new_partner(token_endpoint_auth_method="none")
    return partner, partner.redeems(web, sign_in_and_authorise(web, partner, world.username)["code"]).json[
        "refresh_token"
    ]


def test_a_family_that_was_revoked_meanwhile_has_no_successor(work, app_of_a_school):
    partner, token = app_of_a_school
    with work():
        client = clients.find(partner.id)
        presented = families.present(token, client, None)
        access_tokens.revoke_lineage(presented.family.basis.lineage)

        with pytest.raises(OAuth2Error, match="revoked"):
            families.use(token, presented)


def test_a_token_that_was_overtaken_twice_meanwhile_does_not_set_the_family_back(work, app_of_a_school):
    partner, token = app_of_a_school
    with work():
        client = clients.find(partner.id)
        presented = families.present(token, client, None)
        second = families.use(token, families.present(token, client, None))
        families.use(second, families.present(second, client, None))

        with pytest.raises(OAuth2Error, match="used before"):
            families.use(token, presented)
        assert session().get_one(RefreshFamily, presented.family.id).sequence == 2


def test_a_pushed_request_that_another_browser_opened_meanwhile_is_not_taken_over(app, web, work, world):
    urn = world.partner.posts(web, "/oauth/par", world.partner.parameters()).json["request_uri"]
    digest = crypto.digest(urn.removeprefix(pending_requests.URN))
    with app.test_request_context("/oauth/authorize"), work():
        first, _ = pending_requests._bind(digest, clients.find(world.partner.id))
    with app.test_request_context("/oauth/authorize"), pytest.raises(StaleRequest), work():
        pending_requests._bind(digest, clients.find(world.partner.id))
    with work() as database:
        assert database.get_one(AuthorizationRequest, digest).browser == first
