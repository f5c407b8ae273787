"""security.md S33: a session that an attacker planted is not adopted, and every sign-in begins a new one."""

import pytest

from idp.signin.models import BrowserSession
from tests.factories import an_administrator
from tests.signin.person import Person

SIGNED_IN_PATH = "/mobile/confirm"


@pytest.fixture
def username(transaction):
    with transaction():
        return an_administrator().username


@pytest.fixture
def victim(web):
    return Person(web)


@pytest.fixture
def attacker(new_browser):
    return Person(new_browser())


def set_cookie(person, cookie, name="idaas-session"):
    person.web.set_cookie(name, cookie, domain="localhost")
    return person.open(SIGNED_IN_PATH).status_code == 200


@pytest.mark.parametrize("planted", ["planted-by-a-neighbour", "looks-like-one-of-ours-0123456789"])
def test_a_planted_cookie_is_not_adopted_at_sign_in(victim, attacker, username, planted):
    victim.web.set_cookie("idaas-session", planted, domain="localhost")
    victim.sign_in(username)

    assert victim.cookie("session") != planted
    assert not set_cookie(attacker, planted)


def test_each_sign_in_changes_the_session_id_and_invalidates_the_old_one(victim, attacker, username):
    victim.sign_in(username)
    before = victim.cookie("session")
    victim.sign_in(username, back="/x")

    assert victim.cookie("session") != before
    assert not set_cookie(attacker, before)
    assert victim.open(SIGNED_IN_PATH).status_code == 200


def test_a_cookie_from_before_signing_out_is_invalid(victim, attacker, username):
    victim.sign_in(username)
    before = victim.cookie("session")
    victim.submit("/sign-out")

    assert not set_cookie(attacker, before)


@pytest.mark.parametrize("column", ["digest", "sid", "person_id"])
def test_values_stored_in_the_database_do_not_open_a_session(victim, attacker, username, transaction, column):
    victim.sign_in(username)
    with transaction() as session:
        value = getattr(session.query(BrowserSession).one(), column)

    assert not set_cookie(attacker, value.hex() if isinstance(value, bytes) else value)


def test_a_planted_remember_cookie_neither_opens_nor_hides_a_session(victim, attacker, username, transaction):
    victim.sign_in(username)
    for name in ("remember_token", "remember"):
        victim.web.set_cookie(name, "1|x", domain="localhost")
    assert victim.open(SIGNED_IN_PATH).status_code == 200

    with transaction() as session:
        sid = session.query(BrowserSession).one().sid
    with attacker.web.session_transaction() as form_cookie:
        form_cookie.accessed = True
        form_cookie["_user_id"] = sid
        form_cookie["_fresh"] = True
    assert attacker.open(SIGNED_IN_PATH).status_code == 303


def test_a_form_token_from_before_signing_in_is_not_carried_over(victim, username):
    victim.open("/sign-in")
    planted = victim.token
    victim.post("/sign-in", username=username, password="correct horse battery staple oak hill")
    assert victim.response.status_code == 303

    assert victim.web.post("/sign-out", data={"csrf_token": planted}).status_code == 400
    assert victim.open(SIGNED_IN_PATH).status_code == 200
