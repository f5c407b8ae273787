"""security.md S34: a HEAD or a GET is not asked for a token against forgery, so a form in its body is not read."""

import pytest

from tests.oidc.devices import GRANTS, Device, enter
from tests.oidc.support import address, follow_redirects, page, sign_in, sign_in_and_authorise
from tests.security.test_csrf_of_decisions import count_decisions, open_consent_page

SAFE_METHODS = ["GET", "HEAD"]


def form_paths(app):
    return sorted(rule.rule for rule in app.url_map.iter_rules() if {"GET", "POST"} <= rule.methods)


def test_a_form_sent_by_another_method_than_post_is_refused(app, web):
    for path in form_paths(app):
        for method in SAFE_METHODS:
            for kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
                response = web.open(path, method=method, data={"a": "b"}, content_type=kind)
                assert response.status_code == 400, (method, path, kind)


@pytest.mark.parametrize("method", SAFE_METHODS)
def test_a_form_that_was_not_posted_decides_nothing_about_sharing(web, world, method):
    consent_path = address(open_consent_page(web, world))
    for form in ({"allow": "yes", "authority": "y"}, {"deny": "yes"}):
        web.open(consent_path, method=method, data=form)
    assert count_decisions(world) == 0


@pytest.mark.parametrize("method", SAFE_METHODS)
def test_a_form_that_was_not_posted_decides_nothing_about_a_device(web, new_browser, world, method):
    partner = world.new_partner(grant_types=GRANTS | {"authorization_code"})
    device = Device(new_browser(), partner)
    sign_in_and_authorise(web, partner, world.username, scope=device.scope)
    device.request_codes()
    enter(web, device.codes["user_code"], world.username)
    for button in ("allow", "deny"):
        web.open(device.link, method=method, data={button: "yes"})
    assert device.poll().json["error"] == "authorization_pending"


def test_a_content_type_without_a_body_is_harmless(web, world):
    """Some clients name the type of every request, whether or not anything follows."""
    response = web.get("/.well-known/openid-configuration", content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200
    response = follow_redirects(web, web.get(world.partner.link(), content_type="application/x-www-form-urlencoded"))
    assert page(follow_redirects(web, sign_in(web, response, world.username))).find(id="allow")
