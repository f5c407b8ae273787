"""Device authorization: devices that show a code, and people who type it (RFC 8628)."""

import re
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, update

from idp.audit.models import Entry
from idp.estabs.models import Administrator, Estab
from idp.foundation import clock as clocks
from idp.oidc.clients import oauth_client
from idp.oidc.tokens import device_codes
from idp.oidc.tokens.device_codes import CodeGone
from idp.partners import registry
from idp.sharing import authorise
from idp.sharing.models import Authorisation
from idp.signin.models import BrowserSession
from tests import factories
from tests.oidc.devices import GRANT, GRANTS, Device, decide, enter
from tests.oidc.signing import Signer, jwks, key
from tests.oidc.support import follow_redirects, page, press, sign_in, sign_in_and_authorise
from tests.oidc.test_backchannel import queued_events, sign_out


@pytest.fixture
def device(new_browser, world):
    new_device = Device(new_browser(), world.new_partner(grant_types=GRANTS))
    new_device.request_codes()
    return new_device


def test_a_device_gets_two_codes_and_the_url_for_the_person(device, world):
    codes = device.codes
    assert codes.keys() == {
        "device_code", "user_code", "verification_uri", "verification_uri_complete", "expires_in", "interval",
    }  # fmt: skip
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", codes["user_code"])
    assert codes["verification_uri"].endswith("/device")
    assert codes["verification_uri_complete"] == f"{codes['verification_uri']}?user_code={codes['user_code']}"
    assert (codes["expires_in"], codes["interval"]) == (900, 5)
    assert len(codes["device_code"]) >= 43


def test_a_user_code_in_use_is_not_issued_again(device, monkeypatch):
    letters = iter(["B"] * 8 + ["B"] * 8 + ["C"] * 8)
    monkeypatch.setattr(device_codes, "secrets", SimpleNamespace(choice=lambda _: next(letters)))
    assert [device.request_codes().json["user_code"] for _ in range(2)] == ["BBBB-BBBB", "CCCC-CCCC"]


def test_a_device_is_told_to_try_again_where_no_user_code_can_be_found(device, monkeypatch):
    monkeypatch.setattr(device_codes, "secrets", SimpleNamespace(choice=lambda _: "B"))
    device.request_codes()
    refused = device.request_codes()
    assert (refused.status_code, refused.json["error"]) == (503, "temporarily_unavailable")
    assert refused.headers["Retry-After"]


def test_the_response_is_not_cached(device):
    assert device.request_codes().headers["Cache-Control"] == "no-store"


def test_a_device_gets_tokens_and_refreshes_them(clock, web, device, world):
    assert device.poll().json["error"] == "authorization_pending"
    confirmation = enter(web, device.codes["user_code"], world.username)
    response = decide(web, confirmation)
    assert "You can go back to the device or program" in response.text
    clock.move(timedelta(seconds=5))
    tokens = device.poll().json
    assert tokens["token_type"] == "Bearer"
    assert set(tokens["scope"].split()) == set(device.scope.split())
    claims = world.claims(tokens["id_token"], "JWT")
    assert (claims["sub"], claims["aud"]) == (world.person, device.partner.id)
    assert "nonce" not in claims
    assert device.partner.refresh(web, tokens["refresh_token"]).status_code == 200


def test_the_page_says_who_asks_for_what_and_shows_the_code(web, device, world):
    text = page(enter(web, device.codes["user_code"], world.username)).find(id="main").get_text(" ", strip=True)
    for words in ("Connect Assembly?", device.codes["user_code"], "Pupils", "I have authority", world.school):
        assert words in text
    for jargon in ("OAuth", "scope", "token", "consent"):
        assert jargon not in text


def test_a_device_asks_for_consent_even_if_the_school_agreed_before(web, new_browser, world):
    partner = world.new_partner(grant_types=GRANTS | {"authorization_code"})
    device = Device(new_browser(), partner)
    sign_in_and_authorise(web, partner, world.username, scope=device.scope)
    device.request_codes()
    confirmation = enter(web, device.codes["user_code"])
    assert page(confirmation).find(id="authority") is None
    assert "Connect Assembly?" in confirmation.text
    assert device.poll().json["error"] == "authorization_pending"
    decide(web, confirmation)
    assert device.poll().status_code == 200


def test_following_the_link_approves_nothing(web, device, world):
    response = follow_redirects(web, web.get(device.link))
    response = follow_redirects(web, sign_in(web, response, world.username))
    soup = page(response)
    assert soup.find(id="user_code")["value"] == device.codes["user_code"]
    assert soup.find(id="allow") is None
    assert device.poll().json["error"] == "authorization_pending"
    response = follow_redirects(web, press(web, response, "continue"))
    assert page(response).find(id="allow")
    assert device.poll().json["error"] in {"authorization_pending", "slow_down"}


