"""Loading and validating the settings."""

import base64
import os
import tomllib
from typing import Any

import pytest

from idp.foundation import load_settings, production, settings
from idp.foundation.setting_types import ROOT, Section

UUID = "26785a09-ab16-4eb0-8407-a37497a57506"
PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "server": {"issuer": "https://id.schools.example", "log_format": "json"},
    "mail": {"channel": "smtp"},
    "sms": {"channel": "http", "gateway_url": "https://sms.schools.example/messages"},
    "throttle": {"factor": 1},
    "fetch": {"allow_loopback": False},
    "keys": {"publish_before": 600},
}


def new_keys():
    """Random keys for all purposes, as settings."""
    keys = [base64.b64encode(os.urandom(32)).decode() for _ in range(3)]
    return {"session": keys[0], "tokens": keys[1], "sealing": {"test": keys[2]}}


def test_all_errors_are_reported_together(monkeypatch):
    monkeypatch.setenv("IDP_SERVER__PORT", "five thousand")
    monkeypatch.setenv("IDP_MAIL__CHANNEL", "pigeon")

    with pytest.raises(load_settings.InvalidSettings) as raised:
        load_settings.load()

    assert "server.port" in str(raised.value)
    assert "mail.channel" in str(raised.value)


@pytest.mark.parametrize("name", ["IDP_SERVR__PORT", "IDP_SERVER__PROT", "IDP_NONSENSE"])
def test_a_misspelt_setting_in_the_environment_is_an_error(monkeypatch, name):
    monkeypatch.setenv(name, "1")

    with pytest.raises(load_settings.InvalidSettings, match=f"{name}: there is no such setting"):
        load_settings.load()


def test_a_misspelt_setting_in_the_file_is_an_error(monkeypatch, scratch):
    (scratch / "mine.toml").write_text("[server]\nprot = 1\n")
    monkeypatch.setenv("IDP_CONFIG", str(scratch / "mine.toml"))

    with pytest.raises(load_settings.InvalidSettings, match=r"server\.prot"):
        load_settings.load()


def test_without_a_file_of_settings_the_error_says_which_to_name(monkeypatch):
    monkeypatch.delenv("IDP_CONFIG")

    with pytest.raises(load_settings.InvalidSettings, match=r"export IDP_CONFIG=config/development\.toml"):
        load_settings.load()


def test_a_file_that_is_not_toml_is_named(monkeypatch, scratch):
    (scratch / "mine.toml").write_text("= nonsense")
    monkeypatch.setenv("IDP_CONFIG", str(scratch / "mine.toml"))

    with pytest.raises(load_settings.InvalidSettings, match=r"mine\.toml"):
        load_settings.load()


def test_production_settings_with_random_keys_are_accepted():
    assert load_settings.load(**PRODUCTION, secrets=new_keys()).environment == "production"


def test_production_refuses_development_settings_and_names_each(monkeypatch):
    monkeypatch.setenv("IDP_CONFIG", "config/development.toml")

    with pytest.raises(load_settings.InvalidSettings) as raised:
        load_settings.load(environment="production", fetch={"allow_loopback": True}, throttle={"factor": 9})

    for name in ("server.issuer", "secrets", "mail.channel", "sms.channel", "fetch.allow_loopback", "throttle.factor"):
        assert name in str(raised.value)


def test_production_refuses_several_workers_on_sqlite():
    with pytest.raises(load_settings.InvalidSettings, match="SQLite is for one"):
        load_settings.load(**(PRODUCTION | {"server": PRODUCTION["server"] | {"workers": 2}}), secrets=new_keys())


def test_a_short_key_is_refused_and_not_shown():
    with pytest.raises(load_settings.InvalidSettings) as raised:
        load_settings.load(secrets=new_keys() | {"session": base64.b64encode(b"far too short").decode()})

    assert "secrets.session" in str(raised.value)
    assert "far too short" not in str(raised.value)


def test_settings_cannot_change_once_read():
    loaded = load_settings.load()

    with pytest.raises(ValueError, match="frozen"):
        loaded.server.port = 1


def test_printing_the_settings_shows_no_secret():
    loaded = load_settings.load(secrets=new_keys(), mail={"password": "hunter2hunter2"})

    assert "hunter2" not in repr(loaded)
    assert repr(loaded.secrets.session) not in repr(loaded)


