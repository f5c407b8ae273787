"""The authorization endpoint's dispatcher: it refuses, asks for the next thing that is missing, or responds."""

import json
from datetime import timedelta

import pytest

from idp.estabs import people
from idp.estabs.models import Administrator, Estab
from idp.oidc.models import AuthorizationRequest
from idp.sharing import authorise
from idp.sharing.models import Authorisation
from tests import factories
from tests.oidc.support import (
    ISSUER,
    follow_redirects,
    page,
    press,
    query_of,
    redirect_parameters,
    sign_in,
    sign_in_and_authorise,
)
from tests.signin.apps import App, an_app
from tests.signin.authenticator import Authenticator

SINGLE_ACR, MULTI_ACR = "urn:idaas:acr:single", "urn:idaas:acr:multi"


def essential_acr_claim(**acr):
    return json.dumps({"id_token": {"acr": {"essential": True, **acr}}})


ESSENTIAL_MULTI_CLAIM = essential_acr_claim(values=["phr", MULTI_ACR])
ACR_REQUESTS = [
    {"acr_values": MULTI_ACR},
    {"acr_values": f"phr {MULTI_ACR} {SINGLE_ACR}"},
    {"claims": json.dumps({"id_token": {"acr": {"values": [MULTI_ACR]}}})},
    {"claims": json.dumps({"id_token": {"acr": {"value": MULTI_ACR}}})},
    {"claims": essential_acr_claim(), "acr_values": MULTI_ACR},
    {
        "claims": json.dumps({"id_token": {"acr": {"values": MULTI_ACR}}}),
        "acr_values": MULTI_ACR,
    },  # not a list, so it is ignored
]
"""Voluntary requests for a second step (OpenID Connect Core §3.1.2.1 and §5.5.1.1)."""
OTHER_REQUESTS = [
    {"acr_values": f"{SINGLE_ACR} {MULTI_ACR}"},
    {"acr_values": "phr"},
    {"acr_values": MULTI_ACR, "claims": json.dumps({"id_token": {"acr": {"values": [SINGLE_ACR]}}})},
    {"acr_values": MULTI_ACR, "prompt": "none"},
    {"claims": essential_acr_claim(values=[MULTI_ACR, SINGLE_ACR])},
]
"""Requests for which a session that was begun with a password alone is enough."""


def test_a_new_school_signs_in_authorises_and_lands_at_the_partner_with_a_code(web, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    assert page(response).find(id="sign-in")

    response = follow_redirects(web, sign_in(web, response, world.username))
    assert "Authorise sharing with Assembly" in response.text

    params = redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))
    assert set(params) == {"code", "state", "iss"}
    assert params["state"] == "a-state"
    assert params["iss"] == ISSUER


def test_a_second_sign_in_redirects_without_showing_a_page(web, world):
    sign_in_and_authorise(web, world.partner, world.username)
    response = web.get(world.partner.link(state="second"))
    assert redirect_parameters(response)["state"] == "second"
    with world.transaction() as session:
        assert session.query(AuthorizationRequest).count() == 1  # a request without a page needs no row


def test_state_nonce_and_challenge_never_pass_through_our_pages(web, world):
    response = web.get(world.partner.link(state="a-secret-state", nonce="a-secret-nonce"))
    assert response.status_code == 303
    while response.status_code == 303:
        for secret in ("a-secret-state", "a-secret-nonce", world.partner.parameters()["code_challenge"]):
            assert secret not in response.location
        response = web.get(response.location)
    assert "a-secret" not in response.text


def expect_form_may_redirect_to_partner(response):
    """Assert that the page names the partner and has no `form-action`.

    Chromium applies that directive to every URL that a form's response redirects to, those at the partner included.
    """
    assert "Assembly wants to connect to your school" in response.text
    assert "form-action" not in response.headers["Content-Security-Policy"]