@pytest.mark.parametrize("template", ["{0}", "{0} ", " {0}", "{1}", "{2}"])
def test_a_user_code_may_be_typed_with_spaces_in_lower_case_or_without_its_hyphen(web, device, world, template):
    code = device.codes["user_code"]
    typed = template.format(code, code.lower().replace("-", ""), code.replace("-", " "))
    assert page(enter(web, typed, world.username)).find(id="allow")


def test_a_code_typed_after_the_session_ended_is_kept_until_the_person_signs_in(clock, web, device, world):
    enter(web, "BCDF-GHJK", world.username)
    confirmation = web.get("/device")
    clock.move(timedelta(hours=3))
    response = follow_redirects(web, press(web, confirmation, "continue", user_code=device.codes["user_code"]))
    response = follow_redirects(web, sign_in(web, response, world.username))
    assert page(response).find(id="user_code")["value"] == device.codes["user_code"]


def test_ticks_sent_after_the_session_ended_are_kept_until_the_person_signs_in(clock, web, new_browser, world):
    device = Device(
        new_browser(), world.new_partner(grant_types=GRANTS), scope="openid offline_access school students attendance"
    )
    device.request_codes()
    confirmation = enter(web, device.codes["user_code"], world.username)
    clock.move(timedelta(minutes=5))
    with world.transaction() as session:
        session.execute(update(BrowserSession).values(ended_at=clocks.now()))
    response = follow_redirects(web, press(web, confirmation, "allow", authority="y", area=["attendance"]))
    soup = page(follow_redirects(web, sign_in(web, response, world.username)))
    assert soup.find(id="area-attendance").has_attr("checked")
    assert not soup.find(id="authority").has_attr("checked")  # declared again
    assert device.poll().json["error"] == "authorization_pending"


def test_a_denied_code_is_access_denied(web, device, world):
    confirmation = enter(web, device.codes["user_code"], world.username)
    assert "not connected" in decide(web, confirmation, "deny").text
    assert device.poll().json["error"] == "access_denied"
    with world.transaction() as session:
        assert session.query(Authorisation).count() == 0


def test_polling_too_often_is_slowed_down_and_the_interval_stays_longer(clock, device):
    assert device.poll().json["error"] == "authorization_pending"
    clock.move(timedelta(seconds=3.9))
    assert device.poll().json["error"] == "slow_down"
    clock.move(timedelta(seconds=8.9))
    assert device.poll().json["error"] == "slow_down", "ten seconds now, and fifteen from here on"
    clock.move(timedelta(seconds=15))
    assert device.poll().json["error"] == "authorization_pending"
    clock.move(timedelta(seconds=13.9))
    assert device.poll().json["error"] == "slow_down"


def test_a_poll_one_second_early_is_accepted(clock, device):
    """A timer of five seconds is not exact to the millisecond."""
    for _ in range(3):
        assert device.poll().json["error"] == "authorization_pending"
        clock.move(timedelta(seconds=4))


def test_polls_of_one_device_do_not_slow_another(clock, new_browser, device):
    other = Device(new_browser(), device.partner)
    other.request_codes()
    for asking_device in (device, other):
        assert asking_device.poll().json["error"] == "authorization_pending"


def test_a_code_expires(clock, web, device, world):
    clock.move(timedelta(seconds=900))
    assert device.poll().json["error"] == "expired_token"
    response = enter(web, device.codes["user_code"], world.username)
    assert response.status_code == 422
    assert "We do not recognise this code" in response.text


def test_a_code_that_expires_while_the_page_is_open_connects_nothing(clock, web, device, world):
    confirmation = enter(web, device.codes["user_code"], world.username)
    clock.move(timedelta(seconds=900))
    response = press(web, confirmation, "allow", authority="y")
    assert "We do not recognise this code" in response.text
    with world.transaction() as session:
        assert session.query(Authorisation).count() == 0


def test_a_used_code_is_reported_as_used_even_after_it_expired(clock, web, device, world):
    decide(web, enter(web, device.codes["user_code"], world.username))
    assert device.poll().status_code == 200
    for _ in range(2):
        assert device.poll().json["error"] == "invalid_grant"
        clock.move(timedelta(seconds=900))


def test_of_many_polls_at_once_one_gets_the_tokens(web, device, world, run_concurrently):
    decide(web, enter(web, device.codes["user_code"], world.username))
    outcomes = run_concurrently(
        8, lambda: device_codes.redeem(device.codes["device_code"], oauth_client.find(device.partner.id))
    )
    assert sum(isinstance(outcome, tuple) for outcome in outcomes) == 1, outcomes


