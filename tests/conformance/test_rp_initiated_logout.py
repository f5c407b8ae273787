"""RP-Initiated Logout OP (protocol.md §3.4)."""

import secrets
from urllib.parse import urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.conformance import conditions

PLAN = "RP-Initiated Logout OP"
MODULE = "oidcc-{}"
LOGOUT = "OpenID Connect RP-Initiated Logout 1.0"
REDIRECT_PARAMETER = "post_logout_redirect_uri"

spec = pytest.mark.spec


@pytest.fixture
def signed_in(client, browser):
    """A person who is about to sign out."""
    return client.sign_in(browser)


@pytest.fixture
def post_logout_uri(prepared):
    """The URL to which the browser is sent after signing out."""
    return f"{prepared.suite}/post_logout_redirect"


@pytest.fixture
def log_out(provider, browser):
    """`log_out(state="x")` opens the end-session endpoint with these parameters."""

    def open_end_session(**sent):
        return browser.open(f"{provider.metadata['end_session_endpoint']}?{urlencode(sent)}")

    return open_end_session


def assert_no_session(client, browser):
    """Whether a silent sign-in is no longer possible."""
    client.assert_refused(browser.visit(client.authorization_url(prompt="none")), "login_required")
    return True


def has_session(client, browser):
    client.get_code(browser.open(client.authorization_url(prompt="none")))
    return True


def assert_error_page(browser, parameter):
    """An error that names the parameter, on a page of ours."""
    assert browser.page.status == 400
    assert parameter in browser.page.text
    assert browser.page.soup.find(id="error-code").text == "invalid_request"
    return True


@spec(LOGOUT, "2.1", requirement="end_session_endpoint is advertised, and its scheme is https")
def test_rp_initiated_logout_discovery_endpoint_verification(provider):
    assert urlsplit(provider.metadata["end_session_endpoint"]).scheme == "https"


@spec(LOGOUT, "2", requirement="With hint, registered URL and state: signed out, and redirected with only the state")
def test_rp_initiated_logout(client, browser, signed_in, post_logout_uri, log_out):
    state = secrets.token_hex(64)
    partner_request = log_out(id_token_hint=signed_in.id_token, post_logout_redirect_uri=post_logout_uri, state=state)
    assert (partner_request.method, partner_request.url, partner_request.query) == (
        "GET",
        post_logout_uri,
        [("state", state)],
    )
    assert assert_no_session(client, browser)


@spec(LOGOUT, "2", requirement="Without state none is returned")
def test_rp_initiated_logout_no_state(client, browser, signed_in, post_logout_uri, log_out):
    partner_request = log_out(id_token_hint=signed_in.id_token, post_logout_redirect_uri=post_logout_uri)
    assert (partner_request.url, partner_request.query) == (post_logout_uri, [])
    assert assert_no_session(client, browser)


@spec(LOGOUT, "3", requirement="A URL that is not registered gets an error page, and no redirect")
def test_rp_initiated_logout_bad_post_logout_redirect_uri(browser, signed_in, post_logout_uri, log_out):
    bad = f"{post_logout_uri}/{secrets.token_hex(5)}"
    assert log_out(id_token_hint=signed_in.id_token, post_logout_redirect_uri=bad, state="x") is None
    assert assert_error_page(browser, REDIRECT_PARAMETER)


@spec(LOGOUT, "3", requirement="A registered URL with a query added counts as not registered")
def test_rp_initiated_logout_query_added_to_post_logout_redirect_uri(browser, signed_in, post_logout_uri, log_out):
    added = f"{post_logout_uri}?foo=bar"
    assert log_out(id_token_hint=signed_in.id_token, post_logout_redirect_uri=added, state="x") is None
    assert assert_error_page(browser, REDIRECT_PARAMETER)


@spec(LOGOUT, "4", requirement="A hint whose signature was removed gets an error page")
def test_rp_initiated_logout_modified_id_token_hint(client, browser, signed_in, post_logout_uri, log_out):
    modified = ".".join([conditions.segment({"alg": "none"}), conditions.segment(signed_in.claims), ""])
    assert log_out(id_token_hint=modified, post_logout_redirect_uri=post_logout_uri, state="x") is None
    assert assert_error_page(browser, "id_token_hint")
    assert has_session(client, browser)


@spec(LOGOUT, "4", requirement="A hint that the client signed with its own secret gets an error page")
def test_rp_initiated_logout_bad_id_token_hint(client, browser, signed_in, post_logout_uri, log_out):
    key = OctKey.import_key(str(client.credentials.secret))
    bad = jwt.encode({"alg": "HS256"}, {**signed_in.claims, "iss": client.id}, key)
    assert log_out(id_token_hint=bad, post_logout_redirect_uri=post_logout_uri, state="x") is None
    assert assert_error_page(browser, "id_token_hint")
    assert has_session(client, browser)


@spec(LOGOUT, "2", requirement="Without a hint the person is asked whether to sign out, and then sees our own page")
def test_rp_initiated_logout_no_id_token_hint(client, browser, signed_in, post_logout_uri, log_out):
    assert log_out(post_logout_redirect_uri=post_logout_uri, state="x") is None
    assert confirm_and_assert_signed_out(client, browser)


def confirm_and_assert_signed_out(client, browser):
    """The page asks; the person is signed out after confirming, and a page says so."""
    assert browser.page.status == 200
    assert "sign out" in browser.page.text.lower()
    assert browser.press("confirm-logout") is None
    assert is_signed_out(browser)
    assert assert_no_session(client, browser)
    return True


def is_signed_out(browser):
    assert browser.page.has("signed-out")
    assert "signed out" in browser.page.text.lower()
    return True


@spec(LOGOUT, "2", requirement="Without any parameter the person is asked whether to sign out")
def test_rp_initiated_logout_no_params(client, browser, signed_in, log_out):
    assert log_out() is None
    assert confirm_and_assert_signed_out(client, browser)


@spec(LOGOUT, "2", requirement="With only a hint the person is signed out, and our page says so")
def test_rp_initiated_logout_no_post_logout_redirect_uri(client, browser, signed_in, log_out):
    assert log_out(id_token_hint=signed_in.id_token, state="x") is None
    assert is_signed_out(browser)
    assert assert_no_session(client, browser)


@spec(LOGOUT, "2", requirement="With only a state the person is asked whether to sign out")
def test_rp_initiated_logout_only_state(client, browser, signed_in, log_out):
    assert log_out(state="x") is None
    assert confirm_and_assert_signed_out(client, browser)