def test_the_partner_is_named_on_the_sign_in_page_whose_form_may_lead_to_it(web, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    expect_form_may_redirect_to_partner(response)
    expect_form_may_redirect_to_partner(sign_in(web, response, world.username, "not the password"))


def test_a_request_that_cannot_continue_here_does_not_name_its_partner(web, new_browser, world, clock):
    response = follow_redirects(web, web.get(world.partner.link()))
    path = response.request.full_path
    wrong = path.replace(world.partner.id, world.new_partner().id), path.replace("request_uri", "x"), path + "x"
    responses = [*map(web.get, wrong), new_browser().get(path)]
    clock.move(timedelta(hours=2))
    responses.append(web.get(path))
    for response in responses:
        assert response.status_code == 200
        assert "Assembly wants" not in response.text
        assert "form-action 'self';" in response.headers["Content-Security-Policy"]


def test_cancel_on_the_sign_in_page_is_access_denied(web, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    params = redirect_parameters(follow_redirects(web, press(web, response, "cancel")))
    assert (params["error"], params["state"], params["iss"]) == ("access_denied", "a-state", ISSUER)


def test_a_request_that_was_used_cannot_be_used_again(web, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    pending = query_of(response.request.url)["next"]
    redirect_parameters(follow_redirects(web, press(web, response, "cancel")))
    response = follow_redirects(web, web.get(pending))
    assert response.status_code == 400
    assert "answered already" in response.text
    assert page(response).find(id="error-code").text == "request_expired"


def test_several_tabs_wait_at_once_and_each_gets_its_own_response(web, world):
    first = follow_redirects(web, web.get(world.partner.link(state="first")))
    second = follow_redirects(web, web.get(world.partner.link(state="second")))
    response = follow_redirects(web, sign_in(web, second, world.username))
    assert redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))["state"] == "second"
    assert redirect_parameters(follow_redirects(web, web.get(query_of(first.request.url)["next"])))["state"] == "first"


@pytest.mark.parametrize("pushed", [False, True])
def test_tabs_opened_at_the_same_time_in_a_new_browser_all_continue(web, new_browser, world, pushed):
    """Neither request had a cookie, so each response set one, and the browser has both."""

    def link(state):
        if not pushed:
            return world.partner.link(state=state)
        urn = world.partner.post(new_browser(), "/oauth/par", world.partner.parameters(state=state)).json["request_uri"]
        return f"/oauth/authorize?client_id={world.partner.id}&request_uri={urn}"

    tabs = [new_browser().get(link(state)) for state in ("one", "two")]
    for tab in tabs:
        for cookie in tab.headers.getlist("Set-Cookie"):
            name, value = cookie.split(";")[0].split("=", 1)
            web.set_cookie(name, value, domain="localhost")
    for tab in tabs:
        expect_form_may_redirect_to_partner(follow_redirects(web, tab))
    first = follow_redirects(web, sign_in(web, follow_redirects(web, tabs[0]), world.username))
    assert redirect_parameters(follow_redirects(web, press(web, first, "allow", authority="y")))["state"] == "one"
    back = query_of(tabs[1].location)["next"]
    assert redirect_parameters(follow_redirects(web, web.get(back)))["state"] == "two"


def test_a_browser_that_has_a_cookie_is_given_no_other(web, world):
    def browser_cookies(response):
        return [cookie for cookie in response.headers.getlist("Set-Cookie") if "browser" in cookie.split("=")[0]]

    assert len(browser_cookies(web.get(world.partner.link()))) == 1
    assert browser_cookies(web.get(world.partner.link())) == []


def test_a_request_continues_only_in_the_browser_that_began_it(web, new_browser, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    back = query_of(response.request.url)["next"]
    response = new_browser().get(back)
    assert response.status_code == 400
    assert "Your browser sent us no cookies." in response.text

    other = new_browser()
    follow_redirects(other, other.get(world.partner.link()))
    response = other.get(back)
    assert response.status_code == 400
    assert "It does not belong to this browser" in response.text


def test_a_browser_whose_cookies_were_deleted_gets_that_as_the_reason(web, world):
    sign_in_page = follow_redirects(web, web.get(world.partner.link()))
    for cookie in list(web._cookies):
        del web._cookies[cookie]
    refused = sign_in(web, sign_in_page, world.username)
    assert "Your browser sent no cookies with that." in refused.text

    response = follow_redirects(web, sign_in(web, refused, world.username))
    assert response.status_code == 400
    assert "the cookies it began with have been deleted" in response.text
    assert "another browser" not in response.text
    assert page(response).find(id="way-back")
    assert "code" in sign_in_and_authorise(web, world.partner, world.username)


def test_a_browser_without_cookies_gets_an_error_before_the_password_page(web, new_browser, world):
    def without_cookies(path):
        return new_browser().get(path)

    response = without_cookies(world.partner.link())
    error_page = without_cookies(response.location)
    assert "Your browser keeps no cookies for this site" in error_page.text
    assert "keeps no cookies" not in follow_redirects(web, web.get(world.partner.link())).text


def test_a_request_left_open_too_long_names_the_partner_and_the_way_back(web, world, clock, settings):
    response = follow_redirects(web, web.get(world.partner.link()))
    clock.move(timedelta(seconds=settings.tokens.interaction + 1))
    response = web.get(query_of(response.request.url)["next"])
    assert response.status_code == 400
    assert "left open for too long" in response.text
    back = page(response).find(id="way-back")
    assert back["href"] == "https://assembly.example/initiate?iss=http%3A%2F%2Flocalhost%3A5000"
    assert back.text == "Go to Assembly"


def test_a_sign_in_may_take_ninety_minutes(web, world, clock):
    response = follow_redirects(web, web.get(world.partner.link()))
    clock.move(timedelta(minutes=90))
    response = follow_redirects(web, sign_in(web, response, world.username))
    assert page(response).find(id="allow")


def test_another_clients_pending_request_is_unknown(web, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    urn = query_of(query_of(response.request.url)["next"])["request_uri"]
    other = world.new_partner()
    response = web.get("/oauth/authorize", query_string={"client_id": other.id, "request_uri": urn})
    assert response.status_code == 400
    assert "We do not know this request" in response.text


def test_a_post_stores_the_request_and_redirects_to_get(web, world):
    response = web.post("/oauth/authorize", data=world.partner.parameters())
    assert response.status_code == 303
    assert set(query_of(response.location)) == {"client_id", "request_uri"}
    assert "Set-Cookie" not in response.headers  # the browser's own cookies did not come with the POST
    response = follow_redirects(web, web.get(response.location))
    assert page(response).find(id="sign-in")


def test_a_posted_request_uri_redirects_to_get(web, world):
    location = web.post("/oauth/authorize", data=world.partner.parameters()).location
    response = web.post("/oauth/authorize", data=query_of(location))
    assert response.status_code == 303
    assert response.location == location


def test_the_response_to_an_invalid_post_is_that_to_an_invalid_get(web, world):
    params = redirect_parameters(web.post("/oauth/authorize", data=world.partner.parameters(scope="openid nonsense")))
    assert params["error"] == "invalid_scope"


def test_a_head_request_changes_nothing(web, world):
    response = web.head(world.partner.link())
    assert response.status_code == 200
    with world.transaction() as session:
        assert session.query(AuthorizationRequest).count() == 0


# prompt, max_age, hints


def test_prompt_none_without_a_session_is_login_required(web, world):
    state = "s" * 128
    params = redirect_parameters(web.get(world.partner.link(prompt="none", state=state)))
    assert params["error"] == "login_required"
    assert params["state"] == state


def test_prompt_none_without_an_agreement_is_consent_required(web, world):
    response = follow_redirects(web, web.get(world.partner.link()))
    sign_in(web, response, world.username)
    assert redirect_parameters(web.get(world.partner.link(prompt="none")))["error"] == "consent_required"


def test_prompt_none_with_session_and_agreement_returns_a_code(web, world):
    sign_in_and_authorise(web, world.partner, world.username)
    assert "code" in redirect_parameters(web.get(world.partner.link(prompt="none")))


def test_prompt_login_asks_again_and_cannot_loop(web, world, clock):
    sign_in_and_authorise(web, world.partner, world.username)
    clock.move(timedelta(minutes=1))
    response = follow_redirects(web, web.get(world.partner.link(prompt="login")))
    assert page(response).find(id="sign-in")
    # nor by skipping the sign-in page
    response = follow_redirects(web, web.get(query_of(response.request.url)["next"]))
    assert page(response).find(id="sign-in")
    assert "code" in redirect_parameters(follow_redirects(web, sign_in(web, response, world.username)))


def test_prompt_consent_asks_again_and_cannot_loop(web, world, clock):
    sign_in_and_authorise(web, world.partner, world.username)
    clock.move(timedelta(minutes=1))
    response = follow_redirects(web, web.get(world.partner.link(prompt="consent")))
    assert "code" in redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))


def test_prompt_create_leads_to_registration(web, world):
    response = web.get(world.partner.link(prompt="create"))
    assert response.location.startswith("/register?next=")


def test_max_age_asks_again_when_the_sign_in_is_older(web, world, clock):
    sign_in_and_authorise(web, world.partner, world.username)
    clock.move(timedelta(seconds=100))
    assert "code" in redirect_parameters(web.get(world.partner.link(max_age="100")))
    response = follow_redirects(web, web.get(world.partner.link(max_age="99")))
    params = redirect_parameters(follow_redirects(web, sign_in(web, response, world.username)))
    claims = world.claims(world.partner.redeem(web, params["code"]).json["id_token"], "JWT")
    assert claims["auth_time"] == int(clock.now().timestamp())


def test_prompt_none_with_a_sign_in_older_than_max_age_is_login_required(web, world, clock):
    sign_in_and_authorise(web, world.partner, world.username)
    clock.move(timedelta(seconds=10))
    assert redirect_parameters(web.get(world.partner.link(max_age="1", prompt="none")))["error"] == "login_required"


@pytest.mark.parametrize("acr", [{"values": ["phr", "urn:example:other"]}, {"value": "phr"}])
def test_an_acr_that_is_essential_and_not_reached_fails_the_sign_in(web, world, acr):
    """OpenID Connect Core §5.5.1.1."""
    response = follow_redirects(web, web.get(world.partner.link(claims=essential_acr_claim(**acr))))
    params = redirect_parameters(follow_redirects(web, sign_in(web, response, world.username)))
    assert (params["error"], params["state"]) == ("unmet_authentication_requirements", "a-state")
    silent = redirect_parameters(web.get(world.partner.link(claims=essential_acr_claim(**acr), prompt="none")))
    assert silent["error"] == "unmet_authentication_requirements"


def acr_and_amr(world, web, response_parameters):
    """These claims of the ID Token, after redeeming the code."""
    claims = world.claims(world.partner.redeem(web, response_parameters["code"]).json["id_token"], "JWT")
    return claims["acr"], claims["amr"]


@pytest.mark.usefixtures("clock")
def test_a_person_without_a_second_step_sets_one_up_where_it_is_essential_and_comes_back(web, world):
    response = follow_redirects(web, web.get(world.partner.link(claims=ESSENTIAL_MULTI_CLAIM)))
    response = follow_redirects(web, sign_in(web, response, world.username))
    assert page(response).find("h1").text.strip() == "Set up a second step"
    assert "You can sign in to Assembly only with a second step." in response.text
    response = web.get(page(response).find(id="set-up-app")["href"])
    assert "form-action" not in response.headers["Content-Security-Policy"]
    app = App(page(response).find(id="seed").text.replace(" ", ""))
    response = follow_redirects(web, press(web, response, "finish", code=app.code()))
    response = follow_redirects(web, web.get(page(response).find(id="not-now")["href"]))
    params = redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))

    assert acr_and_amr(world, web, params) == (MULTI_ACR, ["mfa", "otp", "pwd"])


