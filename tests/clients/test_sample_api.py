"""The sample API: which tokens it accepts, and its errors for all others. The FAPI 2.0 plans use it too."""

import json
import time
from contextlib import contextmanager

import pytest
import requests
from flask import Flask, Response
from joserfc.jwk import ECKey, RSAKey

from clients.sample_api import settings
from clients.sample_api.app import create_app
from clients.sample_api.proofs import BadProof, Proofs
from tests.certificates import a_certificate
from tests.oidc.signing import ath, bare, signed
from tests.ports import free_port
from tests.serving import serving

RESOURCE = "https://api.example"
OURS = settings.Settings("https://idp.example", "sample-api", "secret", RESOURCE, 5003)
KEY = ECKey.generate_key("P-256")


class Provider:
    """Answers every introspection request with `introspection`; if that is None, it cannot be reached."""

    def __init__(self):
        self.sent, self.introspection = [], {"active": True, "aud": [RESOURCE], "client_id": "c", "scope": "school"}

    def get(self, url, **_how):
        return self._answer({"introspection_endpoint": "https://idp.example/introspect"})

    def post(self, url, **how):
        self.sent.append((url, how["data"], how["auth"]))
        if self.introspection is None:
            raise requests.ConnectionError
        return self._answer(self.introspection)

    @staticmethod
    def _answer(body):
        answer = requests.Response()
        answer.status_code, answer._content = 200, json.dumps(body).encode()
        return answer


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
def api(provider):
    return create_app(OURS, http=provider).test_client()


def proof(key=KEY, alg="ES256", **differs):
    claims = {"jti": str(time.monotonic_ns()), "htm": "GET", "htu": f"{RESOURCE}/access", "iat": int(time.time()),
             "ath": ath("token")}  # fmt: skip
    return signed(claims | differs, key, alg, typ="dpop+jwt", jwk=bare(key), kid=None)


def calls(api, scheme="Bearer", **headers):
    return api.get("/access", headers={"Authorization": f"{scheme} token", **headers})


def test_the_response_has_the_areas_of_the_token_which_is_introspected_each_time(api, provider):
    provider.introspection |= {"estab_id": "2135000", "estab_status": "verified"}
    for _ in range(2):
        answer = calls(api)
        school = {"estab_id": "2135000", "estab_status": "verified"}
        assert (answer.status_code, answer.json) == (200, {"client_id": "c", "school": school, "areas": ["school"]})
        assert answer.headers["Cache-Control"] == "no-store"
    assert provider.sent == [("https://idp.example/introspect", {"token": "token"}, ("sample-api", "secret"))] * 2


def test_every_challenge_refers_to_the_metadata_of_the_api(api, provider):
    at = f"{RESOURCE}/.well-known/oauth-protected-resource"
    metadata = api.get("/.well-known/oauth-protected-resource").json
    assert (metadata["resource"], metadata["authorization_servers"]) == (RESOURCE, ["https://idp.example"])
    assert metadata["scopes_supported"] == ["school", "schools.list"]
    bare_challenge = api.get("/access")
    assert (bare_challenge.status_code, bare_challenge.json) == (401, {})
    assert bare_challenge.headers["WWW-Authenticate"] == f'Bearer resource_metadata="{at}"'
    provider.introspection["scope"] = ""
    nothing = calls(api)
    assert nothing.status_code == 403
    expected = f'Bearer error="insufficient_scope", scope="school schools.list", resource_metadata="{at}"'
    assert nothing.headers["WWW-Authenticate"] == expected


@pytest.mark.parametrize("introspection", [{"active": False}, {"active": True, "aud": "https://idp.example"}])
def test_a_token_that_is_inactive_or_has_another_audience_is_refused(api, provider, introspection):
    provider.introspection = introspection
    answer = calls(api)
    assert (answer.status_code, answer.json) == (401, {"error": "invalid_token"})
    assert api.get("/access?access_token=token").status_code == 400


