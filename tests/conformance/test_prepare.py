"""`python -m tests.conformance.suite`: the configurations that it writes."""

import json
import re
import stat
import tomllib

import pytest
from click.testing import CliRunner

from idp.foundation.setting_types import ROOT
from idp.partners import registry
from tests import factories
from tests.conformance.suite import prepare
from tests.conformance.suite.__main__ import main

SUITE, API = "https://suite.example/test/a/ours", "https://api.example"


@pytest.fixture
def run_prepare(app, transaction, tmp_path):
    """`run_prepare()` runs the command, and returns the configurations that it wrote."""
    with transaction():
        factories.a_school()

    def run():
        arguments = ["--suite", SUITE, "--api", API, "--into", str(tmp_path)]
        result = CliRunner().invoke(main, arguments, obj=lambda: app)
        assert result.exit_code == 0, result.output
        assert SUITE in result.output
        return {file.name: json.loads(file.read_text("utf-8")) for file in tmp_path.glob("*.json")}

    return run


def test_each_plan_has_a_configuration_that_only_its_owner_can_read(run_prepare, tmp_path):
    written = run_prepare()
    signing = {"fapi2-signing-openid.json", "fapi2-signing-plain.json"}
    fapi = {"fapi2-openid.json", "fapi2-plain.json", "fapi2-client-credentials.json"} | signing
    assert set(written) == {"static.json", "registered.json", "backchannel.json"} | fapi
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in tmp_path.iterdir())
    for configuration in written.values():
        assert configuration["alias"] == "ours"
        assert configuration["server"]["discoveryUrl"].endswith("/.well-known/openid-configuration")
        assert configuration["browser"][0]["match"].endswith("/oauth/authorize*")


def test_the_documentation_names_each_configuration_and_no_other(run_prepare):
    text = (ROOT / "docs" / "conformance.md").read_text("utf-8")
    assert set(re.findall(r"[a-z0-9-]+\.json", text)) == set(run_prepare())


def test_secrets_and_keys_in_it_are_those_of_the_clients(run_prepare, transaction):
    written = run_prepare()
    static, fapi = written["static.json"], written["fapi2-openid.json"]
    with transaction():
        for part in ("client", "client2", "client_secret_post"):
            client = registry.client(static[part]["client_id"])
            assert registry.secret_matches(client, static[part]["client_secret"])
            assert not client.require_pkce
        for part in ("client", "client2"):
            client = registry.client(fapi[part]["client_id"])
            (private,), (public,) = fapi[part]["jwks"]["keys"], client.jwks["keys"]
            assert "d" in private
            assert "d" not in public
            assert {name: private[name] for name in public} == public


def test_plans_without_userinfo_call_the_api_of_xporter(run_prepare, transaction):
    written = run_prepare()
    for file, scope, first in (
        ("fapi2-plain.json", "school offline_access", "conf-plain-1"),
        ("fapi2-signing-plain.json", "school offline_access", "conf-signing-plain-1"),
        ("fapi2-client-credentials.json", "schools.list", "conf-ccg-1"),
    ):  # fmt: skip
        assert written[file]["resource"] == {"resourceUrl": f"{API}/access"}
        assert (written[file]["client"]["client_id"], written[file]["client"]["scope"]) == (first, scope)
    assert written["fapi2-openid.json"]["resource"]["resourceUrl"].endswith("/oauth/userinfo")
    with transaction():
        client = registry.client("xporter")
        assert (client.resource, client.resource_scopes) == (API, {"school", "schools.list"})
        assert (client.token_endpoint_auth_method, client.jwks_uri) == ("private_key_jwt", f"{API}/jwks.json")


def test_logout_tokens_are_sent_only_to_the_clients_of_logout_plans(run_prepare, transaction):
    written = run_prepare()
    client_ids = {written["backchannel.json"][part]["client_id"] for part in ("client", "client2")}
    with transaction():
        clients = [registry.client(name) for name in config()["clients"]]
    assert {client.id for client in clients if client.backchannel_logout_uri} == client_ids


def config():
    return tomllib.loads(prepare.FILE.read_text("utf-8"))


def test_a_plan_that_signs_in_often_has_no_session_ended(settings):
    """A session that ends posts a logout token, which would reach the suite in the middle of another module."""
    assert settings.session.per_person >= 500


def test_every_url_begins_with_that_of_the_suite(run_prepare, transaction):
    run_prepare()
    with transaction():
        for name in ("conf-basic-1", "conf-post-1", "conf-fapi-2"):
            client = registry.client(name)
            for uri in (*client.redirect_uris, *client.post_logout_redirect_uris, client.backchannel_logout_uri):
                assert uri is None or uri.startswith(f"{SUITE}/")


def test_running_it_again_replaces_everything(run_prepare, transaction):
    before, after = run_prepare(), run_prepare()
    first, second = (configuration["static.json"]["client"] for configuration in (before, after))
    assert first["client_id"] == second["client_id"]
    with transaction():
        client = registry.client(first["client_id"])
        assert not registry.secret_matches(client, first["client_secret"])
        assert registry.secret_matches(client, second["client_secret"])
    assert password_of(before) != password_of(after)


def password_of(written):
    typed = written["static.json"]["browser"][0]["tasks"][0]["commands"]
    return next(item[3] for item in typed if item[:3] == ["text", "id", "password"])


def test_modules_that_end_on_a_page_are_given_the_text_to_look_for(run_prepare):
    overrides = run_prepare()["static.json"]["override"]
    visits = overrides["oidcc-rp-initiated-logout-bad-id-token-hint"]["browser"]
    assert visits[-1]["tasks"][-1]["commands"][0][2:5] == ["error-parameter", 10, "id_token_hint"]
    assert overrides["oidcc-prompt-login"]["browser"][0]["tasks"][0]["commands"][0][-1].startswith("update-image")


def test_it_refuses_to_run_in_production(transaction, monkeypatch, settings):
    real = settings.model_copy(update={"environment": "production"})
    monkeypatch.setattr("idp.foundation.runtime.settings", lambda: real)
    with transaction(), pytest.raises(prepare.RefusedInProduction):
        prepare.prepare_all(SUITE)


def test_without_a_free_school_it_says_what_to_do(transaction):
    with transaction(), pytest.raises(prepare.NoSchool) as refused:
        prepare.prepare_all(SUITE)
    assert "idp schools refresh" in refused.value.message