@pytest.mark.usefixtures("clock")
def test_a_passkey_is_offered_where_a_second_step_is_essential_and_leads_back(web, world, settings):
    response = follow_redirects(web, web.get(world.partner.link(claims=ESSENTIAL_MULTI_CLAIM)))
    response = follow_redirects(web, sign_in(web, response, world.username))
    add = page(response).find(id="add-passkey")["href"]
    response = web.get(add)
    assert "form-action" not in response.headers["Content-Security-Policy"]
    token = page(response).find("input", {"name": "csrf_token"})["value"]
    options = web.post("/manage/security/passkeys/options.json", headers={"X-CSRFToken": token}).get_json()
    credential = Authenticator(settings.server.issuer).create(options)
    response = follow_redirects(web, web.post(add, data={"csrf_token": token, "passkey": credential}))
    response = follow_redirects(web, web.get(page(response).find(id="not-now")["href"]))
    params = redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))

    assert acr_and_amr(world, web, params) == (MULTI_ACR, ["mfa", "pwd", "user"])


def test_cancelling_the_set_up_tells_the_partner(web, world):
    response = follow_redirects(web, web.get(world.partner.link(claims=ESSENTIAL_MULTI_CLAIM)))
    response = follow_redirects(web, sign_in(web, response, world.username))
    params = redirect_parameters(follow_redirects(web, web.get(page(response).find(id="cancel")["href"])))

    assert params["error"] == "access_denied"


