"""The Security page: passkeys are added, renamed and removed."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.audit import events
from idp.audit.models import Entry
from idp.signin import passkeys, session as sessions
from idp.signin.models import BrowserSession
from tests.factories import PASSWORD, an_administrator
from tests.signin.authenticator import Authenticator, a_passkey, options_for

ADD = "/manage/security/passkeys/add"
OPTIONS = "/manage/security/passkeys/options.json"


@pytest.fixture
def origin(settings):
    return settings.server.issuer


@pytest.fixture
def signed_in(clock, jo, account):
    jo.sign_in(account.username)
    return jo


def add_passkey(person, device, **fields):
    person.open(ADD)
    return person.post(ADD, passkey=device.create(options_for(person, OPTIONS)), **fields)


def the_passkey(transaction, person_id):
    with transaction():
        [passkey] = passkeys.list_for_person(person_id)
        return passkey.id


def test_a_passkey_is_added_and_signs_in(signed_in, account, origin, outbox, transaction):
    device, before = Authenticator(origin), signed_in.cookie("session")
    response = add_passkey(signed_in, device, name="Office computer")

    assert response.location == "/manage/security/recovery-codes?next=/manage/security"
    assert signed_in.cookie("session") != before
    signed_in.open("/manage/security")
    assert "Your passkey &#34;Office computer&#34; has been added." in signed_in.response.text
    assert "Office computer Added on 2 March 2026, not used yet." in signed_in.page_text
    message = outbox.last("factor_added")
    assert message.to == account.email
    assert "passkey" in message.text
    with transaction() as session:
        rows = session.query(BrowserSession).filter_by(person_id=account.id, ended_at=None).all()
        assert [(row.acr, row.amr) for row in rows] == [(sessions.MULTI, frozenset({"pwd", "user", "mfa"}))]
        [entry] = session.scalars(select(Entry).where(Entry.event == events.FACTOR_ADDED))
        assert entry.facts == {"kind": "passkey"}

    signed_in.submit("/sign-out")
    signed_in.open("/sign-in")
    assert signed_in.post("/sign-in/passkey", passkey=device.get(options_for(signed_in))).location == "/"
    assert "last used on 2 March 2026" in " ".join(signed_in.open("/manage/security").text.split())


def test_several_passkeys_are_added_each_with_its_name(signed_in, origin, clock):
    add_passkey(signed_in, Authenticator(origin), name="Office computer")
    clock.move(timedelta(minutes=1))
    add_passkey(signed_in, Authenticator(origin, attachment="cross-platform", transports=("usb",)))
    signed_in.open("/manage/security")

    items = [item.find("strong").text for item in signed_in.page.find(id="passkeys").find_all("li")]
    assert items == ["Office computer", "Security key"]


@pytest.mark.parametrize("wrong", [{"verified": False}, {"origin": "https://evil.example"}])
def test_an_invalid_passkey_is_not_added_and_the_typed_name_is_kept(signed_in, origin, wrong, outbox):
    signed_in.open(ADD)
    response = Authenticator(origin).create(options_for(signed_in, OPTIONS), **wrong)
    signed_in.post(ADD, passkey=response, name="Office computer")

    assert signed_in.response.status_code == 422
    assert "The passkey could not be added." in signed_in.page_text
    assert signed_in.page.find(id="name")["value"] == "Office computer"
    assert outbox.all("factor_added") == []


def test_a_name_is_limited_in_length_and_escaped(signed_in, origin):
    assert add_passkey(signed_in, Authenticator(origin), name="x" * 61).status_code == 422
    add_passkey(signed_in, Authenticator(origin), name="<script>alert(1)</script>")

    assert "<script>alert" not in signed_in.open("/manage/security").text


def test_a_passkey_that_another_person_began_is_not_added(signed_in, stranger, origin, transaction):
    with transaction():
        other = an_administrator().username
    signed_in.open(ADD)
    response = Authenticator(origin).create(options_for(signed_in, OPTIONS))
    stranger.sign_in(other)
    stranger.open(ADD)

    assert stranger.post(ADD, passkey=response).status_code == 422


def test_a_passkey_is_renamed(signed_in, account, origin, transaction):
    add_passkey(signed_in, Authenticator(origin))
    path = f"/manage/security/passkeys/{the_passkey(transaction, account.id)}/rename"
    assert signed_in.submit(path, name="  The head's laptop ").location == "/manage/security"
    assert "The head&#39;s laptop" in signed_in.open("/manage/security").text
    signed_in.submit(path, name="")
    assert "The head&#39;s laptop" in signed_in.open("/manage/security").text


@pytest.mark.parametrize("what", ["rename", "remove"])
def test_a_form_sent_after_the_session_ended_is_shown_again_after_signing_in(
    signed_in, account, origin, clock, transaction, what
):
    device = Authenticator(origin)
    add_passkey(signed_in, device)
    path = f"/manage/security/passkeys/{the_passkey(transaction, account.id)}/{what}"
    signed_in.open(path)
    clock.move(timedelta(hours=13))
    signed_in.post(path, name="The head's laptop")
    assert signed_in.response.location == f"/sign-in?next={path}"
    signed_in.open(signed_in.response.location)
    sign_in = signed_in.page.find("form", id="passkey-form")["action"]
    assert signed_in.post(sign_in, passkey=device.get(options_for(signed_in))).location == path
    signed_in.open(path)

    if what == "rename":
        assert signed_in.page.find(id="name")["value"] == "The head's laptop"
    assert the_passkey(transaction, account.id)


def test_a_removed_passkey_no_longer_signs_in(signed_in, stranger, account, origin, outbox, transaction):
    device = Authenticator(origin)
    add_passkey(signed_in, device)
    path = f"/manage/security/passkeys/{the_passkey(transaction, account.id)}/remove"
    signed_in.open(path)
    assert "It is your only second step" in signed_in.page_text
    assert signed_in.post(path).location == "/manage/security"

    assert "It was the only one" in outbox.last("factor_removed").text
    assert signed_in.page.find(id="passkeys") is None
    stranger.open("/sign-in")
    assert stranger.post("/sign-in/passkey", passkey=device.get(options_for(stranger))).status_code == 422
    assert "it may have been removed from your account" in stranger.page_text
    assert stranger.sign_in(account.username).location == "/"


def test_removing_one_of_two_passkeys_keeps_the_other(signed_in, account, origin, outbox, transaction):
    add_passkey(signed_in, Authenticator(origin), name="One")
    add_passkey(signed_in, Authenticator(origin), name="Two")
    with transaction():
        first = passkeys.list_for_person(account.id)[0].id
    signed_in.open(f"/manage/security/passkeys/{first}/remove")
    assert "only second step" not in signed_in.page_text
    signed_in.post(f"/manage/security/passkeys/{first}/remove")

    assert "It was the only one" not in outbox.last("factor_removed").text
    signed_in.open(ADD)
    assert signed_in.post(f"/manage/security/passkeys/{first}/remove").status_code == 404  # pressed twice
    assert len(outbox.all("factor_removed")) == 1


@pytest.mark.parametrize("what", ["rename", "remove"])
def test_another_persons_passkey_is_not_found(signed_in, origin, transaction, what):
    with transaction():
        other = an_administrator().id
        a_passkey(other, origin)
    path = f"/manage/security/passkeys/{the_passkey(transaction, other)}/{what}"

    assert signed_in.open(path).status_code == 404
    signed_in.open(ADD)
    assert signed_in.post(path, name="Mine").status_code == 404
    with transaction():
        assert passkeys.list_for_person(other)[0].name == "Firefox on Windows"


def test_signing_in_is_required(jo):
    assert jo.open(ADD).location == f"/sign-in?next={ADD}"
    jo.open("/sign-in")
    assert jo.web.post(OPTIONS, headers={"X-CSRFToken": jo.token}).status_code == 303


def test_a_sign_in_of_five_minutes_ago_is_not_enough(signed_in, account, origin, clock, transaction):
    add_passkey(signed_in, Authenticator(origin))
    passkey = the_passkey(transaction, account.id)
    signed_in.open(ADD)
    token = signed_in.token
    clock.move(timedelta(minutes=5, seconds=1))

    for path in (ADD, OPTIONS, f"/manage/security/passkeys/{passkey}/remove"):
        response = signed_in.web.post(path, data={"csrf_token": token})
        assert response.location.startswith("/sign-in?next=/manage/security/passkeys/")
    assert the_passkey(transaction, account.id) == passkey


def test_a_sign_in_by_password_then_needs_the_passkey(signed_in, stranger, account, origin):
    device = Authenticator(origin)
    add_passkey(signed_in, device)
    page = stranger.sign_in(account.username, PASSWORD).location
    assert page == "/sign-in/second-step?next=/"
    stranger.open(page)
    form = stranger.page.find("form", id="passkey-form")
    response = device.get(options_for(stranger, form["data-options"]))

    assert stranger.post(form["action"], passkey=response).location == "/"
