"""security.md S36: a scope that was removed from the catalogue is never granted again, and what still has it works
without it.
"""

import json

import pytest
from click.testing import CliRunner

from idp.doctor import doctor
from idp.foundation import scopes
from idp.partners import registry
from idp.partners.models import Client
from tests.oidc.support import follow_redirects, obtain_tokens, page, press, redirect_parameters, sign_in_and_authorise

REMOVED_SCOPE = "students"


@pytest.fixture
def remove_scope(monkeypatch):
    """`remove_scope()` removes the scope from the catalogue, as a later release might."""

    def remove():
        remaining = {name: entry for name, entry in scopes.catalogue().items() if name != REMOVED_SCOPE}
        monkeypatch.setattr(scopes, "catalogue", lambda: remaining)
        registry.forget()

    return remove


@pytest.fixture
def tokens(web, world, remove_scope):
    body = obtain_tokens(web, world.partner, world.username)
    assert REMOVED_SCOPE in body["scope"].split()
    with world.transaction():
        remove_scope()
    return body


def test_tokens_with_a_removed_scope_work_without_it(web, world, tokens):
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert web.get("/oauth/userinfo", headers=headers).status_code == 200
    body = world.partner.post(web, "/oauth/introspect", {"token": tokens["access_token"]}).json
    assert body["active"] is True
    assert REMOVED_SCOPE not in body["scope"].split()
    refreshed = world.partner.refresh(web, tokens["refresh_token"]).json
    assert REMOVED_SCOPE not in refreshed["scope"].split()
    assert "school" in refreshed["scope"].split()


def test_a_removed_scope_cannot_be_requested_and_other_requests_work(web, world, tokens):
    assert redirect_parameters(web.get(world.partner.link()))["error"] == "invalid_scope"
    again = redirect_parameters(web.get(world.partner.link(scope="openid offline_access school")))
    assert "code" in again


def test_a_school_can_agree_again_and_see_and_change_what_it_shares(web, world, tokens):
    scope = "openid offline_access school attendance"
    consent_page = follow_redirects(web, web.get(world.partner.link(scope=scope, prompt="consent")))
    assert "code" in redirect_parameters(
        follow_redirects(web, press(web, consent_page, "allow", authority="y", area=["attendance"]))
    )
    assert web.get("/manage").status_code == 200
    change_page = web.get(f"/manage/sharing/{world.partner.id}/change")
    assert page(change_page).find(attrs={"name": "area"})


def report(app):
    result = CliRunner().invoke(doctor, ["--json"], obj=lambda: app)
    return [finding for finding in json.loads(result.stdout) if finding["what"] == "scopes"]


def test_doctor_names_clients_and_authorisations_with_a_removed_scope(app, world, tokens):
    (client, agreements) = report(app)
    assert {item["level"] for item in (client, agreements)} == {"warning"}
    assert world.partner.id in client["message"]
    assert "1 agreement" in agreements["message"]
    assert REMOVED_SCOPE in client["message"]
    assert REMOVED_SCOPE in agreements["message"]


def test_the_doctor_finds_nothing_where_all_are_known(app, web, world):
    sign_in_and_authorise(web, world.partner, world.username)
    (finding,) = report(app)
    assert finding["level"] == "ok"


def test_doctor_reports_no_client_without_a_removed_scope(app, world, remove_scope):
    with world.transaction() as session:
        client = session.get_one(Client, world.partner.id)
        client.required_scopes = client.required_scopes - {REMOVED_SCOPE}
        remove_scope()
    (finding,) = report(app)
    assert finding["level"] == "ok"
