"""Addresses that others expect at every site."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from idp.foundation import clock as clocks, runtime


@pytest.fixture
def having(app, settings, monkeypatch):
    """`having(security_contact="…")`: the service is set so."""

    def change(environment="test", **service):
        changed = settings.model_copy(
            update={"environment": environment, "service": settings.service.model_copy(update=service)}
        )
        monkeypatch.setitem(app.extensions, runtime.NAME, replace(runtime.of(app), settings=changed))

    return change


def test_a_password_manager_is_led_to_the_desk_and_a_stranger_to_signing_in(web):
    answer = web.get("/.well-known/change-password")
    assert (answer.status_code, answer.location) == (303, "/manage")
    assert web.get(answer.location).location == "/sign-in?next=/manage"


def test_what_does_not_exist_there_is_not_found(web):
    """As its specification has browsers check, before they trust the other address."""
    assert web.get("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200").status_code == 404


def test_security_txt_says_whom_to_tell_and_is_never_out_of_date(web, having, clock, settings):
    having(security_contact="mailto:security@idaas.example", security_policy_url="https://idaas.example/security")
    for _ in range(2):
        answer = web.get("/.well-known/security.txt")
        assert answer.content_type == "text/plain; charset=utf-8"
        fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
        assert fields["Contact"] == "mailto:security@idaas.example"
        assert fields["Policy"] == "https://idaas.example/security"
        assert fields["Canonical"] == f"{settings.server.issuer}/.well-known/security.txt"
        left = datetime.fromisoformat(fields["Expires"]) - clocks.now()
        assert timedelta(days=30) < left < timedelta(days=365)  # RFC 9116 §2.5.5
        clock.move(timedelta(days=400))


def test_without_a_contact_there_is_none(web):
    assert web.get("/.well-known/security.txt").status_code == 404
