"""3rd-Party-Initiated Login OP (protocol.md §3.6): the URL at which a client has its sign-ins begun, https only."""

import pytest

from tests.conformance import conditions

PLAN = "3rd-Party-Init OP"
MODULE = "oidcc-3rd_party-{}"
REGISTRATION = "OpenID Connect Dynamic Client Registration 1.0"

spec = pytest.mark.spec


@spec(
    "OpenID Connect Core 1.0",
    "4",
    requirement="A client can register initiate_login_uri, and the response has it",
)
@spec(REGISTRATION, "4.3", requirement="The client reads its registration, with initiate_login_uri, by its own token")
def test_init_login(register, provider, prepared):
    uri = f"{prepared.suite}/initiate_login"
    response = register(initiate_login_uri=uri)
    assert response.status_code == 201
    conditions.is_json(response)
    registration = response.json()
    assert registration["initiate_login_uri"] == uri
    own = {"Authorization": f"Bearer {registration['registration_access_token']}"}
    read = provider.http.get(registration["registration_client_uri"], headers=own, timeout=20)
    assert read.status_code == 200
    conditions.is_json(read)
    assert read.json()["initiate_login_uri"] == uri
    assert read.json()["client_id"] == registration["client_id"]


@spec(REGISTRATION, "2", requirement="initiate_login_uri must be https")
def test_init_login_nohttps(register, prepared):
    uri = f"{prepared.suite}/initiate_login".replace("https:", "http:")
    conditions.registration_refused(register(initiate_login_uri=uri), "invalid_client_metadata")
