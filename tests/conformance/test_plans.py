"""The configurations that `tests.conformance.suite` writes work: each is carried out here, as the suite would.

Nothing but what a module waits for may reach the suite, which fails a module at an unexpected request.
"""

from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest

from idp.foundation.web import transactions
from idp.outbox import deliver
from tests.conformance import conditions
from tests.conformance.scripted_browser import Suite
from tests.conformance.suite import plans

SECRETS = ["static.json", "registered.json", "backchannel.json"]
FAPI = ["fapi2-openid.json", "fapi2-plain.json", "fapi2-signing-openid.json", "fapi2-signing-plain.json"]
CLIENT_CREDENTIALS_FILE = "fapi2-client-credentials.json"

PERSONAL = "openid profile email phone offline_access"
EXPECTED_SCOPES = {"openid": PERSONAL, "plain": "school offline_access"}


@pytest.fixture
def configurations(served, prepared):
    with transactions.transaction(served.app):
        return plans.all_configurations(prepared)


@pytest.fixture
def requests_to_suite(served, suite):
    """`requests_to_suite()` delivers all messages that are due, and returns the requests that reached the suite, except
    the browser's.
    """
    transaction = partial(transactions.transaction, served.app)
    deliver_all(transaction)  # of other tests
    suite.all_requests.clear()

    def deliver_and_list():
        deliver_all(transaction)
        return [(request["method"], request["path"]) for request in suite.all_requests]

    return deliver_and_list


def deliver_all(transaction):
    while deliver.run_once(transaction, deliver.EVENT):
        pass


@pytest.fixture
def make_suite(configurations, provider, prepared, a_browser, register, xporter):
    """`make_suite("static.json")` is the suite with that configuration; clients that it lacks register themselves."""

    def make(file):
        configuration = {**configurations[file]}
        for part in ("client", "client2"):
            if "initial_access_token" in configuration[part]:
                name_only = {name: value for name, value in configuration[part].items() if name == "client_name"}
                more = {
                    "post_logout_redirect_uris": [f"{prepared.suite}/post_logout_redirect"],
                    "grant_types": ["authorization_code", "refresh_token"],
                }
                response = register(configuration[part]["initial_access_token"], **name_only, **more)
                assert response.status_code == 201, response.text
                configuration[part] = response.json()
        return Suite(configuration, provider, f"{prepared.suite}/callback", a_browser)

    return make


@pytest.fixture
def suite_and_client(make_suite):
    """The suite with a configuration, and the modules' common steps."""

    def make(file, part="client"):
        suite = make_suite(file)
        signing = {"signs_requests": True, "common_parameters": {"response_mode": "jwt"}} if "signing" in file else {}
        return suite, suite.client(part, **signing)

    return make


def test_every_configuration_has_a_test(configurations):
    assert sorted(configurations) == sorted([*SECRETS, *FAPI, CLIENT_CREDENTIALS_FILE])


@pytest.mark.parametrize("file", [*SECRETS, *FAPI])
def test_both_clients_get_through_each_page_and_refresh(suite_and_client, file, requests_to_suite):
    for part in ("client", "client2"):
        suite, client = suite_and_client(file, part)
        scope = {} if file in FAPI else {"scope": PERSONAL}
        browser = suite.scripted_browser()
        signed_in = client.complete_sign_in(browser.visit(client.authorization_url(prompt="login consent", **scope)))
        assert set(signed_in.tokens["scope"].split()) == set((client.scope if file in FAPI else PERSONAL).split())
        assert client.refresh(signed_in.tokens["refresh_token"]).status_code == 200
        client.complete_sign_in(browser.visit(client.authorization_url(**scope)))
    assert requests_to_suite() == []


def test_the_scopes_are_those_that_the_modules_need(configurations):
    for file in FAPI:
        expected = EXPECTED_SCOPES[file.removesuffix(".json").rpartition("-")[2]]
        assert {configurations[file][part]["scope"] for part in ("client", "client2")} == {expected}


