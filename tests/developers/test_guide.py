"""The partner guide is correct: its figures and its error responses are compared with the service."""

import base64
import json
import re
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import pytest

from clients.xporter import oneroster, oneroster_views, pages, web as xporter
from clients.xporter.problems import KINDS
from idp.developers import guide
from idp.estabs.models import Administrator
from idp.foundation import clock, scopes
from idp.oidc.clients import failures
from idp.oidc.errors import CLIENT_REFUSED
from idp.oidc.incoming import KNOWN_PARAMETERS
from idp.partners import failure_log
from idp.sharing import authorise
from tests import factories
from tests.html import parse
from tests.oidc.signing import Signer, jwks, key
from tests.oidc.support import (
    ISSUER,
    follow_redirects,
    obtain_tokens,
    page,
    press,
    redirect_parameters,
    sign_in,
    sign_in_and_authorise,
)
from tests.oidc.world import world

__all__ = ["world"]


@pytest.fixture
def text(web):
    """`text()` is the text of the guide as it is now."""

    def read():
        return " ".join(parse(web.get("/developers/guide").text).find(id="main").get_text(" ").split())

    return read


def test_lifetimes_are_those_of_the_settings(text, change_settings):
    assert "Access token 10 minutes; with the profile fapi2 5 minutes" in text()
    change_settings(tokens={"access": 1200, "access_fapi2": 1200, "skew": 7})
    assert "Access token 20 minutes ID Token" in text()
    assert "7 seconds either way" in text()


def test_statements_about_keys_and_the_log_agree_with_the_code(text, change_settings):
    change_settings(retention={"client_events": 12})
    page = text()
    assert "We fetch jwks_uri again after 1 hour" in page
    assert "at most once in 1 minute" in page
    assert "A client assertion may last 10 minutes, and is accepted once" in page
    assert "A DPoP proof is valid for 1 minute after its iat" in page
    assert "We keep the newest 200 entries, for 12 days after the last failure" in page
    assert "We e-mail your company's contact 2 days before it ends" in page
    assert "for a time that you choose, 30 days at most" in page
    assert "we keep the newest 10 references" in page
    assert "Refresh token, unused 90 days; 1 day less if it stays the same" in page
    assert "the parts that differ are named: scheme, host, port, path, query, fragment." in page


def test_statements_about_xporter_agree_with_its_code(text):
    page = text()
    assert (guide.DEFAULT_PAGE_RECORDS, guide.MAX_PAGE_RECORDS) == (pages.DEFAULT_LIMIT, pages.MAX_LIMIT)
    assert "A page has 100 records, or as many as limit says, from 1 to 1,000" in page
    assert f"/v1/students?limit={pages.MAX_LIMIT} " in page
    assert f"below {oneroster.BASE} (" in page
    named = page.partition(f"below {oneroster.BASE} (")[2].partition(")")[0].split(", ")
    assert set(named) <= oneroster.RESOURCES.keys()
    assert f"CSV files at {oneroster_views.CSV_PATH}" in page
    assert f"at {xporter.METADATA}" in page


@pytest.mark.parametrize(
    ("decide", "sent"),
    [(authorise.pause, "A refresh token of a school that has paused"),
     (authorise.withdraw, "A refresh token of a school that has stopped")],
    ids=["paused", "stopped"],
)  # fmt: skip
def test_a_refresh_after_a_school_paused_or_stopped_has_the_error_of_the_guide(web, world, decide, sent):
    tokens = obtain_tokens(web, world.partner, world.username)
    with world.transaction() as session:
        decide(world.estab, world.partner.id, by=session.get_one(Administrator, world.person).memberships[0])
    assert world.partner.refresh(web, tokens["refresh_token"]).json["error"] == token_error(sent)
    with world.transaction():
        assert {entry.error for entry in failure_log.newest(world.partner.id)} == {token_error(sent)}


@pytest.mark.parametrize("refused", guide.AT_AUTHORIZE, ids=lambda refused: refused.sent)
def test_every_refusal_in_the_guide_happens_with_its_error_code(web, world, refused):
    assert refused.parameters
    response = web.get(world.partner.link(**dict(refused.parameters)))
    if refused.error == "a page":
        assert response.status_code == 400
        assert page(response).find(id="error-code")
    else:
        parameters = redirect_parameters(response)
        assert parameters["error"] == refused.error
        assert parameters["iss"] == ISSUER
        names_a_parameter = parameters["error_description"].partition(": ")[0] in KNOWN_PARAMETERS
        assert names_a_parameter or refused.error in failures.EXPECTED


def test_unknown_parameters_are_ignored(web, world):
    link = world.partner.link(colour="blue", claims='{"userinfo": {"shoe_size": null}}')
    assert urlsplit(web.get(link).location).path == "/sign-in"


