"""The token endpoint: the client, the grant type, the code, the refresh token."""

from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from sqlalchemy import select

from idp.audit.models import Entry
from idp.estabs.models import Administrator, Estab
from idp.oidc.models import Code, RefreshFamily
from idp.partners import registry
from idp.partners.models import Client
from idp.sharing import authorise
from tests.factories import secret_of
from tests.oidc.support import ISSUER, Partner, jwt_header, obtain_tokens, sign_in_and_authorise

SECRET_METHODS = ("client_secret_basic", "client_secret_post")


@pytest.fixture
def code(web, world, clock):
    return sign_in_and_authorise(web, world.partner, world.username)["code"]


@pytest.fixture
def tokens(web, world, code):
    return world.partner.redeem(web, code).json


def assert_error(response, error, status=400):
    assert response.status_code == status, response.text
    assert response.json["error"] == error
    assert response.headers["Cache-Control"] == "no-store"
    assert response.mimetype == "application/json"
    assert set(response.json) <= {"error", "error_description"}
    return response


def test_the_response_names_the_granted_scopes(tokens, world):
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 600
    assert tokens["scope"] == "openid profile email organisation offline_access school students"
    assert {"access_token", "refresh_token", "id_token"} <= set(tokens)


def test_the_id_token_names_the_person_and_no_more(tokens, world, clock):
    claims = world.claims(tokens["id_token"], "JWT")
    now = int(clock.now().timestamp())
    assert claims["sub"] == world.person
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (ISSUER, world.partner.id, "a-nonce")
    assert (claims["iat"], claims["exp"], claims["auth_time"]) == (now, now + 600, now)
    assert (claims["acr"], claims["amr"]) == ("urn:idaas:acr:single", ["pwd"])
    assert claims["sid"].startswith("ses_")
    assert set(claims) == {
        "iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "sid", "nonce", "at_hash",
    }  # fmt: skip


def test_the_access_token_is_a_jwt_of_rfc_9068(tokens, world, clock):
    claims = world.claims(tokens["access_token"])
    now = int(clock.now().timestamp())
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, ISSUER, world.person)
    assert (claims["client_id"], claims["scope"]) == (world.partner.id, tokens["scope"])
    assert (claims["iat"], claims["exp"]) == (now, now + 600)
    assert (claims["estab_id"], claims["estab_status"]) == (world.estab_id, "verified")
    assert claims["authorisation"].startswith("aut_")
    assert claims["jti"]
    assert claims["lineage"]


def test_the_id_token_is_signed_by_the_registered_algorithm(web, world):
    partner = world.new_partner(id_token_signed_response_alg="ES256")
    response = obtain_tokens(web, partner, world.username)
    header = jwt_header(response["id_token"])
    assert header["alg"] == "ES256"
    assert header["kid"]


def test_without_openid_there_is_no_id_token(web, world):
    params = sign_in_and_authorise(web, world.partner, world.username, scope="students")
    assert "id_token" not in world.partner.redeem(web, params["code"]).json


def test_without_offline_access_there_is_no_refresh_token(web, world):
    params = sign_in_and_authorise(web, world.partner, world.username, scope="openid students")
    assert "refresh_token" not in world.partner.redeem(web, params["code"]).json


def test_no_secret_is_stored_in_clear(web, world, tokens, code):
    with world.transaction() as session:
        assert code not in str(session.execute(select(Code.__table__)).all())
        assert tokens["refresh_token"] not in str(session.execute(select(RefreshFamily.__table__)).all())


def test_a_refresh_token_ends_with_its_family_although_it_is_in_use(web, world, tokens, clock):
    with world.transaction() as session:
        family_id = session.scalars(select(RefreshFamily.id)).one()
    world.change(RefreshFamily, family_id, expires_at=clock.now() + timedelta(seconds=1))
    assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200
    clock.move(timedelta(seconds=1))
    response = assert_error(world.partner.refresh(web, tokens["refresh_token"]), "invalid_grant")
    assert "expired at" in response.json["error_description"]