def test_the_form_post_plan_has_a_client_of_its_own(suite_and_client):
    suite, client = suite_and_client("static.json", "client_secret_post")
    client.complete_sign_in(suite.scripted_browser().visit(client.authorization_url(prompt="login consent")))


def test_clients_get_tokens_of_their_own(suite_and_client):
    for part in ("client", "client2"):
        _, client = suite_and_client(CLIENT_CREDENTIALS_FILE, part)
        response = client.post("token", {"grant_type": "client_credentials", "scope": client.scope})
        assert client.is_token_accepted(conditions.tokens(response, "DPoP")["access_token"])


def test_back_channel_logout_is_sent_once_and_to_this_client_only(suite_and_client, requests_to_suite, prepared):
    suite, client = suite_and_client("backchannel.json")
    browser = suite.scripted_browser()
    signed_in = client.complete_sign_in(browser.visit(client.authorization_url(prompt="login consent")))
    back = browser.visit(logout_of(client, prepared, "", signed_in.id_token))
    assert back.query == [("state", "x")]
    assert requests_to_suite() == [("POST", "/test/a/idaas/backchannel_logout")]


# Modules that end on a page of ours

OIDC = [
    *plans.SIGN_IN_AGAIN, "oidcc-ensure-registered-redirect-uri",
    *(f"oidcc-rp-initiated-logout-{name}" for name in (
        *plans.LOGOUT_ERRORS, *plans.LOGOUT_CONFIRMED, "no-id-token-hint", "no-post-logout-redirect-uri",
    )),
]  # fmt: skip
FAPI_MODULES = (
    "user-rejects-authentication", "par-ensure-reused-request-uri-prior-to-auth-completion-succeeds",
    "par-attempt-reuse-request_uri", "par-attempt-to-use-expired-request_uri",
    "par-attempt-to-use-request_uri-for-different-client",
)  # fmt: skip


def test_every_module_with_its_own_browser_commands_has_a_test(configurations):
    for file, configuration in configurations.items():
        names = set(configuration.get("override", ()))
        if file in FAPI:
            assert names == {f"{plans.FAPI_MODULES}{name}" for name in FAPI_MODULES}
        else:
            assert names in (set(OIDC), set())


for_both_oidc_files = pytest.mark.parametrize("file", ["static.json", "registered.json"])


@for_both_oidc_files
@pytest.mark.parametrize("module", plans.SIGN_IN_AGAIN)
def test_a_second_sign_in_is_captured_as_a_screenshot(suite_and_client, file, module, requests_to_suite):
    suite, client = suite_and_client(file)
    browser = suite.scripted_browser(module)
    client.complete_sign_in(browser.visit(client.authorization_url()))
    client.complete_sign_in(browser.visit(client.authorization_url(prompt="login")))
    assert browser.screenshots == ["sign-in", "sign-in"]
    assert requests_to_suite() == []


@for_both_oidc_files
def test_the_error_page_of_an_unregistered_redirect_uri_is_captured_as_a_screenshot(suite_and_client, file):
    suite, client = suite_and_client(file)
    browser = suite.scripted_browser("oidcc-ensure-registered-redirect-uri")
    assert browser.visit(client.authorization_url(redirect_uri="https://elsewhere.example/")) is None
    assert browser.screenshots == ["error-parameter"]


def logout_of(client, prepared, module, hint):
    """The parameters that the module sends to the end-session endpoint."""
    post_logout_uri = f"{prepared.suite}/post_logout_redirect"
    sent = {"id_token_hint": hint, "post_logout_redirect_uri": post_logout_uri, "state": "x"}
    overrides: dict[str, dict[str, Any]] = {
        "bad-post-logout-redirect-uri": {"post_logout_redirect_uri": f"{post_logout_uri}/bad"},
        "query-added-to-post-logout-redirect-uri": {"post_logout_redirect_uri": f"{post_logout_uri}?foo=bar"},
        "modified-id-token-hint": {"id_token_hint": f"{hint}x"}, "bad-id-token-hint": {"id_token_hint": "bad"},
        "no-id-token-hint": {"id_token_hint": None},
        "no-params": {"id_token_hint": None, "post_logout_redirect_uri": None, "state": None},
        "no-post-logout-redirect-uri": {"post_logout_redirect_uri": None},
        "only-state": {"id_token_hint": None, "post_logout_redirect_uri": None},
    }  # fmt: skip
    parameters = {name: value for name, value in {**sent, **overrides.get(module, {})}.items() if value is not None}
    return f"{client.provider.metadata['end_session_endpoint']}?{urlencode(parameters)}"


