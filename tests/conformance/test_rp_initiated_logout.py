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
    return client.signs_in(browser)


@pytest.fixture
def post_logout_uri(prepared):
    """The address at which the client wants the browser afterwards."""
    return f"{prepared.suite}/post_logout_redirect"


@pytest.fixture
def leave(provider, browser):
    """`leave(state="x")` opens the end-session endpoint with these parameters."""

    def opened(**sent):
        return browser.opens(f"{provider.metadata['end_session_endpoint']}?{urlencode(sent)}")

    return opened


def has_no_session(client, browser):
    """Whether a silent sign-in is no longer possible."""
    client.is_refused(browser.goes_to(client.authorization_url(prompt="none")), "login_required")
    return True


def has_session(client, browser):
    client.gets_code(browser.opens(client.authorization_url(prompt="none")))
    return True


def shows_error_page(browser, parameter):
    """An error that names the parameter, on a page of ours."""
    assert browser.shown.status == 400
    assert parameter in browser.shown.text
    assert browser.shown.soup.find(id="error-code").text == "invalid_request"
    return True


@spec(LOGOUT, "2.1", requirement="end_session_endpoint is advertised, and https")
def test_rp_initiated_logout_discovery_endpoint_verification(provider):
    assert urlsplit(provider.metadata["end_session_endpoint"]).scheme == "https"


@spec(LOGOUT, "2", requirement="With hint, registered address and state: signed out, and back with the state alone")
def test_rp_initiated_logout(client, browser, signed_in, post_logout_uri, leave):
    state = secrets.token_hex(64)
    arrived = leave(id_token_hint=signed_in.id_token, post_logout_redirect_uri=post_logout_uri, state=state)
    assert (arrived.method, arrived.address, arrived.query) == ("GET", post_logout_uri, [("state", state)])
    assert has_no_session(client, browser)


@spec(LOGOUT, "2", requirement="Without state none is returned")
def test_rp_initiated_logout_no_state(client, browser, signed_in, post_logout_uri, leave):
    arrived = leave(id_token_hint=signed_in.id_token, post_logout_redirect_uri=post_logout_uri)
    assert (arrived.address, arrived.query) == (post_logout_uri, [])
    assert has_no_session(client, browser)


@spec(LOGOUT, "3", requirement="An address that is not registered is a page, and no redirect")
def test_rp_initiated_logout_bad_post_logout_redirect_uri(browser, signed_in, post_logout_uri, leave):
    bad = f"{post_logout_uri}/{secrets.token_hex(5)}"
    assert leave(id_token_hint=signed_in.id_token, post_logout_redirect_uri=bad, state="x") is None
    assert shows_error_page(browser, REDIRECT_PARAMETER)


@spec(LOGOUT, "3", requirement="A registered address with a query added is not registered")
def test_rp_initiated_logout_query_added_to_post_logout_redirect_uri(browser, signed_in, post_logout_uri, leave):
    added = f"{post_logout_uri}?foo=bar"
    assert leave(id_token_hint=signed_in.id_token, post_logout_redirect_uri=added, state="x") is None
    assert shows_error_page(browser, REDIRECT_PARAMETER)


@spec(LOGOUT, "4", requirement="A hint whose signature was taken away is a page")
def test_rp_initiated_logout_modified_id_token_hint(client, browser, signed_in, post_logout_uri, leave):
    modified = ".".join([conditions.segment({"alg": "none"}), conditions.segment(signed_in.claims), ""])
    assert leave(id_token_hint=modified, post_logout_redirect_uri=post_logout_uri, state="x") is None
    assert shows_error_page(browser, "id_token_hint")
    assert has_session(client, browser)


@spec(LOGOUT, "4", requirement="A hint that the client made itself, by its own secret, is a page")
def test_rp_initiated_logout_bad_id_token_hint(client, browser, signed_in, post_logout_uri, leave):
    key = OctKey.import_key(str(client.credentials.secret))
    bad = jwt.encode({"alg": "HS256"}, {**signed_in.claims, "iss": client.id}, key)
    assert leave(id_token_hint=bad, post_logout_redirect_uri=post_logout_uri, state="x") is None
    assert shows_error_page(browser, "id_token_hint")
    assert has_session(client, browser)


@spec(LOGOUT, "2", requirement="Without a hint the person is asked, and then sees our own page")
def test_rp_initiated_logout_no_id_token_hint(client, browser, signed_in, post_logout_uri, leave):
    assert leave(post_logout_redirect_uri=post_logout_uri, state="x") is None
    assert leaves_when_asked(client, browser)


def leaves_when_asked(client, browser):
    """The page asks; the person is signed out after confirming, and a page says so."""
    assert browser.shown.status == 200
    assert "sign out" in browser.shown.text.lower()
    assert browser.presses("confirm-logout") is None
    assert is_signed_out(browser)
    assert has_no_session(client, browser)
    return True


def is_signed_out(browser):
    assert browser.shown.has("signed-out")
    assert "signed out" in browser.shown.text.lower()
    return True


@spec(LOGOUT, "2", requirement="Without any parameter the person is asked")
def test_rp_initiated_logout_no_params(client, browser, signed_in, leave):
    assert leave() is None
    assert leaves_when_asked(client, browser)


@spec(LOGOUT, "2", requirement="With a hint alone the person is signed out, and sees so on our page")
def test_rp_initiated_logout_no_post_logout_redirect_uri(client, browser, signed_in, leave):
    assert leave(id_token_hint=signed_in.id_token, state="x") is None
    assert is_signed_out(browser)
    assert has_no_session(client, browser)


@spec(LOGOUT, "2", requirement="With a state alone the person is asked")
def test_rp_initiated_logout_only_state(client, browser, signed_in, leave):
    assert leave(state="x") is None
    assert leaves_when_asked(client, browser)
