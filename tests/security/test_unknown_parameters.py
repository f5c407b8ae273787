"""A parameter that an endpoint does not know is ignored (RFC 6749 §3.1 and §3.2), whatever it looks like.

What an endpoint knows has limits, and the error names the parameter.
"""

from urllib.parse import urlencode

import pytest

from idp.oidc.incoming import AUTHORIZATION, HINTS, KNOWN_PARAMETERS, LOGOUT
from tests.oidc.support import follow_redirects, obtain_tokens, page, sign_in_and_authorise

UNKNOWN_PARAMETERS = {
    "long": "utm_source=" + "x" * 5000,
    "repeated": "utm_source=a&utm_source=b",
    "control characters": "utm_source=a%00b%0a",
    "not UTF-8": "utm_source=%ff%fe",
    "an odd name": "%00%ff=1&%22%3E=2",
    "long name": "x" * 5000 + "=1",
    "another endpoint's": "code=a&code=b&client_secret=" + "x" * 5000,
}


@pytest.mark.parametrize("unknown", UNKNOWN_PARAMETERS.values(), ids=UNKNOWN_PARAMETERS)
def test_unknown_parameters_are_ignored_at_authorize(web, world, unknown):
    response = follow_redirects(web, web.get(f"{world.partner.link()}&{unknown}"))
    assert page(response).find(id="sign-in"), response.text


@pytest.mark.parametrize("unknown", UNKNOWN_PARAMETERS.values(), ids=UNKNOWN_PARAMETERS)
def test_unknown_parameters_are_ignored_in_a_form_at_authorize(web, world, unknown):
    body = f"{urlencode(world.partner.parameters())}&{unknown}"
    response = web.post("/oauth/authorize", data=body, content_type="application/x-www-form-urlencoded")
    assert page(follow_redirects(web, response)).find(id="sign-in")


@pytest.mark.parametrize(
    "unknown", [unknown for name, unknown in UNKNOWN_PARAMETERS.items() if name != "another endpoint's"]
)
@pytest.mark.parametrize("where", ["query", "form"])
def test_unknown_parameters_are_ignored_on_the_back_channel(web, world, unknown, where):
    params = sign_in_and_authorise(web, world.partner, world.username)
    form = urlencode({
        "grant_type": "authorization_code", "code": params["code"], "redirect_uri": world.partner.redirect_uri,
        "code_verifier": world.partner.verifier,
    })  # fmt: skip
    path, body = ("/oauth/token?" + unknown, form) if where == "query" else ("/oauth/token", f"{form}&{unknown}")
    response = web.post(path, data=body, headers=world.partner.basic, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200, response.json


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/par", "/oauth/revoke", "/oauth/introspect"])
@pytest.mark.parametrize("name", sorted(KNOWN_PARAMETERS))
def test_a_parameter_we_know_is_refused_in_the_query_by_its_name(web, world, path, name):
    response = web.post(f"{path}?{name}=x", data={}, headers=world.partner.basic)
    assert (response.status_code, response.json["error"]) == (400, "invalid_request")
    assert response.json["error_description"] == f"{name}: must be sent in the form body, not in the query string"


@pytest.mark.parametrize("name", sorted(HINTS & AUTHORIZATION))
def test_a_hint_that_is_too_long_is_dropped(web, world, name):
    response = follow_redirects(web, web.get(world.partner.link(**{name: "x" * 513})))
    assert page(response).find(id="sign-in"), response.text


@pytest.mark.parametrize("name", sorted(LOGOUT - HINTS - {"state"}))
def test_at_logout_a_repeated_known_parameter_is_named_and_unknown_ones_are_ignored(web, name):
    assert "sent more than once" in web.get(f"/oauth/logout?{name}=a&{name}=b").text
    assert web.get("/oauth/logout?" + "&".join(UNKNOWN_PARAMETERS.values())).location == "/signed-out"


def test_unknown_parameters_are_ignored_at_userinfo(web, world):
    body = obtain_tokens(web, world.partner, world.username)
    form = f"access_token={body['access_token']}&" + "&".join(UNKNOWN_PARAMETERS.values())
    response = web.post(
        f"/oauth/userinfo?{UNKNOWN_PARAMETERS['long']}", data=form, content_type="application/x-www-form-urlencoded"
    )
    assert response.status_code == 200, response.json
