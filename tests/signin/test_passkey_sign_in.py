"""Signing in with a passkey alone, over HTTP."""

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
from sqlalchemy import select

from idp.audit import events
from idp.audit.models import Entry
from idp.estabs.models import Administrator, Estab
from idp.foundation import clock as clocks
from idp.foundation.ports import RequestingPartner
from idp.signin import session as sessions
from idp.signin.models import BrowserSession, PasskeyChallenge
from tests.signin.authenticator import Authenticator, a_passkey, b64, options_for

PAGE = "/sign-in?next=/mobile/confirm"
PASSKEY_FORM = "/sign-in/passkey?next=/mobile/confirm"
PENDING_REQUEST = "/oauth/authorize?client_id=assembly&request_uri=urn:x"
REFUSED = "We could not sign you in with that passkey."


@pytest.fixture
def device(transaction, account, settings, clock):
    with transaction():
        return a_passkey(account.id, settings.server.issuer)


def send_passkey(person, device, **wrong):
    """Open the sign-in page and press the passkey's button."""
    person.open(PAGE)
    return person.post(PASSKEY_FORM, passkey=device.get(options_for(person), **wrong))


def test_a_passkey_alone_signs_in_and_its_methods_are_recorded(jo, device, account, transaction):
    response = send_passkey(jo, device)

    assert (response.status_code, response.location) == (303, "/mobile/confirm")
    assert jo.is_signed_in()
    with transaction() as session:
        row = session.scalars(select(BrowserSession)).one()
        assert (row.person_id, row.amr, row.acr) == (account.id, frozenset({"user", "mfa"}), sessions.MULTI)
        [entry] = session.scalars(select(Entry).where(Entry.event == events.SIGNED_IN))
        assert entry.facts["amr"] == ["mfa", "user"]


def test_the_page_has_a_hidden_passkey_form_for_browsers_that_support_passkeys(jo):
    jo.open(PAGE)
    form = jo.page.find("form", id="passkey-form")

    assert form.has_attr("hidden")
    assert form["action"] == "/sign-in/passkey?next=/mobile/confirm"
    assert form["data-options"] == "/sign-in/passkey-options.json"
    assert jo.page.find("input", id="username")["autocomplete"] == "username webauthn"


def test_the_passkey_script_is_our_own_file_and_the_csp_is_unchanged(jo):
    jo.open(PAGE)

    assert [tag for tag in jo.page.find_all("script") if not tag.has_attr("src")] == []
    assert "script-src 'self' 'nonce-" in jo.response.headers["Content-Security-Policy"]
    assert "connect-src 'self'" in jo.response.headers["Content-Security-Policy"]


def test_a_passkey_sign_in_within_a_partners_request_continues_with_it(jo, device, change_ports):
    change_ports(requesting_partner={PENDING_REQUEST: RequestingPartner("Assembly", "Example Ltd")}.get)
    jo.open(f"/sign-in?next={quote(PENDING_REQUEST, safe='')}")
    action = jo.page.find("form", id="passkey-form")["action"]
    response = jo.post(action, passkey=device.get(options_for(jo)))

    assert (response.status_code, response.location) == (303, PENDING_REQUEST)


@pytest.mark.parametrize(
    "wrong",
    [
        {"verified": False},
        {"present": False},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost"},
        {"rp_id": "evil.example"},
        {"type": "webauthn.create"},
        {"challenge": b64(bytes(32))},
        {"crossOrigin": True},
    ],
)
def test_a_wrong_webauthn_response_is_refused_in_plain_words(jo, device, wrong):
    response = send_passkey(jo, device, **wrong)

    assert response.status_code == 422
    assert REFUSED in jo.page_text
    assert not jo.is_signed_in()


def test_a_known_and_an_unknown_credential_get_the_same_response(jo, stranger, device, settings, new_browser):
    unknown = Authenticator(settings.server.issuer)
    unknown.create({"rp": {"id": "localhost"}, "user": {"id": b64(b"adm_x")}, "challenge": "x"})
    pages = [send_passkey(jo, unknown), send_passkey(stranger, device, origin="https://evil.example")]

    assert {page.status_code for page in pages} == {422}
    assert {frozenset(page.headers.keys()) for page in pages} == {frozenset(pages[0].headers.keys())}
    assert jo.page_text == stranger.page_text


def test_a_refused_passkey_costs_no_password_hash(jo, stranger, device, settings, app, monkeypatch):
    hashed = []
    monkeypatch.setattr("idp.foundation.crypto.Passwords.matches", lambda *given: hashed.append(given))
    unknown = Authenticator(settings.server.issuer)
    unknown.create({"rp": {"id": "localhost"}, "user": {"id": b64(b"adm_x")}, "challenge": "x"})
    send_passkey(jo, unknown)
    send_passkey(stranger, device, verified=False)

    assert hashed == []


@pytest.mark.parametrize("sent", ["", "{}", "null", "[]", '"text"', "{" * 5000, "x" * 20_000, '{"id": 1}'])
def test_a_malformed_webauthn_response_is_refused(jo, device, sent):
    jo.open(PAGE)

    assert jo.post(PASSKEY_FORM, passkey=sent).status_code == 422
    assert REFUSED in jo.page_text


