"""Well-known URIs (RFC 8615)."""

from datetime import datetime, timedelta

from idp.foundation import clock as clocks


def test_change_password_redirects_to_that_page_which_requires_signing_in(web):
    response = web.get("/.well-known/change-password")
    assert (response.status_code, response.location) == (303, "/manage/security/password")
    assert web.get(response.location).location == "/sign-in?next=/manage/security/password"


def test_an_unknown_well_known_uri_is_not_found(web):
    """Browsers check this before they use `change-password`, as its specification says."""
    assert web.get("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200").status_code == 404


def test_security_txt_names_the_contact_and_has_not_expired(web, change_settings, clock, settings):
    contact, policy = "mailto:security@idaas.example", "https://idaas.example/security"
    change_settings(service={"security_contact": contact, "security_policy_url": policy})
    for _ in range(2):
        response = web.get("/.well-known/security.txt")
        assert response.content_type == "text/plain; charset=utf-8"
        fields = dict(line.split(": ", 1) for line in response.text.splitlines())
        assert fields["Contact"] == contact
        assert fields["Policy"] == policy
        assert fields["Canonical"] == f"{settings.server.issuer}/.well-known/security.txt"
        remaining = datetime.fromisoformat(fields["Expires"]) - clocks.now()
        assert timedelta(days=30) < remaining < timedelta(days=365)  # RFC 9116 §2.5.5
        clock.move(timedelta(days=400))


def test_without_a_contact_there_is_no_security_txt(web):
    assert web.get("/.well-known/security.txt").status_code == 404
