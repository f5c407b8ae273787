"""security.md S11: a registration cannot exceed its policy (CVE-2026-22752, CVE-2026-9705, CVE-2026-116672)."""

import pytest
from joserfc.jwk import ECKey
from sqlalchemy import select

from idp.audit.models import Entry
from idp.partners import registry
from idp.partners.models import Client
from tests.oidc.registering import Registrar, an_initial_token, bearer_header, metadata, path_of

PRIVATE_ADDRESSES = [
    "http://127.0.0.1/x", "https://127.0.0.1/x", "https://169.254.169.254/latest", "https://[::1]/x", "https://0x7f.1/x",
    "https://2130706433/x", "https://localhost/x", "gopher://127.0.0.1/x", "file:///etc/passwd",
]  # fmt: skip


@pytest.fixture
def registrar(web, transaction):
    with transaction():
        return Registrar(web, an_initial_token())


@pytest.mark.parametrize("uri", PRIVATE_ADDRESSES)
def test_a_private_address_is_not_fetched_for_a_sector(registrar, change_settings, uri):
    change_settings(fetch={"allow_loopback": False})
    response = registrar.register(sector_identifier_uri=uri)
    assert response.status_code == 400
    assert response.json["error"] == "invalid_client_metadata"


@pytest.mark.parametrize("scope", ["openid school", "schools.list", "openid students.sen"])
def test_no_more_scopes_than_the_token_allows(registrar, scope):
    assert registrar.register(scope=scope).json["error"] == "invalid_client_metadata"
    registration = registrar.registered(scope="openid")
    body = metadata(client_id=registration["client_id"], scope=scope)
    assert registrar.manage(registration, "PUT", json=body).json["error"] == "invalid_client_metadata"


def test_private_keys_are_refused_and_not_stored(registrar, transaction):
    private = ECKey.generate_key("P-256").as_dict(private=True)
    response = registrar.register(jwks={"keys": [private]})
    assert response.json["error"] == "invalid_client_metadata"
    assert private["d"] not in response.text
    with transaction() as session:
        assert session.query(Client).count() == 0


def test_another_clients_registration_token_is_refused(registrar):
    own, other = registrar.registered(), registrar.registered()
    for method in ("GET", "PUT", "DELETE"):
        response = registrar.web.open(
            path_of(own), method=method, headers=bearer_header(other["registration_access_token"]),
            json=metadata(client_id=own["client_id"]) if method == "PUT" else None,
        )  # fmt: skip
        assert response.status_code == 401
        assert response.json["error"] == "invalid_token"
    assert registrar.manage(own).status_code == 200


def test_other_secrets_are_refused_as_registration_tokens(registrar):
    registration = registrar.registered()
    for wrong in (registrar.token, registration["client_secret"], registration["client_id"], ""):
        assert registrar.web.get(path_of(registration), headers=bearer_header(wrong)).status_code == 401


def test_a_registration_access_token_registers_no_further_client(registrar):
    registration = registrar.registered()
    response = registrar.web.post(
        "/oauth/register", json=metadata(), headers=bearer_header(registration["registration_access_token"])
    )  # fmt: skip
    assert response.status_code == 401


def test_unknown_clients_and_wrong_tokens_get_the_same_response(registrar):
    registration = registrar.registered()
    wrong = registrar.web.get(path_of(registration), headers=bearer_header("x"))
    unknown = registrar.web.get("/oauth/register/cli_unknown", headers=bearer_header("x"))
    assert (wrong.status_code, wrong.data) == (unknown.status_code, unknown.data)


def test_a_disabled_client_cannot_enable_itself(registrar, transaction):
    registration = registrar.registered()
    with transaction():
        registry.disable(registration["client_id"], by="cli")
    body = metadata(client_id=registration["client_id"], enabled=True)
    assert registrar.manage(registration, "PUT", json=body).status_code == 401
    assert registrar.manage(registration).status_code == 401
    with transaction() as session:
        assert session.get_one(Client, registration["client_id"]).enabled is False


def test_a_client_cannot_make_itself_anothers_nor_set_what_schools_read(registrar, transaction):
    registration = registrar.registered()
    hostile = {
        "id": "x", "partner_id": "x", "partner": "x", "purpose": "x", "enabled": False, "version": 9,
        "profile": "fapi2", "require_pkce": True, "agreement_version": "x", "authorisation_days": 9999,
        "required_scopes": ["school"], "client_scopes": ["schools.list"], "created_at": "2000-01-01T00:00:00Z",
    }  # fmt: skip
    with transaction() as session:
        before = session.get_one(Client, registration["client_id"]).partner_id
    body = metadata(client_id=registration["client_id"]) | hostile
    assert registrar.manage(registration, "PUT", json=body).status_code == 200
    with transaction() as session:
        client = session.get_one(Client, registration["client_id"])
        assert client.partner_id == before
        assert (client.purpose, client.enabled, client.profile, client.require_pkce) == ("", True, "oidc", False)
        assert client.required_scopes == {"openid", "profile", "email", "phone"}
        assert not client.client_scopes


def test_error_responses_do_not_repeat_what_was_sent(registrar):
    canary = "canary-4f1c"
    response = registrar.register(
        redirect_uris=[f"javascript:{canary}"], client_name=f"\x00{canary}", scope=canary, contacts=[canary],
        jwks={"keys": [{"kty": "RSA", "d": canary}]},
    )  # fmt: skip
    assert response.status_code == 400
    assert canary not in response.text


def test_tokens_are_in_no_log_and_no_audit_entry(registrar, transaction, caplog, capsys):
    registration = registrar.registered()
    registrar.manage(registration)
    registrar.manage(registration, "DELETE")
    with transaction() as session:
        entries = repr([(row.facts, row.subject) for row in session.scalars(select(Entry))])
    entries += caplog.text + capsys.readouterr().out
    for secret in (registrar.token, registration["registration_access_token"], registration["client_secret"]):
        assert secret not in entries