def test_a_wrong_assertion_has_the_error_of_the_guide(web, world):
    with world.transaction():
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256")),
            grant_types=frozenset({"client_credentials"}), client_scopes=frozenset({"schools.list"}),
        )  # fmt: skip
        partner = Signer(client.id)

    def refused(assertion):
        response = partner.post(web, "/oauth/token", {"grant_type": "client_credentials"}, assertion)
        assert (
            response.json["error"]
            == token_error("An assertion signed with one of your keys")
            == token_error("A wrong secret")
        )
        return response.json["error_description"]

    assert "aud is " in refused(partner.assertion(aud="https://elsewhere.example"))
    assert refused(partner.assertion(key=key("ES256", 2))) == CLIENT_REFUSED
    with world.transaction():
        assert any("key" in entry.fact for entry in failure_log.newest(client.id))


@pytest.fixture
def fapi2_client(world):
    """A client of the profile fapi2, with a key for DPoP."""
    with world.transaction():
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks=jwks(key("ES256")), profile="fapi2",
            dpop_bound_access_tokens=True,
        )  # fmt: skip
        return Signer(client.id, dpop_key=key("ES256", 2))


def push(web, client):
    """The URL to which a browser is sent once the request is pushed."""
    pushed = client.post(web, "/oauth/par", client.parameters()).json
    return f"/oauth/authorize?{urlencode({'client_id': client.id, 'request_uri': pushed['request_uri']})}"


class TestProfile:
    def test_a_request_that_is_not_pushed_has_the_error_of_the_guide(self, web, fapi2_client):
        assert redirect_parameters(web.get(fapi2_client.link()))["error"] == dpop_error(
            "A request to the authorization endpoint"
        )

    def test_a_pushed_request_lasts_as_long_as_the_guide_says(self, web, fapi2_client, text, clock):
        assert "It has to arrive there within 90 seconds, and works in one browser" in text()
        late = push(web, fapi2_client)
        assert urlsplit(web.get(push(web, fapi2_client)).location).path == "/sign-in"
        clock.move(timedelta(seconds=90))
        response = web.get(late)
        assert (response.status_code, dpop_error("A request_uri of ours")) == (400, "a page")
        assert page(response).find(id="error-code")

    def test_wrong_dpop_proofs_have_the_errors_of_the_guide(self, web, world, fapi2_client, text, change_settings):
        response = follow_redirects(
            web, sign_in(web, follow_redirects(web, web.get(push(web, fapi2_client))), world.username)
        )
        code = redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))["code"]
        own_key = fapi2_client.dpop_key

        def refused(beginning, status=400, *, at=None, **overrides):
            fapi2_client.dpop_key, fapi2_client.proofs = overrides.pop("key", own_key), overrides
            response = fapi2_client.request_userinfo(web, at, scheme="Bearer") if at else fapi2_client.redeem(web, code)
            assert (response.status_code, response.json["error"]) == (status, dpop_error(beginning))
            return response

        refused("No proof", key=None)
        refused("A proof for another method", htm="GET")
        refused("A proof for another method", iat=int(clock.timestamp()) - 61)
        refused("A code with a proof by a key other", key=key("ES256", 3))
        fapi2_client.dpop_key, fapi2_client.proofs = own_key, {}
        tokens = fapi2_client.redeem(web, code).json
        assert tokens["token_type"] == "DPoP"
        refused("An access token that is bound", 401, at=tokens["access_token"])

        fapi2_client.dpop_key, fapi2_client.proofs = key("ES256", 3), {}
        assert "refresh with a proof signed with a new key" in text()
        assert fapi2_client.refresh(web, tokens["refresh_token"]).json["token_type"] == "DPoP"

        assert "we do not ask for a nonce in proofs" in text()
        change_settings(tokens={"dpop_nonces": True})
        assert "We ask for a nonce in each proof." in text()
        assert "DPoP-Nonce" in refused("A proof without our nonce").headers


def test_refresh_tokens_stay_the_same_or_change_as_the_guide_says(web, world):
    for overrides, changes in (
        ({}, False), ({"rotate_refresh_tokens": True}, True), ({"token_endpoint_auth_method": "none"}, True),
    ):  # fmt: skip
        partner = world.new_partner(**overrides)
        tokens = obtain_tokens(web, partner, world.username)
        successor = partner.refresh(web, tokens["refresh_token"]).json.get("refresh_token")
        assert (successor is not None) is changes, overrides
        if successor:
            assert partner.refresh(web, tokens["refresh_token"]).json["refresh_token"] == successor
            assert partner.refresh(web, successor).status_code == 200
            assert partner.refresh(web, tokens["refresh_token"]).json["error"] == "invalid_grant"
            assert partner.refresh(web, successor).json["error"] == "invalid_grant"


def test_the_audience_of_a_token_is_the_one_in_the_guide(web, world):
    with world.transaction():
        factories.a_client(resource="https://xporter.example", resource_scopes=frozenset({"students"}))
    tokens = obtain_tokens(web, world.partner, world.username)
    assert payload(tokens["access_token"])["aud"] == [ISSUER, "https://xporter.example"]