def test_the_example_for_production_needs_only_secrets(monkeypatch):
    monkeypatch.setenv("IDP_CONFIG", "config/production.example.toml")

    with pytest.raises(load_settings.InvalidSettings) as raised:
        load_settings.load()
    assert all("  secrets." in line for line in str(raised.value).splitlines()[1:])

    assert load_settings.load(secrets=new_keys()).server.workers == 2


def problems_of(**overrides):
    """The errors in production settings with these overrides, one on each line."""
    merged = {name: {**PRODUCTION[name]} if isinstance(PRODUCTION[name], dict) else PRODUCTION[name]
              for name in PRODUCTION}  # fmt: skip
    for name, values in {"secrets": new_keys(), **overrides}.items():
        merged[name] = {**merged.get(name, {}), **values}
    try:
        load_settings.load(**merged)
    except load_settings.InvalidSettings as raised:
        return [line.strip() for line in str(raised).splitlines()[1:]]
    return []


def encode_key(key):
    return base64.b64encode(key).decode()


class TestUrls:
    @pytest.mark.parametrize(
        ("issuer", "message"),
        [
            ("https://id.schools.example/idp", "must not have a path"),
            ("https://ID.schools.example", "must be spelled https://id.schools.example"),
            ("HTTPS://id.schools.example", "must be spelled https://id.schools.example"),
            ("https://id.schools.example:443", "must be spelled https://id.schools.example"),
            ("https://id.schools.example.", "must be spelled https://id.schools.example"),
            ("https://user@id.schools.example", "user name or password"),
            ("https://user:secret@id.schools.example", "user name or password"),
            ("https://@id.schools.example", "user name or password"),
            ("https://id.schools.example?x=1", "query"),
            ("https://id.schools.example/?", "query"),
            ("https://id.schools.example#", "fragment"),
            ("https://id.schools.example:0", "port"),
            ("https://id.schools.example:99999", "cannot be read"),
            ("https://id_.schools.example", "host name"),
            ("https://id schools.example", "character"),
            ("https://schulen\u00e4mter.example", "host name"),
            ("https://", "http or https URL"),
            ("//id.schools.example", "http or https URL"),
            ("ftp://id.schools.example", "http or https URL"),
            ("https://[::1", "cannot be read"),
        ],
    )
    def test_an_invalid_issuer_is_refused_with_the_reason(self, issuer, message):
        (problem,) = problems_of(server={"issuer": issuer})
        assert problem.startswith("server.issuer: ")
        assert message in problem
        assert "secret" not in problem

    @pytest.mark.parametrize(
        "issuer", ["https://id.schools.example", "https://id.schools.example/", "https://id.schools.example:8443"]
    )
    def test_a_valid_issuer_is_accepted(self, issuer):
        assert problems_of(server={"issuer": issuer}) == []

    @pytest.mark.parametrize(
        ("section", "name", "value"),
        [
            ("sms", "gateway_url", "http://sms.schools.example"),
            ("sms", "gateway_url", ""),
            ("sms", "gateway_url", "https://u:p@sms.schools.example"),
            ("schools", "download_url", "http://register.example"),
            ("schools", "download_url", "https://u:p@register.example"),
            ("service", "privacy_url", "javascript:alert(1)"),
            ("service", "accessibility_url", "schools.example/accessibility"),
            ("service", "installer_url", "file:///setup.exe"),
            ("service", "remote_support_url", "https://"),
            ("service", "support_email", "someone"),
            ("service", "support_email", "a@b@c"),
            ("mail", "sender", "IDaaS"),
            ("mail", "sender", "IDaaS <unknown>"),
            ("mail", "host", "smtp.schools.example:25"),
            ("mail", "host", "https://smtp.schools.example"),
            ("mail", "host", ""),
            ("mail", "port", 0),
            ("mail", "port", 70000),
            ("server", "host", "127.0.0.1:5000"),
            ("database", "url", "mysql://idp@127.0.0.1/idp"),
            ("database", "url", "postgresql://idp@127.0.0.1/idp"),
            ("database", "url", "idp.sqlite3"),
            ("throttle", "storage", "localhost:6379"),
            ("fetch", "operator_private_hosts", ["https://sms.internal"]),
            ("fetch", "partner_private_hosts", ["10.0.0.0/8"]),
        ],
    )
    def test_an_invalid_url_is_refused(self, section, name, value):
        problems = problems_of(**{section: {name: value}})
        assert problems
        assert all(problem.startswith(f"{section}.{name}") for problem in problems)

    def test_hosts_are_read_in_lower_case_without_the_trailing_dot(self):
        loaded = load_settings.load(fetch={"operator_private_hosts": ["SMS.internal."]})
        assert loaded.fetch.operator_private_hosts == ("sms.internal",)