# The form and the client


def test_only_a_posted_form_is_accepted(web, world, code):
    partner = world.partner
    assert web.get("/oauth/token").status_code == 405
    assert web.get("/oauth/token").headers["Allow"].startswith(("POST", "OPTIONS"))
    form = {"grant_type": "authorization_code", "code": code}
    assert_error(web.post("/oauth/token", json=form, headers=partner.basic), "invalid_request")
    assert_error(web.post("/oauth/token", headers=partner.basic), "invalid_request")
    assert_error(web.post("/oauth/token?code=x", data=form, headers=partner.basic), "invalid_request")
    large = {"grant_type": "authorization_code", "code": "x" * 70_000}
    assert_error(web.post("/oauth/token", data=large, headers=partner.basic), "invalid_request", 413)
    assert_error(web.post("/oauth/token", data={**form, "code": "x" * 600}, headers=partner.basic), "invalid_request")


@pytest.mark.parametrize("name", ["code", "grant_type", "redirect_uri", "code_verifier", "client_id"])
def test_a_repeated_parameter_is_refused(web, world, code, name):
    data = f"grant_type=authorization_code&code={code}&{name}=a&{name}=b"
    response = web.post(
        "/oauth/token", data=data, headers=world.partner.basic, content_type="application/x-www-form-urlencoded"
    )
    assert_error(response, "invalid_request")


@pytest.mark.parametrize(
    ("grant_type", "error"),
    [(None, "invalid_request"), ("password", "unsupported_grant_type"), ("implicit", "unsupported_grant_type"),
     ("urn:ietf:params:oauth:grant-type:token-exchange", "unsupported_grant_type"), ('"ü', "unsupported_grant_type")],
)  # fmt: skip
def test_an_unknown_grant_type_is_refused(web, world, grant_type, error):
    assert_error(world.partner.post(web, "/oauth/token", {"grant_type": grant_type}), error)


def test_a_grant_type_the_client_lacks_is_refused(web, world):
    partner = world.new_partner(grant_types=frozenset({"authorization_code"}))
    response = partner.post(web, "/oauth/token", {"grant_type": "refresh_token", "refresh_token": "x"})
    assert_error(response, "unauthorized_client")


def test_authorization_details_are_refused_and_do_not_use_up_the_code(web, world, code):
    refused = world.partner.redeem(web, code, authorization_details='[{"type": "school"}]')
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_authorization_details")
    assert world.partner.redeem(web, code).status_code == 200


def refresh_unknown_token(web, partner, method):
    """Send an unknown refresh token with the client's secret; `invalid_grant` means that the secret was accepted."""
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    if method == "client_secret_basic":
        return web.post("/oauth/token", data=form, headers=partner.basic)
    return web.post("/oauth/token", data={**form, "client_id": partner.id, "client_secret": partner.secret})


@pytest.mark.parametrize("sent", SECRET_METHODS)
@pytest.mark.parametrize("registered", SECRET_METHODS)
def test_a_secret_may_be_sent_by_basic_or_by_post_whichever_is_registered(web, world, registered, sent):
    partner = world.new_partner(token_endpoint_auth_method=registered)
    assert refresh_unknown_token(web, partner, sent).json["error"] == "invalid_grant"
    partner.secret = "wrong"
    assert refresh_unknown_token(web, partner, sent).json["error"] == "invalid_client"


@pytest.mark.parametrize("registered", SECRET_METHODS)
def test_a_pinned_authentication_method_is_the_only_one_accepted(web, world, registered):
    partner = world.new_partner(token_endpoint_auth_method=registered, pin_token_endpoint_auth_method=True)
    errors = {sent: refresh_unknown_token(web, partner, sent).json["error"] for sent in SECRET_METHODS}
    other = next(item for item in SECRET_METHODS if item != registered)
    assert errors == {registered: "invalid_grant", other: "invalid_client"}


