"""The well-known addresses."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from idp.foundation import clock as clocks, runtime


@pytest.fixture
def with_settings(app, settings, monkeypatch):
    """`with_settings(security_contact="…")` changes the section `service`."""

    def change(environment="test", **service):
        changed = settings.model_copy(
            update={"environment": environment, "service": settings.service.model_copy(update=service)}
        )
        monkeypatch.setitem(app.extensions, runtime.EXTENSION_NAME, replace(runtime.for_app(app), settings=changed))

    return change


def test_change_password_redirects_to_the_page_for_that_which_requires_sign_in(web):
    response = web.get("/.well-known/change-password")
    assert (response.status_code, response.location) == (303, "/manage/security/password")
    assert web.get(response.location).location == "/sign-in?next=/manage/security/password"


def test_an_unknown_well_known_uri_is_not_found(web):
    """Browsers check this before they use `change-password`, as its specification says."""
    assert web.get("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200").status_code == 404


def test_security_txt_names_the_contact_and_is_never_out_of_date(web, with_settings, clock, settings):
    with_settings(
        security_contact="mailto:security@idaas.example", security_policy_url="https://idaas.example/security"
    )
    for _ in range(2):
        response = web.get("/.well-known/security.txt")
        assert response.content_type == "text/plain; charset=utf-8"
        fields = dict(line.split(": ", 1) for line in response.text.splitlines())
        assert fields["Contact"] == "mailto:security@idaas.example"
        assert fields["Policy"] == "https://idaas.example/security"
        assert fields["Canonical"] == f"{settings.server.issuer}/.well-known/security.txt"
        left = datetime.fromisoformat(fields["Expires"]) - clocks.now()
        assert timedelta(days=30) < left < timedelta(days=365)  # RFC 9116 §2.5.5
        clock.move(timedelta(days=400))


def test_without_a_contact_there_is_no_security_txt(web):
    assert web.get("/.well-known/security.txt").status_code == 404
