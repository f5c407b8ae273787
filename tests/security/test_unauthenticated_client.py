"""security.md S16: a confidential client with no, wrong, two, or another registered method (CVE-2026-53512)."""

import pytest

from idp.partners.models import Client, Partner

ENDPOINTS = {
    "/oauth/token": {"grant_type": "refresh_token", "refresh_token": "x"},
    "/oauth/revoke": {"token": "x"},
    "/oauth/introspect": {"token": "x"},
    "/oauth/par": {"response_type": "code"},
}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_every_failed_client_authentication_gets_the_same_401(web, world, path):
    form, partner = ENDPOINTS[path], world.partner
    by_post = world.new_partner(token_endpoint_auth_method="client_secret_post")
    by_basic = world.new_partner(pin_token_endpoint_auth_method=True)
    public = world.new_partner(token_endpoint_auth_method="none")
    tries = [
        {"data": form},
        {"data": {**form, "client_id": partner.id}},
        {"data": {**form, "client_id": by_basic.id, "client_secret": by_basic.secret}},  # pinned to Basic
        {"data": {**form, "client_id": partner.id, "client_secret": "wrong"}},
        {"data": {**form, "client_id": "unknown", "client_secret": "wrong"}},
        {"data": {**form, "client_id": by_post.id}},
        {"data": {**form, "client_id": public.id, "client_secret": "x"}},
        {"data": {**form, "client_id": partner.id, "client_assertion": "x.y.z", "client_assertion_type": "x"}},
        {"data": form, "headers": {"Authorization": partner.basic["Authorization"].replace("Basic", "Bearer")}},
        {"data": {**form, "client_id": public.id}, "headers": partner.basic},
    ]
    responses = [web.post(path, **attempt) for attempt in tries]
    assert {response.status_code for response in responses} == {401}
    assert len({response.text for response in responses}) == 1
    assert responses[0].json["error"] == "invalid_client"


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_disabled_client_and_one_of_a_disabled_partner_are_unknown(web, world, path):
    with world.transaction() as session:
        partner_id = session.get_one(Client, world.partner.id).partner_id
    world.change(Client, world.partner.id, enabled=False)
    disabled = world.partner.post(web, path, ENDPOINTS[path])
    world.change(Client, world.partner.id, enabled=True)
    assert world.partner.post(web, path, ENDPOINTS[path]).status_code != 401
    with world.transaction() as session:
        at = session.get_one(Partner, partner_id).created_at
    world.change(Partner, partner_id, disabled_at=at)
    assert disabled.status_code == world.partner.post(web, path, ENDPOINTS[path]).status_code == 401


@pytest.mark.parametrize("path", ENDPOINTS)
def test_two_methods_are_an_invalid_request(web, world, path):
    for second in ("client_secret", "client_assertion", "client_assertion_type"):
        form = {**ENDPOINTS[path], "client_id": world.partner.id, second: "x"}
        response = web.post(path, data=form, headers=world.partner.basic)
        assert (response.status_code, response.json["error"]) == (400, "invalid_request")