def test_a_decision_is_about_one_device_and_its_code_is_used_up(web, new_browser, device, world):
    other = Device(new_browser(), device.partner)
    for asking_device in (device, other):
        asking_device.request_codes()
        response = enter(web, asking_device.codes["user_code"], world.username)
    decide(web, response)

    assert other.poll().status_code == 200
    assert device.poll().json["error"] == "authorization_pending"
    assert "We do not recognise this code" in enter(web, other.codes["user_code"]).text


def test_a_decision_cannot_be_changed(web, device, world):
    confirmation = enter(web, device.codes["user_code"], world.username)
    decide(web, confirmation, "deny")
    again = follow_redirects(web, press(web, confirmation, "allow", authority="y"))
    assert "not connected" in again.text
    assert device.poll().json["error"] == "access_denied"


def test_a_decision_counts_once_and_in_the_browser_in_which_the_code_was_typed(device, world):
    """Of two tabs that both read the request as undecided, the database takes the first."""
    code = device_codes.parse_user_code(device.codes["user_code"])
    person = SimpleNamespace(id="adm_1", estab_id="est_1")
    with world.transaction():
        assert device_codes.enter(code, b"this browser")
        entered = device_codes.entered_request(code, b"this browser")
        assert entered
        with pytest.raises(CodeGone):
            device_codes.deny(replace(entered, browser=b"another browser"), person)
        device_codes.deny(entered, person)
        with pytest.raises(CodeGone):
            device_codes.deny(entered, person)


def test_a_decision_after_the_code_expired_is_refused(clock, device, world):
    code = device_codes.parse_user_code(device.codes["user_code"])
    with world.transaction():
        device_codes.enter(code, b"this browser")
        entered = device_codes.entered_request(code, b"this browser")
        clock.move(timedelta(seconds=device_codes.LIFETIME_SECONDS + 1))
        with pytest.raises(CodeGone):
            device_codes.deny(entered, SimpleNamespace(id="adm_1", estab_id="est_1"))


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"device_code": None}, "invalid_request"), ({"device_code": "nonsense"}, "invalid_grant"),
        ({"device_code": "x" * 600}, "invalid_request"),
    ],
)  # fmt: skip
def test_an_invalid_code_is_refused(device, form, error):
    response = device.poll(**form)
    assert response.status_code == 400
    assert response.json["error"] == error


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"scope": None, "more": "x"}, "invalid_scope"), ({"scope": "openid nonsense"}, "invalid_scope"),
        ({"scope": "schools.list"}, "invalid_scope"), ({"resource": "https://other.example"}, "invalid_target"),
        ({"scope": "openid\x00"}, "invalid_request"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
    ],
)  # fmt: skip
def test_scopes_a_device_may_not_have_are_refused_at_once(device, form, error):
    response = device.request_codes(**form)
    assert response.status_code == 400
    assert response.json["error"] == error


def test_a_client_without_the_grant_gets_no_codes(new_browser, world):
    device = Device(new_browser(), world.partner)
    assert device.request_codes().json["error"] == "unauthorized_client"
    device.codes = {"device_code": "x"}
    assert device.poll().json["error"] == "unauthorized_client"


def test_a_public_client_may_be_a_device(web, new_browser, world):
    device = Device(new_browser(), world.new_partner(grant_types=GRANTS, token_endpoint_auth_method="none"))
    device.request_codes()
    decide(web, enter(web, device.codes["user_code"], world.username))
    assert "refresh_token" in device.poll().json


def test_a_client_must_authenticate(new_browser, world, device):
    device.partner.secret = "wrong"
    assert device.request_codes().status_code == 401
    assert device.request_codes().json["error"] == "invalid_client"


def test_a_device_that_proves_a_key_gets_tokens_bound_to_it(web, new_browser, world):
    public = jwks(key("ES256"))
    client = world.new_partner(
        grant_types=GRANTS, profile="fapi2", token_endpoint_auth_method="private_key_jwt", jwks=public,
        dpop_bound_access_tokens=True, id_token_signed_response_alg="ES256",
    )  # fmt: skip
    signer = Signer(client.id, dpop_key=key("ES256", 2))
    device = Device(new_browser(), signer)
    device.request_codes()
    decide(web, enter(web, device.codes["user_code"], world.username))
    signer.dpop_key = None
    assert device.poll().json["error"] == "invalid_dpop_proof"
    signer.dpop_key = key("ES256", 2)
    tokens = device.poll().json
    assert tokens["token_type"] == "DPoP"
    assert world.claims(tokens["access_token"])["cnf"]["jkt"] == key("ES256", 2).thumbprint()


def test_without_offline_access_there_is_no_refresh_token_and_without_openid_no_id_token(web, new_browser, world):
    device = Device(new_browser(), world.new_partner(grant_types=GRANTS), scope="school")
    device.request_codes()
    decide(web, enter(web, device.codes["user_code"], world.username))
    assert not {"refresh_token", "id_token"} & device.poll().json.keys()