class TestProduction:
    """Settings with which the service would start, but not be safe."""

    def test_production_refuses_the_keys_of_the_test_suite(self):
        test_secrets = tomllib.loads((ROOT / "config" / "test.toml").read_text("utf-8"))["secrets"]
        problems = problems_of(secrets=new_keys() | {name: test_secrets[name] for name in ("session", "tokens")})
        assert [problem.split(":")[0] for problem in problems] == ["secrets.session", "secrets.tokens"]
        assert "config/test.toml" in problems[0]

    @pytest.mark.parametrize("key", [bytes(32), b"\xff" * 32, bytes(range(8)) * 4, b"this is a sentence of 32 letters"])
    def test_production_refuses_keys_that_are_not_random(self, key):
        (problem,) = problems_of(secrets=new_keys() | {"tokens": encode_key(key)})
        assert problem.startswith("secrets.tokens: is not random")

    def test_production_refuses_one_key_for_all_purposes(self):
        key = encode_key(os.urandom(32))
        problems = problems_of(
            secrets={"session": key, "tokens": key, "sealing": {"a": key, "test": encode_key(os.urandom(32))}}
        )
        assert [problem.split(":")[0] for problem in problems] == ["secrets.tokens", "secrets.sealing.a"]

    @pytest.mark.parametrize(
        ("section", "values", "setting"),
        [
            ("server", {"trusted_proxies": 99}, "server.trusted_proxies"),
            ("mail", {"security": "none", "username": "idp", "password": "x"}, "mail.security"),
            ("mail", {"security": "none", "password": "x"}, "mail.security"),
            ("sms", {"gateway_url": "http://sms.schools.example"}, "sms.gateway_url"),
            ("sms", {"receipt_token": "short"}, "sms.receipt_token"),
            ("sms", {"sender": ""}, "sms.sender"),
            ("sms", {"channel": "twilio", "gateway_token": "x"}, "sms.account"),
            ("sms", {"channel": "twilio", "account": "AC1"}, "sms.gateway_token"),
            ("sms", {"channel": "notify", "template": "x", "gateway_token": "not a key"}, "sms.gateway_token"),
            ("sms", {"channel": "notify", "gateway_token": f"our-{'-'.join([UUID] * 2)}"}, "sms.template"),
            ("tokens", {"code": 31536000}, "tokens.code"),
            ("tokens", {"code_fapi2": 61}, "tokens.code_fapi2"),
            ("tokens", {"access": 86400}, "tokens.access"),
            ("tokens", {"pushed_request": 601}, "tokens.pushed_request"),
            ("tokens", {"refresh_absolute": 400 * 86400 + 1}, "tokens.refresh_absolute"),
            ("tokens", {"refresh_idle": 30, "refresh_absolute": 20}, "tokens.refresh_idle"),
            ("tokens", {"skew": 3600}, "tokens.skew"),
            ("session", {"idle": 0}, "session.idle"),
            ("session", {"idle": 50_000}, "session.idle"),
            ("session", {"operator_idle": 7200}, "session.operator_idle"),
            ("throttle", {"account_guesses": 100_000}, "throttle.account_guesses"),
            ("throttle", {"account_window": 0}, "throttle.account_window"),
            ("keys", {"publish_before": 30, "reread": 30}, "keys.publish_before"),
            ("database", {"busy_timeout": 0}, "database.busy_timeout"),
            ("onboarding", {"proof_lifetime": 10 * 86400}, "onboarding.proof_lifetime"),
            ("fetch", {"timeout": 3600.0}, "fetch.timeout"),
        ],
    )
    def test_a_value_beyond_its_bounds_is_refused(self, section, values, setting):
        (problem,) = problems_of(**{section: values})
        assert problem.startswith(setting)

    def test_production_refuses_a_connection_pool_smaller_than_the_concurrent_requests(self):
        """On PostgreSQL; SQLite has no pool."""
        server, postgresql = PRODUCTION["server"] | {"threads": 3}, "postgresql+psycopg://idp@db/idp"
        (problem,) = problems_of(server=server, database={"url": postgresql})
        assert problem.startswith("database.pool_size: must be 5 at least")
        for database in ({"url": postgresql, "pool_size": 5}, {}):
            different = {"server": server, "database": database}
            assert load_settings.load(**PRODUCTION | different, secrets=new_keys()).server.concurrent_requests == 5

    def test_errors_in_several_settings_are_reported_together(self):
        """The errors of one setting, of several together, and of production are reported in one message."""
        key = encode_key(os.urandom(32))
        problems = problems_of(
            server={"issuer": "https://u:p@id.schools.example", "trusted_proxies": 99},
            tokens={"code": 31536000}, mail={"security": "none", "password": "x"}, sms={"gateway_url": "http://sms"},
            secrets={"session": key, "tokens": key, "sealing": {"a": encode_key(bytes(32))}},
            session={"idle": 40_000, "absolute": 30_000},
        )  # fmt: skip
        for name in (
            "server.issuer", "server.trusted_proxies", "tokens.code", "mail.security", "sms.gateway_url",
            "secrets.tokens", "secrets.sealing.a", "session.idle",
        ):  # fmt: skip
            assert any(problem.startswith(f"{name}:") for problem in problems), name

    def test_every_number_has_both_bounds(self):
        unbounded = set()
        for section, field in settings.Settings.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                for name, inner in field.annotation.model_fields.items():
                    if inner.annotation in (int, float):
                        kinds = {type(constraint).__name__ for constraint in inner.metadata}
                        if not (kinds & {"Ge", "Gt"} and kinds & {"Le", "Lt"}):
                            unbounded.add(f"{section}.{name}")
        assert unbounded == {"throttle.factor"}, "which has to be 1 in production"


