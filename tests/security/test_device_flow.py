"""security.md S35: a device gets no more than a person with the right to decide has seen and agreed to (CVE-2024-52287,
CVE-2024-38371).
"""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.audit.models import Entry
from idp.estabs.models import Estab, Membership
from idp.foundation.clock import now
from idp.oidc.models import DeviceCode
from idp.partners import registry
from idp.sharing.models import Authorisation
from tests import factories
from tests.oidc.devices import GRANTS, Device, decide, enter
from tests.oidc.support import follow_redirects, page, press, sign_in_and_authorise


@pytest.fixture
def device(new_browser, world):
    new_device = Device(new_browser(), world.new_partner(grant_types=GRANTS))
    new_device.request_codes()
    return new_device


def has_no_agreement(world):
    with world.transaction() as session:
        return session.query(Authorisation).count() == 0


def test_scopes_of_others_are_refused_and_cannot_be_added_later(web, device, world):
    assert device.request_codes(scope="openid schools.list").json["error"] == "invalid_scope"
    assert device.request_codes(scope="openid timetable").json["error"] == "invalid_scope"
    device.request_codes(scope="openid")
    decide(web, enter(web, device.codes["user_code"], world.username), "allow", area=["attendance"], scope="students")
    assert device.poll(scope="openid students").json["scope"] == "openid"


def test_another_client_can_neither_redeem_a_code_nor_use_it_up(web, new_browser, device, world):
    other = Device(new_browser(), world.new_partner(grant_types=GRANTS))
    decide(web, enter(web, device.codes["user_code"], world.username))
    other.codes = device.codes
    assert other.poll().json["error"] == "invalid_grant"
    assert device.poll().status_code == 200
    with world.transaction() as session:
        (entry,) = session.scalars(select(Entry).where(Entry.event == "client.refused"))
        assert entry.client == other.partner.id


def test_another_clients_polls_are_refused_and_slow_no_one_down(new_browser, device, world):
    other = Device(new_browser(), world.new_partner(grant_types=GRANTS))
    other.codes = device.codes
    for _ in range(3):
        assert other.poll().json["error"] == "invalid_grant"
    assert device.poll().json["error"] == "authorization_pending"


def test_other_secrets_are_refused_as_device_codes(web, device, world):
    decide(web, enter(web, device.codes["user_code"], world.username))
    assert device.poll(device_code=device.codes["user_code"]).json["error"] == "invalid_grant"
    as_code = {"grant_type": "authorization_code", "code": device.codes["device_code"], "redirect_uri": "x"}
    assert device.partner.post(web, "/oauth/token", as_code).status_code == 400


def test_a_viewer_cannot_approve(web, device, world):
    with world.transaction() as session:
        factories.an_administrator(session.get_one(Estab, world.estab), username="viewer", role="viewer")
    consent_page = enter(web, device.codes["user_code"], "viewer")
    assert page(consent_page).find(id="allow") is None
    forged = web.post(
        device.link, data={"csrf_token": page(consent_page).find(attrs={"name": "csrf_token"})["value"], "allow": "yes",
                           "authority": "y", "shown": "", "agreement": "2026-01"},
    )  # fmt: skip
    assert forged.status_code == 403
    assert has_no_agreement(world)
    assert device.poll().json["error"] == "authorization_pending"


def test_a_viewer_cannot_approve_where_the_school_agreed_before(web, new_browser, world):
    partner = world.new_partner(grant_types=GRANTS | {"authorization_code"})
    device = Device(new_browser(), partner)
    device.request_codes()
    sign_in_and_authorise(new_browser(), partner, world.username, scope=device.scope)
    with world.transaction() as session:
        factories.an_administrator(session.get_one(Estab, world.estab), username="viewer", role="viewer")
    consent_page = enter(web, device.codes["user_code"], "viewer")
    assert consent_page.status_code == 403
    assert page(consent_page).find(id="allow") is None
    assert "works for you too" not in consent_page.text, "each device is connected by someone who may decide"
    token = page(consent_page).find(attrs={"name": "csrf_token"})["value"]
    assert web.post(device.link, data={"csrf_token": token, "allow": "yes"}).status_code == 403
    assert device.poll().json["error"] == "authorization_pending"


@pytest.mark.parametrize("state", ["suspended", "closed", "rejected"])
def test_people_of_a_school_that_is_not_active_cannot_approve(web, device, world, state):
    consent_page = enter(web, device.codes["user_code"], world.username)
    world.change(Estab, world.estab, state=state)
    follow_redirects(web, press(web, consent_page, "allow", authority="y"))
    assert has_no_agreement(world)


def test_a_removed_person_cannot_approve(web, device, world):
    consent_page = enter(web, device.codes["user_code"], world.username)
    world.change(Membership, (world.person, world.estab), removed_at=now())
    follow_redirects(web, press(web, consent_page, "allow", authority="y"))
    assert has_no_agreement(world)