def test_a_code_works_once(web, world):
    response = sign_in_and_authorise(web, world.partner, world.username)
    assert world.partner.redeem(web, response["code"]).status_code == 200
    assert world.partner.redeem(web, response["code"]).json["error"] == token_error("The same code a second time")


def test_a_wrong_verifier_has_the_error_of_the_guide(web, world):
    response = sign_in_and_authorise(web, world.partner, world.username)
    refused = world.partner.redeem(web, response["code"], code_verifier="w" * 48)
    assert refused.json["error"] == token_error("A code_verifier")


def test_unknown_and_expired_codes_have_the_error_of_the_guide(web, world, clock):
    expired = sign_in_and_authorise(web, world.partner, world.username)["code"]
    clock.move(timedelta(minutes=3))
    error = token_error("A code that has expired")
    assert world.partner.redeem(web, "unknown").json["error"] == error
    response = world.partner.redeem(web, expired).json
    assert response["error"] == error
    assert re.search(r"expired \d+ seconds ago", response["error_description"])


def test_a_grant_type_that_is_not_registered_has_the_error_of_the_guide(web, world):
    response = world.partner.post(web, "/oauth/token", {"grant_type": "client_credentials"}).json
    assert response["error"] == token_error("A grant_type that")


def test_a_request_in_json_has_the_error_of_the_guide(web):
    response = web.post("/oauth/token", json={"grant_type": "authorization_code"}).json
    assert response["error"] == token_error("JSON")
    assert "application/x-www-form-urlencoded" in response["error_description"]


def test_userinfo_and_introspection_have_the_errors_of_the_guide(web, world):
    def read(token=None, query=None):
        headers = {"Authorization": f"Bearer {token}"} if token else None
        return web.get("/oauth/userinfo", headers=headers, query_string=query).json

    tokens = obtain_tokens(web, world.partner, world.username)
    whole = tokens["access_token"]
    assert read(whole)["sub"]
    assert read() == {"error": userinfo_error("No access token"), "error_description": "access_token: missing"}
    assert read(query={"access_token": whole})["error"] == userinfo_error("An access token in the query")
    assert read(whole[:-5])["error"] == userinfo_error("An access token that has expired")
    without = world.partner.redeem(
        web, sign_in_and_authorise(web, world.partner, world.username, scope="profile students")["code"]
    )
    assert read(without.json["access_token"])["error"] == userinfo_error("An access token without openid")
    assert userinfo_error("At introspection") == '"active": false'
    other = world.new_partner()
    assert other.post(web, "/oauth/introspect", {"token": whole}).json == {"active": False}


def test_signing_out_shows_the_pages_of_the_guide(web, world):
    hint = obtain_tokens(web, world.partner, world.username)["id_token"]
    unregistered = {"id_token_hint": hint, "post_logout_redirect_uri": "https://elsewhere.example/"}
    for refused, parameters, shown in zip(
        guide.AT_LOGOUT,
        [unregistered, {"id_token_hint": "abc"}, {"client_id": world.partner.id}],
        ["error-code", "error-code", "confirm-logout"],
        strict=True,
    ):
        assert refused.error in {"a page", "a question"}
        response = web.get("/oauth/logout", query_string=parameters)
        assert (page(response).find(id="error-code") is not None) is (refused.error == "a page")
        assert page(response).find(id=shown)


def test_claims_are_released_where_the_guide_says(web, world):
    tokens = obtain_tokens(web, world.partner, world.username)
    people_claims = {name for names in scopes.CLAIMS.values() for name in names}
    assert not people_claims & payload(tokens["id_token"]).keys()
    assert people_claims & payload(tokens["access_token"]).keys() == {"estab_id", "estab_status"}
    assert {"scope", "authorisation", "sub"} <= payload(tokens["access_token"]).keys()


def test_every_claim_of_a_scope_is_named(text):
    shown = text()
    assert all(name in shown for names in scopes.CLAIMS.values() for name in names)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (600, "10 minutes"),
        (60, "1 minute"),
        (90, "90 seconds"),
        (86400, "1 day"),
        (34560000, "400 days"),
        (0, "0 seconds"),
    ],
)
def test_a_duration_has_its_largest_whole_unit(seconds, words):
    assert guide.duration(seconds) == words


def token_error(beginning):
    (error,) = [refused.error for refused in guide.AT_TOKEN if refused.sent.startswith(beginning)]
    return error


def userinfo_error(beginning):
    (error,) = [refused.error for refused in guide.AT_USERINFO if refused.sent.startswith(beginning)]
    return error


def dpop_error(beginning):
    (error,) = [refused.error for refused in guide.AT_DPOP if refused.sent.startswith(beginning)]
    return error


def payload(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_the_errors_of_the_data_api_in_the_guide_exist(text):
    page = text()
    for refused in guide.AT_DATA:
        assert refused.error in KINDS
        assert refused.error in page


def test_each_member_of_each_scope_is_in_the_guide(text):
    page = text()
    for scope in scopes.catalogue().values():
        for members in scope.fields.values():
            assert all(member in page for member in members)