@pytest.mark.usefixtures("clock")
def test_a_person_who_has_a_second_step_takes_it_where_it_is_essential(web, world, transaction, clock):
    sign_in_and_authorise(web, world.partner, world.username)
    with transaction():
        app = an_app(people.by_name(world.username).id)
    clock.move(timedelta(seconds=30))
    silent = redirect_parameters(web.get(world.partner.link(claims=ESSENTIAL_MULTI_CLAIM, prompt="none")))
    assert silent["error"] == "unmet_authentication_requirements"
    response = follow_redirects(web, web.get(world.partner.link(claims=ESSENTIAL_MULTI_CLAIM)))
    response = follow_redirects(web, sign_in(web, response, world.username))
    params = redirect_parameters(follow_redirects(web, press(web, response, "sign-in", code=app.code())))

    assert acr_and_amr(world, web, params) == (MULTI_ACR, ["mfa", "otp", "pwd"])
    assert "code" in redirect_parameters(web.get(world.partner.link(claims=ESSENTIAL_MULTI_CLAIM, prompt="none")))


@pytest.mark.usefixtures("clock")
def test_a_second_step_requested_by_acr_values_is_asked_of_a_person_who_has_one(web, world, transaction, clock):
    sign_in_and_authorise(web, world.partner, world.username)
    with transaction():
        app = an_app(people.by_name(world.username).id)
    for parameters in OTHER_REQUESTS:
        assert acr_and_amr(world, web, redirect_parameters(web.get(world.partner.link(**parameters)))) == (
            SINGLE_ACR,
            ["pwd"],
        ), parameters
    for parameters in ACR_REQUESTS:
        assert web.get(world.partner.link(**parameters)).location.startswith("/sign-in?"), parameters
    clock.move(timedelta(seconds=30))
    response = follow_redirects(web, web.get(world.partner.link(**ACR_REQUESTS[0])))
    response = follow_redirects(web, sign_in(web, response, world.username))
    params = redirect_parameters(follow_redirects(web, press(web, response, "sign-in", code=app.code())))
    assert acr_and_amr(world, web, params) == (MULTI_ACR, ["mfa", "otp", "pwd"])
    for parameters in ACR_REQUESTS + OTHER_REQUESTS:
        assert (
            acr_and_amr(world, web, redirect_parameters(web.get(world.partner.link(**parameters))))[0] == MULTI_ACR
        ), parameters


