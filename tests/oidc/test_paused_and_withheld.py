"""Responses to a partner while a school has paused sharing, or while scopes that were agreed to are withheld."""

import pytest
from sqlalchemy import select

from idp.estabs.models import Administrator, Estab
from idp.outbox.models import Message
from idp.partners import failure_log
from idp.partners.models import Client
from idp.sharing import authorise
from tests.oidc.support import (
    follow_redirects,
    obtain_tokens,
    page,
    press,
    redirect_parameters,
    sign_in,
    sign_in_and_authorise,
)

DATA = "school students"
PAUSED_MESSAGE = "the school has paused sharing; tokens work again when the school resumes"


def owner(session, world):
    return session.get_one(Administrator, world.person)


@pytest.fixture
def tokens(web, world):
    return obtain_tokens(web, world.partner, world.username)


@pytest.fixture
def decide(world):
    """`decide(authorise.pause)` changes the agreement with the client, as the school's owner."""

    def change(verb):
        with world.transaction() as session:
            verb(world.estab, world.partner.id, by=owner(session, world).memberships[0])

    return change


@pytest.fixture
def log(world):
    """`log()` is the endpoint, error, parameter and fact of each failure in the client's log."""

    def read():
        with world.transaction():
            return [
                (entry.endpoint, entry.error, entry.parameter, entry.fact)
                for entry in failure_log.newest(world.partner.id)
            ]

    return read


def userinfo(web, tokens):
    return web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json


@pytest.mark.parametrize("rotates", [False, True])
def test_a_refresh_during_a_pause_is_refused_as_such_and_works_after_it(web, world, rotates):
    partner = world.new_partner(rotate_refresh_tokens=rotates)
    tokens = obtain_tokens(web, partner, world.username)
    with world.transaction() as session:
        authorise.pause(world.estab, partner.id, by=owner(session, world).memberships[0])

    for _ in range(2):
        response = partner.refresh(web, tokens["refresh_token"])
        assert response.status_code == 400
        assert response.json["error"] == "access_denied"
        assert "paused" in response.json["error_description"]

    with world.transaction() as session:
        authorise.resume(world.estab, partner.id, by=owner(session, world).memberships[0])
    again = partner.refresh(web, tokens["refresh_token"])
    assert again.status_code == 200, again.json
    assert again.json["scope"] == tokens["scope"]


@pytest.mark.parametrize(
    ("interrupt", "words"),
    [
        (lambda world: world.change(Client, world.partner.id, accepted_mis=frozenset({"arbor"})), "system (MIS)"),
        (lambda world: world.change(Estab, world.estab, state="suspended"), "suspended"),
    ],
    ids=["another system", "suspended"],
)
def test_tokens_work_again_after_a_suspension_or_an_mis_that_is_not_accepted(web, world, tokens, interrupt, words):
    interrupt(world)
    refused = world.partner.refresh(web, tokens["refresh_token"]).json
    assert (refused["error"], words in refused["error_description"]) == ("access_denied", True)
    assert words in userinfo(web, tokens)["error_description"]

    world.change(Client, world.partner.id, accepted_mis=frozenset())
    world.change(Estab, world.estab, state="verified")
    assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200


def test_userinfo_during_a_pause_is_refused_as_such_and_works_after_it(web, world, tokens, decide, log):
    """With RFC 6750's own code, so that a client refreshes and is told of the pause there as well."""
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    decide(authorise.pause)
    response = web.get("/oauth/userinfo", headers=header)
    assert (response.status_code, response.json["error"]) == (401, "invalid_token")
    assert response.json["error_description"] == f"access_token: {PAUSED_MESSAGE}"
    challenge = f'Bearer error="invalid_token", error_description="access_token: {PAUSED_MESSAGE}"'
    assert response.headers["WWW-Authenticate"] == challenge
    assert ("GET /oauth/userinfo", "invalid_token", "access_token", PAUSED_MESSAGE) in log()

    decide(authorise.resume)
    assert userinfo(web, tokens)["sub"] == world.person


def test_userinfo_after_the_end_does_not_mention_a_pause(web, world, tokens, decide):
    decide(authorise.pause)
    decide(authorise.withdraw)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    description = web.get("/oauth/userinfo", headers=header).json["error_description"]
    assert description == "access_token: the authorisation that it was issued under is not in force"


def test_the_log_says_why_a_refresh_was_refused(web, world, tokens, decide, log):
    decide(authorise.pause)
    world.partner.refresh(web, tokens["refresh_token"])
    assert log() == [("POST /oauth/token", "access_denied", "refresh_token", PAUSED_MESSAGE)]


def test_a_pause_does_not_end_the_session(web, world, tokens, decide, transaction):
    decide(authorise.pause)
    with transaction() as session:
        assert not session.scalars(select(Message).where(Message.kind == "event")).all()
    # The error is not login_required.
    assert redirect_parameters(web.get(world.partner.link(prompt="none")))["error"] == "consent_required"


def test_a_closed_school_is_refused_as_ended_though_it_has_paused(web, world, tokens, decide):
    decide(authorise.pause)
    world.change(Estab, world.estab, state="closed")
    assert world.partner.refresh(web, tokens["refresh_token"]).json["error"] == "invalid_grant"


def test_a_silent_request_is_refused_with_the_pause(web, world, tokens, decide):
    decide(authorise.pause)
    params = redirect_parameters(web.get(world.partner.link(prompt="none")))
    assert params["error"] == "consent_required"
    assert "paused" in params["error_description"]


def test_the_page_says_that_agreeing_resumes_what_is_paused(web, world, tokens, decide):
    decide(authorise.pause)
    consent_response = follow_redirects(web, web.get(world.partner.link()))
    assert "Your school has paused this" in page(consent_response).text
    assert "code" in redirect_parameters(follow_redirects(web, press(web, consent_response, "allow", authority="y")))
    assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200


def test_withheld_scopes_are_named_next_to_the_granted_ones(web, world):
    world.change(Estab, world.estab, state="unverified")
    params = sign_in_and_authorise(
        web, world.partner, world.username, "attendance", scope=f"{world.partner.scope} attendance"
    )
    tokens = world.partner.redeem(web, params["code"]).json
    assert tokens["withheld_scope"] == "school students attendance"
    assert not {"school", "students", "attendance"} & set(tokens["scope"].split())
    claims = userinfo(web, tokens)
    assert (claims["scope"], claims["withheld_scope"]) == (tokens["scope"], "school students attendance")

    world.change(Estab, world.estab, state="verified")
    tokens = world.partner.refresh(web, tokens["refresh_token"]).json
    assert "withheld_scope" not in tokens
    assert {"school", "students", "attendance"} <= set(tokens["scope"].split())
    claims = userinfo(web, tokens)
    assert claims["scope"] == tokens["scope"]
    assert "withheld_scope" not in claims


def test_an_area_that_the_school_left_out_is_not_among_what_is_withheld(web, world):
    world.change(Estab, world.estab, state="unverified")
    params = sign_in_and_authorise(web, world.partner, world.username, scope=f"{world.partner.scope} attendance")
    assert world.partner.redeem(web, params["code"]).json["withheld_scope"] == DATA


def test_userinfo_without_the_school_scope_does_not_tell_its_state(web, world):
    response = follow_redirects(web, web.get(world.partner.link(scope="openid profile")))
    if page(response).find(id="sign-in"):
        response = follow_redirects(web, sign_in(web, response, world.username))
    response = follow_redirects(web, press(web, response, "allow"))
    claims = userinfo(web, world.partner.redeem(web, redirect_parameters(response)["code"]).json)
    assert not {"scope", "withheld_scope"} & claims.keys()
