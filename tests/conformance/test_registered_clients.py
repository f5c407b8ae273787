"""The plans with dynamic registration (protocol.md §3.7): each module again, with a client registered for it.

The modules themselves are those of their own plans. Here are the registrations, their responses, and that the suite
deletes them.
"""

from urllib.parse import urlsplit

import pytest
from joserfc.jwk import RSAKey

from tests.conformance import conditions, test_basic
from tests.conformance.test_basic import *  # noqa: F403  the same modules, under this plan's name
from tests.conformance.test_rp_initiated_logout import *  # noqa: F403

PLAN = "With dynamic registration: Basic OP, Form Post OP, RP-Initiated Logout OP"
MODULE = "oidcc-{}"
REGISTRATION = "OpenID Connect Dynamic Client Registration 1.0"

spec = pytest.mark.spec


@pytest.fixture(scope="module")
def keys():
    """The suite's keys, which it registers in addition to a secret."""
    return {"keys": [RSAKey.generate_key(2048, parameters={"kid": "suite", "use": "sig"}).as_dict(private=False)]}


def pytest_generate_tests(metafunc):
    """Basic OP is also Form Post OP; logout and registration are the same in both."""
    if metafunc.function.__module__ == test_basic.__name__ and "response_mode" in metafunc.fixturenames:
        metafunc.parametrize("response_mode", [None, "form_post"], ids=["query", "form_post"])


@pytest.fixture
def a_client(request, a_registered_client, keys, prepared, provider):
    """A new client, registered as the suite does, in place of the static one of a module."""
    registrations = []

    def registered(client_id="conf-basic-1", **_differs):
        module, more = request.node.name, {}
        if "refresh_token" in module:
            more["grant_types"] = ["authorization_code", "refresh_token"]
        if "logout" in module:
            more["post_logout_redirect_uris"] = [f"{prepared.suite}/post_logout_redirect"]
        method = "client_secret_post" if "post" in client_id else "client_secret_basic"
        relying_party = a_registered_client(jwks=keys, token_endpoint_auth_method=method, **more)
        assert {name: relying_party.metadata[name] for name in more} == more
        registrations.append(relying_party.metadata)
        return relying_party

    yield registered
    for metadata in registrations:
        deletes_registration(metadata, provider)


def deletes_registration(metadata, provider):
    own = {"Authorization": f"Bearer {metadata['registration_access_token']}"}
    response = provider.http.delete(metadata["registration_client_uri"], headers=own, timeout=20)
    assert response.status_code == 204, response.text


@spec(REGISTRATION, "3.2", requirement="The response to a registration has all its metadata, a secret and a token")
@spec("RFC 7592", "2.3", requirement="A client deletes its registration")
def test_registration(register, keys, provider, prepared):
    response = register(jwks=keys, request_uris=["https://suite.example/r.jwt#hash"])
    assert response.status_code == 201
    conditions.is_json(response)
    assert response.headers["Cache-Control"] == "no-store"
    registration = response.json()
    assert registration["client_secret_expires_at"] == 0
    conditions.random(registration["client_secret"])
    conditions.random(registration["registration_access_token"])
    assert urlsplit(registration["registration_client_uri"]).scheme == "https"
    assert registration["redirect_uris"] == [f"{prepared.suite}/callback"]
    assert registration["jwks"] == keys
    assert registration["scope"].split() == ["openid", "profile", "email", "phone"]
    assert "request_uris" not in registration
    deletes_registration(registration, provider)


@spec(REGISTRATION, "2", requirement="Post-logout and back-channel logout URIs are registered and returned")
def test_registration_of_logout(register, prepared):
    sent = {
        "post_logout_redirect_uris": [f"{prepared.suite}/post_logout_redirect"],
        "backchannel_logout_uri": f"{prepared.suite}/backchannel_logout", "backchannel_logout_session_required": True,
    }  # fmt: skip
    registration = register(**sent).json()
    assert {name: registration[name] for name in sent} == sent