@pytest.mark.usefixtures("clock")
def test_a_person_without_a_second_step_is_not_asked_to_set_one_up_for_acr_values(web, world, clock):
    sign_in_and_authorise(web, world.partner, world.username)
    for parameters in ACR_REQUESTS:
        assert acr_and_amr(world, web, redirect_parameters(web.get(world.partner.link(**parameters)))) == (
            SINGLE_ACR,
            ["pwd"],
        ), parameters

    clock.move(timedelta(minutes=2))
    response = follow_redirects(web, web.get(world.partner.link(max_age="60", **ACR_REQUESTS[0])))
    params = redirect_parameters(follow_redirects(web, sign_in(web, response, world.username)))
    claims = world.claims(world.partner.redeem(web, params["code"]).json["id_token"], "JWT")
    assert (claims["acr"], claims["auth_time"]) == (SINGLE_ACR, int(clock.now().timestamp()))


def test_an_acr_that_is_reached_or_voluntary_does_not_fail(web, world):
    sign_in_and_authorise(web, world.partner, world.username, claims=essential_acr_claim(values=["phr", SINGLE_ACR]))
    sign_in_and_authorise(web, world.partner, world.username, claims=essential_acr_claim())
    sign_in_and_authorise(
        web, world.partner, world.username, claims=json.dumps({"id_token": {"acr": {"values": ["phr"]}}})
    )
    sign_in_and_authorise(web, world.partner, world.username, acr_values="phr")