@pytest.mark.parametrize("sent", SECRET_METHODS)
@pytest.mark.parametrize("registered", ["private_key_jwt", "client_secret_jwt", "none"])
def test_a_client_of_another_method_cannot_authenticate_by_a_secret(web, world, registered, sent):
    """Although there is such a secret in the database: the method was changed, or its secret is an HMAC key."""
    partner = world.new_partner()
    partner.secret = secret_of(partner.id)
    world.change(Client, partner.id, token_endpoint_auth_method=registered)
    assert refresh_unknown_token(web, partner, sent).json["error"] == "invalid_client"


# The code


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"code": None}, "invalid_request"),
        ({"code": "x"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"redirect_uri": "https://assembly.example/other"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_grant"),
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": "x"}, "invalid_grant"),
        ({"code_verifier": "ü" * 43}, "invalid_grant"),
    ],
)
def test_a_code_requires_everything_it_is_bound_to(web, world, code, overrides, error):
    assert_error(world.partner.redeem(web, overrides.pop("code", code), **overrides), error)


def test_a_code_lives_two_minutes(web, world, code, clock):
    clock.move(timedelta(seconds=120))
    assert_error(world.partner.redeem(web, code), "invalid_grant")


def test_a_wrong_verifier_uses_up_the_code(web, world, code):
    assert_error(world.partner.redeem(web, code, code_verifier="x" * 43), "invalid_grant")
    assert_error(world.partner.redeem(web, code), "invalid_grant")


def test_another_clients_attempt_does_not_use_up_the_code_and_is_recorded(web, world, code):
    other = world.new_partner()
    other.verifier = world.partner.verifier
    assert_error(other.redeem(web, code), "invalid_grant")
    assert world.partner.redeem(web, code).status_code == 200
    with world.transaction() as session:
        noted = session.scalars(select(Entry).where(Entry.event == "client.refused")).one()
        assert noted.client == other.id


def test_a_replayed_code_revokes_the_tokens_it_gave(web, world, code, tokens):
    assert_error(world.partner.redeem(web, code), "invalid_grant")
    assert_error(world.partner.refresh(web, tokens["refresh_token"]), "invalid_grant")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert web.get("/oauth/userinfo", headers=headers).status_code == 401
    with world.transaction() as session:
        assert session.scalars(select(Entry).where(Entry.event == "code.replayed")).one().client == world.partner.id


# Withheld scopes


def test_data_scopes_are_withheld_until_the_school_is_verified(web, world, clock):
    world.change(Estab, world.estab, state="unverified")
    params = sign_in_and_authorise(web, world.partner, world.username)
    response = world.partner.redeem(web, params["code"]).json
    assert response["scope"] == "openid profile email organisation offline_access"
    assert world.claims(response["access_token"])["scope"] == response["scope"]
    assert world.claims(response["access_token"])["estab_status"] == "unverified"

    world.change(Estab, world.estab, state="verified")
    response = world.partner.refresh(web, response["refresh_token"]).json
    assert response["scope"] == "openid profile email organisation offline_access school students"
    assert world.claims(response["access_token"])["scope"] == response["scope"]


# Refreshing


def test_a_confidential_clients_refresh_token_is_not_rotated(web, world, tokens, clock):
    clock.move(timedelta(hours=1))
    for _ in range(2):
        response = world.partner.refresh(web, tokens["refresh_token"]).json
        assert "refresh_token" not in response
        assert response["scope"] == tokens["scope"]
    assert_error(world.partner.refresh(web, tokens["refresh_token"] + ".x"), "invalid_grant")