@for_both_oidc_files
@pytest.mark.parametrize(
    ("module", "screenshot"),
    [
        *((module, "error-parameter") for module in plans.LOGOUT_ERRORS), ("no-id-token-hint", "confirm-logout"),
        *((module, "signed-out") for module in (*plans.LOGOUT_CONFIRMED, "no-post-logout-redirect-uri")),
    ],
)  # fmt: skip
def test_logout_that_ends_on_a_page(suite_and_client, prepared, file, module, screenshot, requests_to_suite):
    suite, client = suite_and_client(file)
    browser = suite.scripted_browser(f"oidcc-rp-initiated-logout-{module}")
    signed_in = client.complete_sign_in(browser.visit(client.authorization_url()))
    assert browser.visit(logout_of(client, prepared, module, signed_in.id_token)) is None
    assert browser.screenshots == [screenshot]
    assert requests_to_suite() == []


@for_both_oidc_files
def test_logout_that_redirects_back(suite_and_client, prepared, file, requests_to_suite):
    suite, client = suite_and_client(file)
    browser = suite.scripted_browser()
    signed_in = client.complete_sign_in(browser.visit(client.authorization_url()))
    back = browser.visit(logout_of(client, prepared, "", signed_in.id_token))
    assert back.query == [("state", "x")]
    assert requests_to_suite() == []


@pytest.mark.parametrize("file", FAPI)
def test_cancel_at_the_sign_in_page(suite_and_client, file):
    suite, client = suite_and_client(file)
    browser = suite.scripted_browser(f"{plans.FAPI_MODULES}user-rejects-authentication")
    client.assert_refused(browser.visit(client.authorization_url()), "access_denied")


@pytest.mark.parametrize("file", FAPI)
def test_opening_the_request_again_after_leaving(suite_and_client, file, requests_to_suite):
    suite, client = suite_and_client(file)
    browser = suite.scripted_browser(
        f"{plans.FAPI_MODULES}par-ensure-reused-request-uri-prior-to-auth-completion-succeeds"
    )
    link = client.authorization_url()
    assert browser.visit(link) is None
    client.complete_sign_in(browser.visit(link))
    assert requests_to_suite() == []


@pytest.mark.parametrize("file", FAPI)
def test_the_error_page_of_an_answered_request_is_captured_as_a_screenshot(suite_and_client, file):
    suite, client = suite_and_client(file)
    browser = suite.scripted_browser(f"{plans.FAPI_MODULES}par-attempt-reuse-request_uri")
    link = client.authorization_url()
    client.complete_sign_in(browser.visit(link))
    assert browser.visit(link) is None
    assert browser.screenshots == ["error-code"]


@pytest.mark.parametrize("file", FAPI)
def test_the_error_page_of_an_expired_request_is_captured_as_a_screenshot(suite_and_client, file, wait):
    suite, client = suite_and_client(file)
    browser = suite.scripted_browser(f"{plans.FAPI_MODULES}par-attempt-to-use-expired-request_uri")
    link = client.authorization_url()
    wait(91)
    assert browser.visit(link) is None
    assert browser.screenshots == ["error-code"]


@pytest.mark.parametrize("file", FAPI)
def test_the_error_page_of_another_clients_request_is_captured_as_a_screenshot(suite_and_client, file):
    suite, client = suite_and_client(file)
    _, other = suite_and_client(file, "client2")
    browser = suite.scripted_browser(f"{plans.FAPI_MODULES}par-attempt-to-use-request_uri-for-different-client")
    assert browser.visit(other.link(client.pushed_request_uri())) is None
    assert browser.screenshots == ["error-code"]