def test_optional_areas_that_are_not_ticked_are_not_granted(web, new_browser, world):
    device = Device(new_browser(), world.new_partner(grant_types=GRANTS), scope="school students attendance")
    device.request_codes()
    decide(web, enter(web, device.codes["user_code"], world.username))
    assert device.poll().json["scope"] == "school students"


def test_the_declaration_is_required(web, device, world):
    confirmation = enter(web, device.codes["user_code"], world.username)
    response = press(web, confirmation, "allow")
    assert response.status_code == 422
    assert "Tick the box if you have authority" in response.text
    assert device.codes["user_code"] in response.text
    assert device.poll().json["error"] == "authorization_pending"


def test_a_school_whose_system_is_not_known_is_asked_for_it(web, new_browser, world):
    world.change(Estab, world.estab, mis=None)
    device = Device(new_browser(), world.new_partner(grant_types=GRANTS, accepted_mis=frozenset({"isams", "arbor"})))
    device.request_codes()
    confirmation = enter(web, device.codes["user_code"], world.username)
    assert "Which system does your school use?" in confirmation.text
    refused = follow_redirects(web, press(web, confirmation, "continue", mis="sims"))
    assert "does not work with your school" in refused.text
    assert page(refused).find(id="allow") is None
    confirmation = follow_redirects(web, press(web, refused, "continue", mis="arbor"))
    assert page(confirmation).find(id="allow")


def test_a_viewer_is_notified_who_can_decide(web, device, world):
    with world.transaction() as session:
        factories.an_administrator(session.get_one(Estab, world.estab), username="viewer", role="viewer")
    confirmation = enter(web, device.codes["user_code"], "viewer")
    assert confirmation.status_code == 403
    assert "Someone else at your school has to decide this" in confirmation.text
    decide(web, confirmation, "deny")
    assert device.poll().json["error"] == "access_denied"


def test_a_code_can_be_typed_again_in_the_browser_in_which_it_was_typed_first(web, device, world):
    enter(web, device.codes["user_code"], world.username)
    assert page(enter(web, device.codes["user_code"])).find(id="allow")


@pytest.mark.parametrize("stop", [authorise.withdraw, authorise.pause])
def test_a_device_gets_no_tokens_when_sharing_was_stopped_or_paused_before_it_polls(web, device, world, stop):
    decide(web, enter(web, device.codes["user_code"], world.username))
    with world.transaction() as session:
        stop(world.estab, device.partner.id, by=session.get_one(Administrator, world.person).memberships[0])
    assert device.poll().json["error"] == "invalid_grant"


@pytest.mark.parametrize(("scope", "is_notified"), [("openid school", True), ("school", False)])
def test_signing_out_notifies_the_devices_client_where_it_has_an_id_token(web, new_browser, world, scope, is_notified):
    partner = world.new_partner(grant_types=GRANTS, backchannel_logout_uri="https://assembly.example/bcl")
    device = Device(new_browser(), partner, scope=scope)
    device.request_codes()
    decide(web, enter(web, device.codes["user_code"], world.username))
    sign_out(web)
    assert [message.client for message in queued_events(world.transaction)] == [partner.id] * is_notified


def test_decisions_are_recorded_in_the_audit_log(web, device, world):
    decide(web, enter(web, device.codes["user_code"], world.username))
    with world.transaction() as session:
        (entry,) = session.scalars(select(Entry).where(Entry.event == "device.approved"))
        assert (entry.actor, entry.client, entry.estab) == (world.person, device.partner.id, world.estab)


def test_a_wrong_method_is_405(web):
    assert web.get("/oauth/device_authorization").status_code == 405


def test_discovery_announces_the_device_endpoint(web):
    metadata = web.get("/.well-known/openid-configuration").json
    assert metadata["device_authorization_endpoint"].endswith("/oauth/device_authorization")
    assert GRANT in metadata["grant_types_supported"]


def test_the_page_says_that_a_service_was_disabled_meanwhile(web, device, world):
    entered = enter(web, device.codes["user_code"], world.username)
    assert page(entered).find(id="allow")
    with world.transaction():
        registry.disable(device.partner.id, by="cli")
    response = web.get(device.link)

    assert response.status_code == 400
    assert "This service is switched off at the moment" in response.text


def test_the_page_says_from_where_and_how_long_ago_the_device_asked(web, world, clock):
    public = world.new_partner(token_endpoint_auth_method="none", grant_types=GRANTS)
    device = Device(web, public)
    device.request_codes()
    clock.move(timedelta(minutes=2))
    confirmation = enter(web, device.codes["user_code"], world.username)
    assert "It asked 2 minutes ago from 127.0.0.1." in page(confirmation).find("main").get_text(" ")