def test_a_bound_token_needs_its_key_and_an_unbound_one_takes_none(api, provider):
    assert calls(api, "DPoP", DPoP=proof()).status_code == 401
    provider.introspection["cnf"] = {"jkt": KEY.thumbprint()}
    assert calls(api, "DPoP", DPoP=proof()).status_code == 200
    assert calls(api, "Bearer", DPoP=proof()).status_code == 401
    for wrong in ("", "x", f"{proof()}, {proof()}", proof(ath="x"), proof(htm="POST"), proof(iat=1)):
        refused = calls(api, "DPoP", **({"DPoP": wrong} if wrong else {}))
        assert (refused.status_code, refused.json["error"]) == (401, "invalid_dpop_proof")
        assert refused.headers["WWW-Authenticate"].startswith('DPoP error="invalid_dpop_proof"')
    once = proof()
    assert [calls(api, "DPoP", DPoP=once).status_code for _ in range(2)] == [200, 401]


def test_access_is_refused_while_the_provider_is_unreachable(api, provider):
    provider.introspection = None
    assert calls(api).status_code == 503


@pytest.fixture
def log_line_for(monkeypatch, caplog):
    """`asks_at(issuer)` is what the API logs when it cannot ask the provider there; nobody is let in."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)

    def logged(issuer):
        caplog.clear()
        asking = create_app(settings.Settings(issuer, "sample-api", "the-secret", RESOURCE, 5003)).test_client()
        assert calls(asking).status_code == 503
        (line,) = [each.getMessage() for each in caplog.records if each.name == "clients.sample_api.tokens"]
        assert line.startswith(f"cannot ask {issuer} about a token: ")
        assert "the-secret" not in line
        return line

    return logged


@contextmanager
def a_provider_that(answers, metadata, tls=None):
    """A provider with this metadata, which responds to introspection with the status `answers`."""
    port, app = free_port(), Flask("provider")
    issuer = f"{'https' if tls else 'http'}://localhost:{port}"
    app.add_url_rule("/.well-known/oauth-authorization-server", "metadata", lambda: metadata(issuer))
    app.add_url_rule("/introspect", "introspect", lambda: Response("{}", status=answers), methods=["POST"])
    with serving(app, port, tls):
        yield issuer


def valid_metadata(issuer):
    return {"introspection_endpoint": f"{issuer}/introspect"}


def test_it_logs_why_it_cannot_ask(log_line_for, tmp_path):
    assert "nothing answers at that address" in log_line_for(f"http://localhost:{free_port()}")
    with a_provider_that(401, valid_metadata) as issuer:
        assert "it answered 401; is SAMPLE_API_CLIENT_SECRET_FILE the newest one" in log_line_for(issuer)
    with a_provider_that(500, valid_metadata) as issuer:
        assert log_line_for(issuer).endswith("it answered 500")
    with a_provider_that(200, lambda _issuer: {}) as issuer:
        assert "no introspection_endpoint" in log_line_for(issuer)
    with a_provider_that(200, lambda _issuer: "<html>") as issuer:
        assert "its answer cannot be read" in log_line_for(issuer)
    with a_provider_that(200, valid_metadata, a_certificate(tmp_path)[1]) as issuer:
        assert "REQUESTS_CA_BUNDLE" in log_line_for(issuer)


def test_a_bundle_that_names_the_authority_is_all_that_it_needs(monkeypatch, tmp_path):
    trust, tls = a_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trust))
    with a_provider_that(200, valid_metadata, tls) as issuer:
        asking = create_app(settings.Settings(issuer, "sample-api", "secret", RESOURCE, 5003)).test_client()
        assert calls(asking).status_code == 401  # the provider was asked, and knows no such token


def test_keys_that_are_weak_and_algorithms_that_are_old_prove_nothing():
    request = {"method": "GET", "url": f"{RESOURCE}/access", "token": "token"}
    strong, weak, proofs = RSAKey.generate_key(3072), RSAKey.generate_key(1024), Proofs(time.time)
    assert proofs.key_of(proof(strong, "PS256"), **request) == strong.thumbprint()
    for key, alg in ((weak, "PS256"), (strong, "RS256")):
        with pytest.raises(BadProof):
            proofs.key_of(proof(key, alg), **request)


def test_all_errors_in_the_settings_are_reported_at_once(tmp_path):
    with pytest.raises(settings.BadSettings) as bad:
        settings.from_environment({"SAMPLE_API_PORT": "x", "SAMPLE_API_ISSUER": "idp.example"})
    assert len(bad.value.args) == 3
    (tmp_path / "secret").write_text("secret\n")
    ours = settings.from_environment({"SAMPLE_API_CLIENT_SECRET_FILE": str(tmp_path / "secret")})
    assert (ours.client_secret, ours.resource) == ("secret", "http://localhost:5003")
