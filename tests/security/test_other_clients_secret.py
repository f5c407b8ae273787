"""security.md S13: B presents A's code, refresh token or request URI (CVE-2026-28513): refused, logged, and still valid
for A.
"""

from sqlalchemy import select

from idp.audit.models import Entry
from tests.oidc.support import follow_redirects, obtain_tokens, page, query_of, sign_in_and_authorise


def audited_facts(world, client):
    with world.transaction() as session:
        return [entry.facts for entry in session.scalars(select(Entry).where(Entry.client == client.id))]


def test_another_clients_code_is_refused_and_stays_valid(web, world):
    code, other = sign_in_and_authorise(web, world.partner, world.username)["code"], world.new_partner()
    other.verifier = world.partner.verifier
    assert other.redeem(web, code).json["error"] == "invalid_grant"
    assert audited_facts(world, other) == [{"reason": "code"}]
    assert world.partner.redeem(web, code).status_code == 200


def test_another_clients_refresh_token_is_refused_and_stays_valid(web, world):
    code, other = sign_in_and_authorise(web, world.partner, world.username)["code"], world.new_partner()
    tokens = world.partner.redeem(web, code).json
    assert other.refresh(web, tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert audited_facts(world, other) == [{"reason": "refresh token"}]
    assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200


def test_another_clients_rotating_refresh_token_is_refused_and_stays_valid(web, world):
    public = world.new_partner(token_endpoint_auth_method="none")
    other = world.new_partner(token_endpoint_auth_method="none")
    token = obtain_tokens(web, public, world.username)["refresh_token"]
    assert other.refresh(web, token).json["error"] == "invalid_grant"
    assert public.refresh(web, token).status_code == 200


def test_another_clients_request_uri_is_refused(web, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    pending = query_of(query_of(response.request.url)["next"])
    stolen = web.get("/oauth/authorize", query_string={**pending, "client_id": world.new_partner().id})
    assert stolen.status_code == 400
    assert page(web.get("/oauth/authorize", query_string=pending)).find(id="sign-in") is None
    assert web.get("/oauth/authorize", query_string=pending).location.startswith("/sign-in")
