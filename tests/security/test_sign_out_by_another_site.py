"""security.md S34: a form that another site posts to our logout endpoint signs out only people whom a link would."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from idp.oidc.endpoints.logout import FORWARDED_PARAMETERS
from idp.signin import operators
from idp.signin.models import BrowserSession
from tests.oidc.support import obtain_tokens, page, redirect_parameters, sign_in_and_authorise

POST_LOGOUT_URI = "https://assembly.example/signed-out"


@pytest.fixture
def id_token_hint(web, world):
    return obtain_tokens(web, world.partner, world.username)["id_token"]


def post_from_another_site(new_browser, **form):
    """Post the form as another site does: the browser does not send our Lax cookies."""
    return new_browser().post("/oauth/logout", data=form, headers={"Origin": "https://evil.example"})


def is_signed_in(web, world):
    return "code" in redirect_parameters(web.get(world.partner.link(prompt="none")))


@pytest.mark.parametrize(
    "form", [{}, {"state": "x"}, {"client_id": "unknown"}, {"post_logout_redirect_uri": POST_LOGOUT_URI}]
)
def test_a_cross_site_logout_form_without_a_valid_hint_deletes_no_cookies(new_browser, world, id_token_hint, form):
    assert "Set-Cookie" not in post_from_another_site(new_browser, **form).headers


def test_a_logout_link_without_cookies_deletes_no_cookies(new_browser, world, id_token_hint):
    assert "Set-Cookie" not in new_browser().get("/oauth/logout", query_string={"id_token_hint": id_token_hint}).headers


def test_the_browser_asks_again_with_its_cookies_and_then_the_person_is_asked(web, new_browser, world):
    sign_in_and_authorise(web, world.partner, world.username)
    response = post_from_another_site(new_browser, client_id=world.partner.id, more="x")
    assert (response.status_code, response.location) == (303, f"/oauth/logout?client_id={world.partner.id}")
    assert page(web.get(response.location)).find(id="confirm-logout")
    assert is_signed_in(web, world)


def test_a_post_with_a_valid_hint_redirects_to_a_link_that_signs_out(web, new_browser, world, id_token_hint):
    response = post_from_another_site(
        new_browser, id_token_hint=id_token_hint, post_logout_redirect_uri=POST_LOGOUT_URI, state="a&b=ü"
    )
    assert response.status_code == 303
    assert {name for name, _ in parse_qsl(urlsplit(response.location).query)} <= set(FORWARDED_PARAMETERS)
    assert is_signed_in(web, world)
    assert web.get(response.location).location == f"{POST_LOGOUT_URI}?state=a%26b%3D%C3%BC"
    assert redirect_parameters(web.get(world.partner.link(prompt="none")))["error"] == "login_required"


@pytest.mark.parametrize("form", [{"state": "x" * 5000}, {"id_token_hint": "x" * 9000}, {"state": ["a", "b"]}])
def test_a_post_with_parameters_too_long_for_a_link_is_refused(new_browser, world, form):
    response = post_from_another_site(new_browser, **form)
    assert "Set-Cookie" not in response.headers
    assert (response.status_code, response.headers.get("Location")) == (400, None)


def test_an_operator_is_not_a_person_whom_a_client_may_sign_out(web, world, id_token_hint):
    with world.transaction() as session:
        operator, _ = operators.add("Sam", "sam@idaas.example")
        row = session.query(BrowserSession).one()
        row.kind, row.person_id = "operator", operator.id
    for parameters in ({}, {"id_token_hint": id_token_hint}):
        assert "Set-Cookie" not in web.get("/oauth/logout", query_string=parameters).headers
    with world.transaction() as session:
        assert session.query(BrowserSession).one().ended_at is None