def test_a_code_cannot_be_approved_in_a_browser_that_did_not_type_it(web, new_browser, device, world):
    attacker = new_browser()
    with world.transaction():
        stranger = factories.an_administrator().username
    own_device = Device(new_browser(), device.partner)
    own_device.request_codes()
    consent_page = enter(attacker, own_device.codes["user_code"], stranger)
    token = page(consent_page).find(attrs={"name": "csrf_token"})["value"]
    forged = attacker.post(device.link, data={"csrf_token": token, "allow": "yes", "authority": "y"})
    assert page(forged).find(id="user_code")
    assert device.poll().json["error"] == "authorization_pending"


def test_a_code_typed_in_one_browser_is_refused_in_all_others(web, new_browser, device, world):
    enter(web, device.codes["user_code"], world.username)
    with world.transaction():
        stranger = factories.an_administrator().username
    response = enter(new_browser(), device.codes["user_code"], stranger)
    assert response.status_code == 422
    assert "We do not recognise this code" in response.text


def test_a_form_of_another_site_decides_nothing(web, device, world):
    enter(web, device.codes["user_code"], world.username)
    assert web.post(device.link, data={"allow": "yes", "authority": "y"}).status_code == 400
    assert web.post("/device", data={"user_code": device.codes["user_code"]}).status_code == 400
    assert has_no_agreement(world)


def test_guesses_are_counted_wherever_they_are_typed(web, new_browser, device, world, clock):
    user_code = device.codes["user_code"]
    browsers = [web, new_browser()]
    for number in range(10):
        assert enter(browsers[number % 2], f"BBBB-BBB{'BCDFGHJKLM'[number]}", world.username).status_code == 422
    refused = enter(web, user_code)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert enter(new_browser(), user_code, world.username).status_code == 429
    clock.move(timedelta(minutes=2))
    device.request_codes()
    assert page(enter(web, device.codes["user_code"])).find(id="allow")


def test_typing_ones_own_code_does_not_reset_the_count_of_guesses(web, new_browser, device, world):
    own_device = Device(new_browser(), device.partner)
    for _ in range(5):
        own_device.request_codes()
        enter(web, own_device.codes["user_code"], world.username)
        enter(web, "BBBB-BBBB")
    assert enter(web, device.codes["user_code"]).status_code == 429


def test_text_that_cannot_be_a_code_is_reported_and_not_counted_as_a_guess(web, device, world):
    messages = {
        "": "Type the code that the device", "1234-5678": "letters only", "AEIO-UAEI": "never contains A, E, I",
        "BBBB": "eight letters, and you typed 4", "B" * 500: "you typed 500", "<script>": "never contains A",
        "BBBB-BBBB-B": "eight letters, and you typed 9", "\u0412" * 8: "never contains A",
    }  # fmt: skip
    for typed, message in messages.items():
        response = enter(web, typed, world.username)
        assert response.status_code == 422
        assert message in page(response).find(id="user_code-error").get_text()
        assert "<script>" not in page(response).find(id="main").decode()
    for _ in range(5):
        enter(web, "1234-5678")
    assert page(enter(web, device.codes["user_code"])).find(id="allow")


def test_without_a_session_a_code_leads_to_sign_in_and_cannot_be_guessed(web, device):
    response = web.get(device.link)
    assert response.status_code == 303
    assert response.location.startswith("/sign-in?next=")
    response = web.get("/device?user_code=//evil.example")
    assert response.location.startswith("/sign-in?next=")
    assert "evil" not in response.location


def test_codes_are_stored_as_digests_only(device, world):
    with world.transaction() as session:
        rows = repr([tuple(row) for row in session.execute(select(DeviceCode.__table__))])
    for code in (device.codes["device_code"], device.codes["user_code"], device.codes["user_code"].replace("-", "")):
        assert code not in rows


def test_names_with_markup_are_escaped(web, new_browser, world):
    hostile = '"><script>alert(1)</script>'
    device = Device(new_browser(), world.new_partner(grant_types=GRANTS, client_name=hostile))
    device.request_codes()
    consent_page = enter(web, device.codes["user_code"], world.username)
    assert "<script>alert" not in consent_page.text
    assert "<script>alert" not in decide(web, consent_page).text


def test_the_pages_cannot_be_framed_or_cached(web, device, world):
    consent_page = enter(web, device.codes["user_code"], world.username)
    assert consent_page.headers["X-Frame-Options"] == "DENY"
    assert consent_page.headers["Cache-Control"] == "no-store"
    assert "form-action 'self';" in consent_page.headers["Content-Security-Policy"]


def test_a_client_that_is_disabled_meanwhile_gets_no_tokens(web, device, world):
    consent_page = enter(web, device.codes["user_code"], world.username)
    with world.transaction():
        registry.disable(device.partner.id, by="cli")
    follow_redirects(web, press(web, consent_page, "allow", authority="y"))
    assert has_no_agreement(world)
    assert device.poll().status_code == 401


def test_a_device_code_signs_no_one_in(web, new_browser, device, world):
    """The device gets tokens; no browser gets a session."""
    decide(web, enter(web, device.codes["user_code"], world.username))
    response = device.poll()
    assert "Set-Cookie" not in response.headers
    assert page(follow_redirects(device.web, device.web.get("/"))).find(id="sign-in")
