"""security.md S2: user names, ports and look-alikes. CVE-2026-7504 (Keycloak), CVE-2026-28512 (Pocket ID)."""

import pytest

from idp.partners import metadata, registry
from tests.factories import a_client

HOSTILE = [
    "https://partner.example@evil.test/cb",
    "https://partner.example:443@evil.test/cb",
    "https://user:password@partner.example/cb",
    "https://@partner.example/cb",
    "http://127.0.0.1:80@evil.test/cb",
    "http://127.0.0.1@evil.test/cb",
    "http://[::1]:80@evil.test/cb",
    "http://[::1]@evil.test/cb",
    "http://127.0.0.1.evil.test/cb",
    "http://127.0.0.1evil.test/cb",
    "http://127.0.0.10/cb",
    "http://127.1/cb",
    "http://0x7f.0.0.1/cb",
    "http://[::ffff:127.0.0.1]/cb",
    "http://localhost.evil.test/cb",
    "https://p\u0430rtner.example/cb",
    "https://xn--prtner-3ve.example/cb",
    "https://partner.example\\@evil.test/cb",
    "https://partner.example%2f@evil.test/cb",
    "https://partner\u3002example/cb",
    "https://partner.example\u2215evil.test/cb",
]


@pytest.mark.parametrize("uri", HOSTILE)
def test_a_misleading_host_is_refused_at_registration(app, uri):
    with app.app_context(), pytest.raises(metadata.InvalidRedirectUri):
        metadata.to_columns({"redirect_uris": [uri]})


@pytest.mark.parametrize("uri", HOSTILE)
def test_a_misleading_host_does_not_match_the_registered_one(transaction, uri):
    with transaction():
        client = a_client(
            redirect_uris=[
                "https://partner.example/cb",
                "http://127.0.0.1/cb",
                "http://[::1]/cb",
                "http://localhost/cb",
            ]
        )
        assert not registry.allows_redirect(client, uri)


@pytest.mark.parametrize("environment", ["production", "test"])
def test_localhost_is_accepted_outside_production_only(app, settings, monkeypatch, environment):
    changed = settings.model_copy(update={"environment": environment})
    monkeypatch.setattr("idp.foundation.runtime.settings", lambda: changed)
    document = {"redirect_uris": ["http://localhost:5001/cb"]}
    with app.app_context():
        if environment == "production":
            with pytest.raises(metadata.InvalidRedirectUri):
                metadata.to_columns(document)
        else:
            assert metadata.to_columns(document)["redirect_uris"] == document["redirect_uris"]
