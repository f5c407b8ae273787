"""Quick starts that take minutes to compile: the gate runs these tests beside those of pages and of PostgreSQL."""

from urllib.parse import urlencode

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session

from idp.developers import quick_starts
from tests.interoperability import quick_start_sites as sites, quick_start_visits as visits

ORIGIN = "https://calls-an-api.example"
CALLBACK = f"{ORIGIN}/callback"


@pytest.mark.parametrize("quick_start_id", sorted(sites.SLOW_TO_COMPILE))
def test_a_compiled_quick_start_signs_in_refreshes_and_logs_out(
    provider, browser, prepare_folder, quick_start_id, monkeypatch
):
    visits.sign_in_refresh_and_logout(provider, browser, prepare_folder, quick_start_id, monkeypatch)


def test_a_resource_server_accepts_only_an_access_token_for_itself(provider, visitor, prepare_folder):
    quick_start = quick_starts.find("spring-resource-server")
    client_of_api = provider.register(CALLBACK, extra_scopes=frozenset({"school"}))
    with sites.running(provider, quick_start.id, prepare_folder(quick_start)) as site:
        client = OAuth2Session(
            client_of_api.client_id,
            client_of_api.secret,
            scope="openid school",
            redirect_uri=CALLBACK,
            code_challenge_method="S256",
        )
        api, metadata = {"resource": f"{site.url}/"}, client_of_api.metadata
        authorization_url, _ = client.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier="v" * 48, **api
        )
        callback = visitor(ORIGIN).visit(authorization_url)
        callback_url = f"{callback.url}?{urlencode(callback.query)}"
        tokens = client.fetch_token(
            metadata["token_endpoint"], code_verifier="v" * 48, authorization_response=callback_url, **api
        )
        assert call(site, tokens["access_token"]).text == f"Called by {client_of_api.client_id}"
        assert call(site, tokens["id_token"]).status_code == 401
        assert call(site, "nothing").status_code == 401


def call(site, token):
    """Call the API of the site with this bearer token."""
    return requests.get(f"{site.url}/", headers={"Authorization": f"Bearer {token}"}, timeout=20)


def test_oauth2_proxy_forwards_requests_of_signed_in_people_only(provider, browser, prepare_folder):
    quick_start = quick_starts.find("oauth2-proxy")
    with sites.running(provider, quick_start.id, prepare_folder(quick_start)) as site:
        browser.open(f"{site.url}/")
        assert browser.page.status == 403
        visits.begin_sign_in(browser, site)
        browser.sign_in()
        browser.press("deny")
        assert "access_denied" in browser.page.text
        visits.begin_sign_in(browser, site)
        browser.visit_page()
        assert browser.page.status == 502, "the request was forwarded, and there is no server behind the proxy"
        browser.open(f"{site.url}{quick_start.sign_out}")
        browser.open(f"{site.url}/")
        assert browser.page.status == 403