def test_a_refreshed_id_token_keeps_its_time_of_sign_in(web, world, tokens, clock):
    before = world.claims(tokens["id_token"], "JWT")
    clock.move(timedelta(minutes=5))
    after = world.claims(world.partner.refresh(web, tokens["refresh_token"]).json["id_token"], "JWT")
    assert {name: after[name] for name in ("iss", "sub", "aud", "auth_time", "sid")} == {
        name: before[name] for name in ("iss", "sub", "aud", "auth_time", "sid")
    }
    assert after["iat"] > before["iat"]
    assert "nonce" not in after
    assert "azp" not in after


def test_a_refresh_may_ask_for_less_and_not_for_more(web, world, tokens):
    response = world.partner.refresh(web, tokens["refresh_token"], scope="openid school").json
    assert response["scope"] == "openid school"
    for more in ("openid attendance", "nonsense", '"ü"'):
        assert_error(world.partner.refresh(web, tokens["refresh_token"], scope=more), "invalid_scope")
    again = world.partner.refresh(web, tokens["refresh_token"]).json
    assert again["scope"] == tokens["scope"]


def test_an_area_left_out_may_be_repeated_and_is_left_out_again_until_the_school_adds_it(web, world):
    scope = "openid offline_access students attendance"
    tokens = obtain_tokens(web, world.partner, world.username, scope=scope)
    assert tokens["scope"] == "openid offline_access students"
    response = world.partner.refresh(web, tokens["refresh_token"], scope=scope).json
    assert response["scope"] == "openid offline_access students"
    with world.transaction() as session:
        owner = session.get_one(Administrator, world.person)
        authorise.change(world.estab, world.partner.id, frozenset(scope.split()), by=owner.memberships[0])
    assert world.partner.refresh(web, tokens["refresh_token"]).json["scope"] == scope


def test_a_resource_beyond_the_grant_is_an_invalid_target(web, world, tokens):
    assert_error(
        world.partner.refresh(web, tokens["refresh_token"], resource="https://other.example"), "invalid_target"
    )


def test_a_refresh_token_has_an_idle_and_an_absolute_end(web, world, tokens, clock, settings):
    clock.move(timedelta(days=80))
    assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200
    clock.move(timedelta(days=89))
    assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200
    clock.move(timedelta(days=90))
    assert_error(world.partner.refresh(web, tokens["refresh_token"]), "invalid_grant")


def test_a_refresh_token_ends_with_the_authorisation(web, world, tokens, clock):
    for _ in range(12):
        clock.move(timedelta(days=30))
        assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200
    clock.move(timedelta(days=5))
    assert_error(world.partner.refresh(web, tokens["refresh_token"]), "invalid_grant")


@pytest.mark.parametrize("token", ["x", "x.y", "ü", "."])
def test_an_unknown_refresh_token_is_an_invalid_grant(web, world, token):
    assert_error(world.partner.refresh(web, token), "invalid_grant")
    assert_error(world.partner.post(web, "/oauth/token", {"grant_type": "refresh_token"}), "invalid_request")


def test_another_clients_refresh_token_is_refused_and_still_works_for_its_own(web, world, tokens):
    assert_error(world.new_partner().refresh(web, tokens["refresh_token"]), "invalid_grant")
    assert world.partner.refresh(web, tokens["refresh_token"]).status_code == 200


# Rotation


class PublicPartner(NamedTuple):
    """A public client, and the refresh token of its first sign-in."""

    partner: Partner
    refresh_token: str


@pytest.fixture
def public_partner(web, world, clock):
    partner = world.new_partner(token_endpoint_auth_method="none")
    return PublicPartner(partner, obtain_tokens(web, partner, world.username)["refresh_token"])


def test_a_public_clients_refresh_token_rotates(web, public_partner, clock):
    partner, first = public_partner
    second = partner.refresh(web, first).json["refresh_token"]
    clock.move(timedelta(minutes=1))
    third = partner.refresh(web, second).json["refresh_token"]
    assert len({first, second, third}) == 3


