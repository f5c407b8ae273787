"""A passkey as the second step of a sign-in, after the password."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.signin import session as sessions
from idp.signin.models import BrowserSession
from tests.factories import an_administrator
from tests.signin.apps import an_app
from tests.signin.authenticator import a_passkey, options_for

PAGE = "/sign-in/second-step?next=/mobile/confirm"
PASSKEY_FORM = "/sign-in/second-step/passkey?next=/mobile/confirm"
OPTIONS = "/sign-in/second-step/passkey-options.json"


@pytest.fixture
def origin(settings):
    return settings.server.issuer


@pytest.fixture
def device(transaction, account, origin, clock):
    with transaction():
        return a_passkey(account.id, origin)


@pytest.fixture
def at_second_step(clock, jo, account, device):
    """Jo has typed the right password and sees the page of the second step."""
    jo.sign_in(account.username, back="/mobile/confirm")
    jo.open(jo.response.location)
    return jo


def test_a_passkey_completes_the_sign_in_and_says_how_it_was_done(at_second_step, device, account, transaction):
    assert not at_second_step.is_signed_in()
    at_second_step.open(PAGE)
    response = at_second_step.post(PASSKEY_FORM, passkey=device.get(options_for(at_second_step, OPTIONS)))

    assert (response.status_code, response.location) == (303, "/mobile/confirm")
    assert at_second_step.is_signed_in()
    with transaction() as session:
        row = session.scalars(select(BrowserSession)).one()
        assert (row.amr, row.acr) == (frozenset({"pwd", "user", "mfa"}), sessions.MULTI)


@pytest.mark.parametrize("handle", ["", None])
def test_an_answer_that_names_no_person_is_accepted(at_second_step, device, handle):
    """Safari writes an empty user handle where the authenticator returned none (WebKit bug 239737)."""
    answer = json.loads(device.get(options_for(at_second_step, OPTIONS)))
    answer["response"]["userHandle"] = handle
    assert at_second_step.post(PASSKEY_FORM, passkey=json.dumps(answer)).location == "/mobile/confirm"


def test_the_page_offers_the_factors_that_the_person_has(at_second_step, account, transaction):
    assert at_second_step.page.find("form", id="passkey-form")
    assert at_second_step.page.find(id="code") is None
    assert at_second_step.page.find(id="cancel")
    with transaction():
        an_app(account.id)
    at_second_step.open(PAGE)
    assert at_second_step.page.find("form", id="passkey-form")
    assert at_second_step.page.find(id="code")
    assert len(at_second_step.page.find_all(id="cancel")) == 1


def test_people_without_a_passkey_are_not_offered_one(jo, transaction, clock):
    with transaction():
        colleague = an_administrator()
        an_app(colleague.id)
        username = colleague.username
    jo.sign_in(username)
    jo.open(jo.response.location)

    assert jo.page.find("form", id="passkey-form") is None


@pytest.mark.parametrize("wrong", [{"verified": False}, {"origin": "https://evil.example"}, {"rp_id": "evil.example"}])
def test_a_wrong_webauthn_response_is_refused_and_counted(at_second_step, device, outbox, wrong):
    for _ in range(9):
        at_second_step.open(PAGE)
        at_second_step.post(PASSKEY_FORM, passkey=device.get(options_for(at_second_step, OPTIONS), **wrong))
        assert at_second_step.response.status_code == 422
        assert "We could not sign you in with that passkey." in at_second_step.page_text
    assert not at_second_step.is_signed_in()
    at_second_step.open(PAGE)
    assert (
        at_second_step.post(PASSKEY_FORM, passkey=device.get(options_for(at_second_step, OPTIONS))).status_code == 429
    )
    assert len(outbox.all("account_locked")) == 1


def test_another_persons_passkey_is_refused(at_second_step, transaction, origin):
    with transaction():
        other = a_passkey(an_administrator().id, origin)
    response = other.get(options_for(at_second_step, OPTIONS), credential=other.credentials[0])

    assert at_second_step.post(PASSKEY_FORM, passkey=response).status_code == 422
    assert not at_second_step.is_signed_in()


def test_a_response_for_signing_in_is_no_second_step_and_vice_versa(at_second_step, device):
    alone = device.get(options_for(at_second_step, "/sign-in/passkey-options.json"))
    assert at_second_step.post(PASSKEY_FORM, passkey=alone).status_code == 422
    step = device.get(options_for(at_second_step, OPTIONS))
    assert at_second_step.post("/sign-in/passkey", passkey=step).status_code == 422
    assert not at_second_step.is_signed_in()


def test_a_copied_passkey_is_refused(at_second_step, device, outbox, account):
    at_second_step.post(PASSKEY_FORM, passkey=device.get(options_for(at_second_step, OPTIONS)))
    at_second_step.submit("/sign-out")
    device.credentials[0].sign_count = 0
    at_second_step.sign_in(account.username, back="/mobile/confirm")
    at_second_step.open(at_second_step.response.location)
    at_second_step.post(PASSKEY_FORM, passkey=device.get(options_for(at_second_step, OPTIONS)))

    assert at_second_step.response.status_code == 422
    assert "seems to have been copied" in at_second_step.page_text
    assert len(outbox.all("passkey_copied")) == 1


def test_without_the_password_no_credential_is_named(stranger, device):
    stranger.open("/sign-in")
    response = stranger.web.post(OPTIONS, headers={"X-CSRFToken": stranger.token})

    assert (response.status_code, response.location) == (303, "/sign-in/second-step")
    assert stranger.post(PASSKEY_FORM, passkey="{}").location == "/sign-in?next=/mobile/confirm"


def test_after_ten_minutes_the_password_is_asked_for_again(at_second_step, device, clock):
    response = device.get(options_for(at_second_step, OPTIONS))
    clock.move(timedelta(minutes=10))

    assert at_second_step.post(PASSKEY_FORM, passkey=response).location == "/sign-in?next=/mobile/confirm"
    assert not at_second_step.is_signed_in()
