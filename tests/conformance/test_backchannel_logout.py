"""Back-Channel Logout OP (protocol.md §3.5), with a static client and with one that has registered itself.

The worker runs as it does in production, and delivers to the suite over https.
"""

import json
import secrets
import threading
import time
from urllib.parse import urlencode

import pytest
from joserfc import jws, jwt

from idp import worker
from tests.conformance import conditions

PLAN = "Back-Channel Logout OP"
MODULE = "oidcc-{}"
LOGOUT = "OpenID Connect Back-Channel Logout 1.0"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
TIMEOUT_SECONDS = 120.0
"""Seconds within which a logout token has to arrive (protocol.md §3.9)."""

spec = pytest.mark.spec


@pytest.fixture(params=["static", "registered"])
def client(request, a_client, a_registered_client, prepared):
    if request.param == "static":
        return a_client("conf-backchannel-1")
    return a_registered_client(
        post_logout_redirect_uris=[f"{prepared.suite}/post_logout_redirect"],
        backchannel_logout_uri=f"{prepared.suite}/backchannel_logout", backchannel_logout_session_required=True,
    )  # fmt: skip


@pytest.fixture
def delivered(served, suite):
    """`delivered(sid)` waits until the worker has sent the logout token of that session, once, and returns its claims.
    Logout tokens of other tests' sessions may arrive as well.
    """
    suite.requests.clear()
    stop = threading.Event()
    finish = worker.start(served.app, stop)

    def requests_about(sid):
        return [request for request in list(suite.requests) if decoded(request["form"]["logout_token"])["sid"] == sid]

    def wait_for_request(sid):
        until = time.monotonic() + TIMEOUT_SECONDS
        while not requests_about(sid) and time.monotonic() < until:
            time.sleep(0.02)
        (request,) = requests_about(sid)
        return request

    yield wait_for_request
    stop.set()
    finish()


@spec(LOGOUT, "2.1", requirement="Back-channel logout is advertised, with the session's id in it")
def test_backchannel_logout_discovery_endpoint_verification(provider):
    assert provider.metadata["backchannel_logout_supported"] is True
    assert provider.metadata["backchannel_logout_session_supported"] is True


@spec(
    LOGOUT,
    "2.4",
    requirement="A logout token has sub and sid as the ID Token had, and no other claims about the person",
)
@spec(LOGOUT, "2.5", requirement="A logout that the client requests posts one logout token to it, over TLS 1.3")
def test_backchannel_rp_initiated_logout(client, browser, provider, prepared, delivered):
    signed_in = client.sign_in(browser)
    state, post_logout_uri = secrets.token_hex(64), f"{prepared.suite}/post_logout_redirect"
    parameters = {"id_token_hint": signed_in.id_token, "post_logout_redirect_uri": post_logout_uri, "state": state}
    partner_request = browser.open(f"{provider.metadata['end_session_endpoint']}?{urlencode(parameters)}")
    assert (partner_request.url, partner_request.query) == (post_logout_uri, [("state", state)])
    client.assert_refused(browser.visit(client.authorization_url(prompt="none")), "login_required")

    request = delivered(signed_in.claims["sid"])
    assert request["form"].keys() == {"logout_token"}
    assert (request["type"], request["query"], request["tls"]) == ("application/x-www-form-urlencoded", b"", "TLSv1.3")
    token = request["form"]["logout_token"]
    claims = read(token, client, provider)
    assert claims.keys() == {"iss", "aud", "iat", "exp", "jti", "events", "sub", "sid"}
    assert (claims["sub"], claims["sid"]) == (signed_in.claims["sub"], signed_in.claims["sid"])
    assert claims["events"] == {EVENT: {}}


def decoded(token):
    """The claims, without verification."""
    return json.loads(jws.extract_compact(token.encode()).payload)


def read(token, client, provider):
    """The claims of a logout token, after checking that it is signed like an ID Token, for this client, and new."""
    header = jws.extract_compact(token.encode()).headers()
    assert header["typ"] == "logout+jwt"
    assert header["alg"] == client.alg
    assert header["kid"] in {key.kid for key in provider.keys.keys}
    claims = jwt.decode(token, provider.keys, algorithms=[client.alg]).claims
    assert (claims["iss"], claims["aud"]) == (provider.issuer, client.id)
    assert conditions.now() - 5 <= claims["iat"] <= conditions.now()
    assert conditions.now() < claims["exp"] <= conditions.now() + 120
    return claims