def test_a_public_clients_refresh_tokens_end_after_90_days_although_they_are_used(web, public_partner, clock):
    partner, token = public_partner
    for days in (45, 44):
        clock.move(timedelta(days=days))
        token = partner.refresh(web, token).json["refresh_token"]
    clock.move(timedelta(days=1))
    assert_error(partner.refresh(web, token), "invalid_grant")


def test_a_refresh_token_combined_from_two_is_refused(web, world, public_partner):
    partner, first = public_partner
    other = obtain_tokens(web, partner, world.username)["refresh_token"]
    mixed = f"{first.partition('.')[0]}.{other.partition('.')[2]}"
    assert_error(partner.refresh(web, mixed), "invalid_grant")


def test_a_client_that_lost_the_response_gets_the_same_successor_for_a_minute(web, public_partner, clock):
    partner, first = public_partner
    second = partner.refresh(web, first).json["refresh_token"]
    clock.move(timedelta(seconds=60))
    assert partner.refresh(web, first).json["refresh_token"] == second
    assert partner.refresh(web, second).status_code == 200


@pytest.mark.parametrize("seconds", [0, 61])
def test_any_other_use_of_an_old_token_ends_the_family(web, world, public_partner, clock, seconds):
    partner, first = public_partner
    response = partner.refresh(web, first).json
    if seconds == 0:  # the successor has been used, so the old one is invalid
        latest = partner.refresh(web, response["refresh_token"]).json
    else:
        clock.move(timedelta(seconds=seconds))
        latest = response
    assert_error(partner.refresh(web, first), "invalid_grant")
    assert_error(partner.refresh(web, latest["refresh_token"]), "invalid_grant")
    headers = {"Authorization": f"Bearer {latest['access_token']}"}
    assert web.get("/oauth/userinfo", headers=headers).status_code == 401
    with world.transaction() as session:
        assert session.scalars(select(Entry).where(Entry.event == "refresh_token.reused")).one().client == partner.id


def test_a_confidential_client_with_rotation_has_a_minute_of_grace(web, world, clock):
    partner = world.new_partner(rotate_refresh_tokens=True)
    first = obtain_tokens(web, partner, world.username)["refresh_token"]
    second = partner.refresh(web, first).json["refresh_token"]
    clock.move(timedelta(seconds=60))
    assert partner.refresh(web, first).json["refresh_token"] == second


def test_a_forged_generation_ends_the_family_and_reveals_nothing(web, public_partner):
    partner, first = public_partner
    assert_error(partner.refresh(web, first.partition(".")[0] + ".forged"), "invalid_grant")
    assert_error(partner.refresh(web, first), "invalid_grant")


def test_a_truncated_form_is_refused(web, world, tokens):
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "scope": "openid"}
    sent = urlencode(form)
    responses = [
        web.post(
            "/oauth/token", data=sent, content_type="application/x-www-form-urlencoded",
            auth=(world.partner.id, world.partner.secret),
            environ_overrides={"CONTENT_LENGTH": str(len(sent) + missing)},
        )
        for missing in (0, 7)
    ]  # fmt: skip
    assert responses[0].status_code == 200
    assert_error(responses[1], "invalid_request")


@pytest.mark.parametrize("use", ["userinfo", "refresh"])
def test_using_a_token_drops_the_cached_registration_that_another_process_changed(web, world, tokens, monkeypatch, use):
    monkeypatch.setattr(registry, "CACHE_SECONDS", 3600.0)

    def use_token():
        if use == "refresh":
            return world.partner.refresh(web, tokens["refresh_token"])
        return web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})

    assert use_token().status_code == 200
    with world.transaction() as session:
        client = session.get_one(Client, world.partner.id)
        client.version, client.client_name = client.version + 1, "Renamed by another process"
    with world.transaction():
        assert registry.client(world.partner.id).client_name == "Assembly"
    assert use_token().status_code == 200
    with world.transaction():
        assert registry.client(world.partner.id).client_name == "Renamed by another process"
