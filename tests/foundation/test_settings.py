import base64
import os
from typing import Any

import pytest

from idp.foundation import settings

PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "server": {"issuer": "https://id.schools.example", "log_format": "json"},
    "mail": {"channel": "smtp"},
    "sms": {"channel": "http"},
    "throttle": {"factor": 1},
    "fetch": {"allow_loopback": False},
}


def keys():
    fresh = [base64.b64encode(os.urandom(32)).decode() for _ in range(3)]
    return {"session": fresh[0], "tokens": fresh[1], "sealing": {"test": fresh[2]}}


def test_every_fault_is_reported_together(monkeypatch):
    monkeypatch.setenv("IDP_SERVER__PORT", "five thousand")
    monkeypatch.setenv("IDP_MAIL__CHANNEL", "pigeon")

    with pytest.raises(settings.BadSettings) as bad:
        settings.load()

    assert "server.port" in str(bad.value)
    assert "mail.channel" in str(bad.value)


@pytest.mark.parametrize("name", ["IDP_SERVR__PORT", "IDP_SERVER__PROT", "IDP_NONSENSE"])
def test_a_misspelt_setting_in_the_environment_is_an_error(monkeypatch, name):
    monkeypatch.setenv(name, "1")

    with pytest.raises(settings.BadSettings, match=f"{name}: there is no such setting"):
        settings.load()


def test_a_misspelt_setting_in_the_file_is_an_error(monkeypatch, scratch):
    (scratch / "mine.toml").write_text("[server]\nprot = 1\n")
    monkeypatch.setenv("IDP_CONFIG", str(scratch / "mine.toml"))

    with pytest.raises(settings.BadSettings, match=r"server\.prot"):
        settings.load()


def test_a_file_that_is_not_toml_is_named(monkeypatch, scratch):
    (scratch / "mine.toml").write_text("= nonsense")
    monkeypatch.setenv("IDP_CONFIG", str(scratch / "mine.toml"))

    with pytest.raises(settings.BadSettings, match=r"mine\.toml"):
        settings.load()


def test_production_starts_with_keys_of_its_own():
    assert settings.load(**PRODUCTION, secrets=keys()).environment == "production"


def test_production_refuses_what_is_for_demonstrations_and_names_all_of_it(monkeypatch):
    monkeypatch.setenv("IDP_CONFIG", "config/development.toml")

    with pytest.raises(settings.BadSettings) as bad:
        settings.load(environment="production", fetch={"allow_loopback": True}, throttle={"factor": 9})

    for name in ("server.issuer", "secrets", "mail.channel", "sms.channel", "fetch.allow_loopback", "throttle.factor"):
        assert name in str(bad.value)


def test_production_refuses_several_workers_on_sqlite():
    with pytest.raises(settings.BadSettings, match="SQLite is for one"):
        settings.load(**(PRODUCTION | {"server": PRODUCTION["server"] | {"workers": 2}}), secrets=keys())


def test_a_short_key_is_refused_and_not_shown():
    with pytest.raises(settings.BadSettings) as bad:
        settings.load(secrets=keys() | {"session": base64.b64encode(b"far too short").decode()})

    assert "secrets.session" in str(bad.value)
    assert "far too short" not in str(bad.value)


def test_settings_cannot_change_once_read():
    loaded = settings.load()

    with pytest.raises(ValueError, match="frozen"):
        loaded.server.port = 1


def test_printing_the_settings_shows_no_secret():
    loaded = settings.load(secrets=keys(), mail={"password": "hunter2hunter2"})

    assert "hunter2" not in repr(loaded)
    assert repr(loaded.secrets.session) not in repr(loaded)


def test_the_example_for_production_needs_only_secrets(monkeypatch):
    monkeypatch.setenv("IDP_CONFIG", "config/production.example.toml")

    with pytest.raises(settings.BadSettings) as bad:
        settings.load()
    assert all("  secrets." in line for line in str(bad.value).splitlines()[1:])

    assert settings.load(secrets=keys()).server.workers == 2