def test_the_login_hint_is_filled_into_the_username_field(web, world):
    response = follow_redirects(web, web.get(world.partner.link(login_hint="office@oakhill.example")))
    assert page(response).find(id="username")["value"] == "office@oakhill.example"


def test_a_hint_of_the_signed_in_person_needs_no_page(web, world):
    params = sign_in_and_authorise(web, world.partner, world.username)
    hint = world.partner.redeem(web, params["code"]).json["id_token"]
    assert "code" in redirect_parameters(web.get(world.partner.link(prompt="none", id_token_hint=hint)))
    sub = world.claims(hint, "JWT")["sub"]
    for named, parameter in ((sub, "code"), ("someone-else", "error")):
        claims = json.dumps({"id_token": {"sub": {"value": named}}})
        assert parameter in redirect_parameters(
            web.get(world.partner.link(prompt="none", id_token_hint=hint, claims=claims))
        ), named


def test_a_hint_of_another_person_never_succeeds_for_the_signed_in_one(web, new_browser, world):
    params = sign_in_and_authorise(web, world.partner, world.username)
    hint = world.partner.redeem(web, params["code"]).json["id_token"]
    with world.transaction() as session:
        estab = session.get_one(Authorisation, session.query(Authorisation.id).scalar()).estab_id
        colleague = factories.an_administrator(session.get_one(Estab, estab), username="colleague")
    browser = new_browser()
    sign_in_and_authorise(browser, world.partner, colleague.username)

    refused = redirect_parameters(browser.get(world.partner.link(prompt="none", id_token_hint=hint)))
    assert refused["error"] == "login_required"
    response = follow_redirects(browser, browser.get(world.partner.link(id_token_hint=hint)))
    assert page(response).find(id="sign-in")
    params = redirect_parameters(follow_redirects(browser, sign_in(browser, response, colleague.username)))
    assert params["error"] == "login_required"


# the school


def test_a_suspended_school_sees_why_and_the_partner_gets_access_denied(web, world):
    world.change(Estab, world.estab, state="suspended")
    response = follow_redirects(web, web.get(world.partner.link()))
    response = sign_in(web, response, world.username)
    assert "suspended" in response.text
    back = page(response).find("a", string="Back to Assembly")["href"]
    assert redirect_parameters(follow_redirects(web, web.get(back)))["error"] == "access_denied"


def test_a_school_whose_mis_the_client_does_not_accept_sees_an_explanation_and_no_form(web, world):
    booking = world.new_partner(accepted_mis=frozenset({"isams", "arbor"}), client_name="SchoolBooking")
    response = follow_redirects(web, web.get(booking.link()))
    response = follow_redirects(web, sign_in(web, response, world.username))
    assert "SchoolBooking works with" in response.text
    assert page(response).find(id="allow") is None
    assert redirect_parameters(follow_redirects(web, press(web, response, "deny")))["error"] == "access_denied"
    assert redirect_parameters(web.get(booking.link(prompt="none")))["error"] == "interaction_required"


def test_a_school_whose_system_is_unknown_is_asked_for_it_and_continues(web, world):
    world.change(Estab, world.estab, mis=None)
    booking = world.new_partner(accepted_mis=frozenset({"isams", "arbor"}))
    response = follow_redirects(web, web.get(booking.link()))
    response = follow_redirects(web, sign_in(web, response, world.username))
    assert "Which system does your school use?" in response.text
    response = follow_redirects(web, press(web, response, "continue", mis="arbor"))
    assert page(response).find(id="allow")


def test_a_withdrawn_agreement_is_asked_for_again(web, world):
    sign_in_and_authorise(web, world.partner, world.username)
    with world.transaction() as session:
        authorise.withdraw(
            world.estab, world.partner.id, by=session.get_one(Administrator, world.person).memberships[0]
        )
    response = follow_redirects(web, web.get(world.partner.link()))
    assert page(response).find(id="allow")


@pytest.mark.parametrize("path", ["/oauth/consent", "/oauth/mis"])
def test_a_page_opened_out_of_order_redirects_to_the_next_step(web, world, path):
    response = follow_redirects(web, web.get(world.partner.link()))
    pending = query_of(response.request.url)["next"]
    response = web.get(pending.replace("/oauth/authorize", path))
    assert response.status_code == 303
    assert response.location == pending
