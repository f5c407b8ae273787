"""Quick starts that are compiled for minutes: the gate does so beside the tests of pages and of PostgreSQL."""

from urllib.parse import urlencode

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session

from idp.developers import quick_starts
from tests.interoperability import quick_start_sites as sites, quick_start_visits as visits

ORIGIN = "https://calls-an-api.example"
CALLBACK = f"{ORIGIN}/callback"


@pytest.mark.parametrize("quick_start_id", sorted(sites.BUILT))
def test_sign_in_refresh_and_logout(scene, browser, prepared, quick_start_id, monkeypatch):
    visits.sign_in_refresh_and_logout(scene, browser, prepared, quick_start_id, monkeypatch)


def test_a_resource_server_takes_a_token_for_itself_alone(scene, visitor, prepared):
    quick_start = quick_starts.find("spring-resource-server")
    caller = scene.register(CALLBACK, also=frozenset({"school"}))
    with sites.running(scene, quick_start.id, prepared(quick_start)) as site:
        client = OAuth2Session(
            caller.client_id, caller.secret, scope="openid school", redirect_uri=CALLBACK, code_challenge_method="S256"
        )
        api, metadata = {"resource": f"{site.address}/"}, caller.metadata
        to, _ = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier="v" * 48, **api)
        callback = visitor(ORIGIN).visit(to)
        response = f"{callback.address}?{urlencode(callback.query)}"
        tokens = client.fetch_token(
            metadata["token_endpoint"], code_verifier="v" * 48, authorization_response=response, **api
        )
        assert call(site, tokens["access_token"]).text == f"Called by {caller.client_id}"
        assert call(site, tokens["id_token"]).status_code == 401
        assert call(site, "nothing").status_code == 401


def call(site, token):
    return requests.get(f"{site.address}/", headers={"Authorization": f"Bearer {token}"}, timeout=20)


def test_oauth2_proxy_lets_a_person_through(scene, browser, prepared):
    quick_start = quick_starts.find("oauth2-proxy")
    with sites.running(scene, quick_start.id, prepared(quick_start)) as site:
        browser.open(f"{site.address}/")
        assert browser.page.status == 403
        visits.begin_sign_in(browser, site)
        browser.sign_in()
        browser.press("deny")
        assert "access_denied" in browser.page.text
        visits.begin_sign_in(browser, site)
        browser.visit_page()
        assert browser.page.status == 502, "it has let the person through, and nothing is behind it"
        browser.open(f"{site.address}{quick_start.sign_out}")
        browser.open(f"{site.address}/")
        assert browser.page.status == 403