def test_a_webauthn_response_is_accepted_once(jo, device):
    jo.open(PAGE)
    sent = device.get(options_for(jo))
    assert jo.post(PASSKEY_FORM, passkey=sent).status_code == 303
    jo.submit("/sign-out")
    jo.open(PAGE)

    assert jo.post(PASSKEY_FORM, passkey=sent).status_code == 422
    assert not jo.is_signed_in()


def test_a_webauthn_response_is_accepted_only_in_the_browser_of_its_challenge(jo, stranger, device):
    jo.open(PAGE)
    sent = device.get(options_for(jo))
    stranger.open(PAGE)
    options_for(stranger)

    assert stranger.post(PASSKEY_FORM, passkey=sent).status_code == 422
    assert not stranger.is_signed_in()


def test_a_challenge_is_valid_for_ten_minutes(jo, device, clock):
    jo.open(PAGE)
    sent = device.get(options_for(jo))
    clock.move(timedelta(minutes=10))

    assert jo.post(PASSKEY_FORM, passkey=sent).status_code == 422


def test_a_passkey_without_a_csrf_token_is_refused(jo, device, transaction):
    jo.open(PAGE)
    sent = device.get(options_for(jo))
    response = jo.web.post(PASSKEY_FORM, data={"passkey": sent})

    assert response.status_code == 400
    assert jo.web.post("/sign-in/passkey-options.json").status_code == 400
    assert not jo.is_signed_in()


def test_a_copied_passkey_is_refused_and_its_person_gets_a_mail(jo, device, account, outbox, transaction):
    send_passkey(jo, device)
    jo.submit("/sign-out")
    device.credentials[0].sign_count = 0
    response = send_passkey(jo, device)

    assert response.status_code == 422
    assert "That passkey seems to have been copied to another device" in jo.page_text
    assert outbox.last("passkey_copied").to == account.email
    assert not jo.is_signed_in()


def test_a_locked_account_is_locked_for_passkeys_too_but_not_in_a_known_browser(jo, stranger, device, account):
    send_passkey(jo, device)
    jo.submit("/sign-out")
    for _ in range(10):
        stranger.sign_in(account.username, "not the password")

    assert send_passkey(stranger, device).status_code == 429
    assert int(stranger.response.headers["Retry-After"]) > 0
    assert send_passkey(jo, device).status_code == 303


def test_refused_passkeys_and_wrong_passwords_are_counted_together(stranger, device, account, outbox):
    for _ in range(5):
        stranger.sign_in(account.username, "not the password")
        send_passkey(stranger, device, verified=False)

    assert stranger.sign_in(account.username).status_code == 422
    assert send_passkey(stranger, device).status_code == 429
    assert len(outbox.all("account_locked")) == 1


def test_a_successful_sign_in_resets_the_count_of_guesses(jo, device, account):
    for _ in range(9):
        send_passkey(jo, device, verified=False)
    assert send_passkey(jo, device).status_code == 303
    jo.submit("/sign-out")

    assert send_passkey(jo, device, verified=False).status_code == 422
    assert jo.sign_in(account.username).status_code == 303


@pytest.mark.parametrize("state", ["suspended", "rejected", "closed"])
def test_a_person_whose_school_is_not_open_sees_why(jo, device, account, transaction, state):
    with transaction() as session:
        session.get_one(Estab, account.estab_id).state = state
    response = send_passkey(jo, device)

    assert response.status_code == 403
    assert "What you signed in with is right, but" in jo.page_text
    assert not jo.is_signed_in()


def test_a_removed_person_is_not_signed_in(jo, device, account, transaction):
    with transaction() as session:
        session.get_one(Administrator, account.id).removed_at = clocks.now()

    assert send_passkey(jo, device).status_code == 422
    assert REFUSED in jo.page_text


def test_a_passkey_sign_in_in_a_new_browser_is_mailed_to_its_person(jo, stranger, device, outbox):
    send_passkey(jo, device)
    assert outbox.all("new_device") == []
    send_passkey(stranger, device)

    assert len(outbox.all("new_device")) == 1


def test_signing_in_starts_a_new_session_and_ends_the_former_one(jo, device, account):
    send_passkey(jo, device)
    before = jo.cookie("session")
    send_passkey(jo, device)

    assert jo.cookie("session") != before
    jo.web.set_cookie("idaas-session", before)
    assert not jo.is_signed_in()


def test_a_return_address_on_another_host_is_not_used(jo, device):
    jo.open("/sign-in?next=//evil.example")
    response = jo.post("/sign-in/passkey?next=//evil.example", passkey=device.get(options_for(jo)))

    assert response.location == "/"


def test_the_challenges_for_one_network_address_are_limited(jo, transaction, change_settings):
    change_settings(throttle={"factor": 1})
    jo.open(PAGE)
    codes = [
        jo.web.post("/sign-in/passkey-options.json", headers={"X-CSRFToken": jo.token}).status_code for _ in range(125)
    ]

    assert codes.count(429) == 5
    with transaction() as session:
        assert len(session.scalars(select(PasskeyChallenge)).all()) == 120


def test_the_options_are_the_same_for_everyone_but_for_the_challenge(jo, stranger, device, account):
    for person in (jo, stranger):
        person.open("/sign-in?login_hint=" + account.username)
    first, second = options_for(jo), options_for(stranger)

    assert first.pop("challenge") != second.pop("challenge")
    assert json.dumps(first) == json.dumps(second)
    assert first["allowCredentials"] == []