class TestFederation:
    @pytest.mark.parametrize(
        ("overrides", "problem"),
        [
            ({"enabled": True}, "federation.enabled: needs"),
            ({"enabled": True, "google": {"enabled": True, "client_secret": "x"}}, "federation.google.client_id: must"),
            (
                {"enabled": True, "microsoft": {"enabled": True, "client_id": "x"}},
                "federation.microsoft.client_secret: must be set",
            ),
            ({"google": {"authority": "http://accounts.google.example"}}, "federation.google.authority: must be https"),
            (
                {"microsoft": {"issuer": "http://x.example/{tenantid}"}},
                "federation.microsoft.issuer: must be https",
            ),
            (
                {"microsoft": {"issuer": "https://x.example/?{tenantid}"}},
                "federation.microsoft.issuer: must be an",
            ),
            ({"microsoft": {"issuer": "{tenantid}"}}, "federation.microsoft.issuer: must be an http"),
            ({"apple": {"enabled": True}}, "federation.apple: "),
        ],
    )
    def test_incomplete_federation_settings_are_refused(self, overrides, problem):
        assert any(line.startswith(problem) for line in problems_of(federation=overrides)), problems_of(
            federation=overrides
        )

    def test_federation_is_off_by_default_and_may_be_incomplete_then(self):
        assert not load_settings.load().federation.enabled
        assert problems_of(federation={"microsoft": {"enabled": True}}) == []

    def test_a_secret_may_come_from_the_environment_and_is_not_shown(self, monkeypatch):
        monkeypatch.setenv("IDP_FEDERATION__MICROSOFT__CLIENT_SECRET", "planted-secret")
        loaded = load_settings.load()
        assert loaded.federation.microsoft.client_secret.get_secret_value() == "planted-secret"
        assert "planted-secret" not in repr(loaded)

    def test_a_misspelt_name_in_the_environment_is_an_error(self, monkeypatch):
        monkeypatch.setenv("IDP_FEDERATION__MICROSOFT__CLIENT_SECRT", "x")
        with pytest.raises(load_settings.InvalidSettings, match="CLIENT_SECRT: there is no such setting"):
            load_settings.load()


class TestWarnings:
    def test_unusual_production_settings_cause_warnings(self, monkeypatch):
        loaded = load_settings.load(**PRODUCTION, secrets=new_keys())
        warnings = production.warnings(loaded)
        for name in (
            "server.trusted_proxies", "mail.security", "mail.sender", "service.privacy_url", "audit.checkpoints",
            "database.url",
        ):  # fmt: skip
            assert any(warning.startswith(name) for warning in warnings), name

    def test_outside_production_there_are_no_warnings(self):
        assert production.warnings(load_settings.load()) == []

    def test_the_example_for_production_causes_only_warnings_about_example_names(self, monkeypatch):
        monkeypatch.setenv("IDP_CONFIG", "config/production.example.toml")
        warnings = production.warnings(load_settings.load(secrets=new_keys()))
        assert all("example" in warning for warning in warnings)
