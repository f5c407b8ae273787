"""A forgotten password at Assembly: the mailed link, what it tells strangers, and its limits."""

import threading

import pytest

from clients.assembly import accounts, resets, school_account
from clients.assembly.__main__ import Handler
from tests.clients.conftest import EMAIL, PASSWORD, Person, link_in, without_tokens

NEW_PASSWORD = "quiet rivers bend at noon"
RESET_PATH = "/forgotten-password"


@pytest.fixture
def sam(person, deliver_mails, program):
    """A person with an account, signed in by password."""
    person.sign_up()
    person.post(link_in(deliver_mails(program)[0]), password=PASSWORD)
    return person


def request_reset_link(person, deliver_mails, program, email=EMAIL):
    """Request a link to reset the password; returns the path of the link in the mail."""
    person.post(RESET_PATH, email=email)
    return link_in(deliver_mails(program)[-1])


def test_a_new_password_can_be_chosen_by_the_mailed_link(sam, app, provider, deliver_mails, program):
    stranger = Person(app, provider)
    assert RESET_PATH in stranger.open("/sign-in").text
    response = stranger.post(RESET_PATH, email=EMAIL)
    assert "If there is an account with this address" in stranger.open(response.location).text
    link = link_in(deliver_mails(program)[-1])
    assert "Choose a new password" in stranger.open(link).text
    assert stranger.post(link, password=NEW_PASSWORD).location == "/sign-in"
    assert "Your password has been changed" in stranger.open("/sign-in").text
    assert "was changed just now" in deliver_mails(program)[-1]

    assert sam.open("/connector").location == "/sign-in", "browsers that were signed in are signed out"
    assert stranger.post("/sign-in", email=EMAIL, password=PASSWORD).status_code == 400
    assert stranger.post("/sign-in", email=EMAIL, password=NEW_PASSWORD).location == "/connector"


def test_the_link_works_once_and_opening_it_changes_nothing(sam, deliver_mails, program):
    link = request_reset_link(sam, deliver_mails, program)
    for _ in range(3):
        assert sam.open(link).status_code == 200
    assert sam.post(link, password="short").status_code == 400
    assert sam.post(link, password=NEW_PASSWORD).status_code == 303
    assert "no longer works" in sam.open(link).text
    assert sam.post(link, password="another good one").status_code == 400


def test_of_three_uses_of_the_link_at_once_one_sets_the_password(sam, deliver_mails, program):
    secret = request_reset_link(sam, deliver_mails, program).rpartition("/")[2]
    accepted_passwords = []

    def choose(password):
        try:
            resets.choose(program.database, secret, password)
        except accounts.InvalidInput:
            return
        accepted_passwords.append(password)

    threads = [threading.Thread(target=choose, args=(f"{NEW_PASSWORD} {number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (password,) = accepted_passwords
    assert accounts.sign_in(program.database, EMAIL, password)


def test_the_link_no_longer_works_after_an_hour_or_after_a_newer_one_was_sent(sam, deliver_mails, program, monkeypatch):
    monkeypatch.setattr(resets, "MIN_SECONDS_BETWEEN", -1)
    old, new = request_reset_link(sam, deliver_mails, program), request_reset_link(sam, deliver_mails, program)
    assert sam.open(old).status_code == 404
    assert sam.open(new).status_code == 200
    with program.database.transaction() as connection:
        connection.execute("UPDATE password_resets SET expires_at = 1")
    assert sam.post(new, password=NEW_PASSWORD).status_code == 400


def test_the_response_is_the_same_for_every_address(sam, deliver_mails, program):
    before = len(deliver_mails(program))
    responses = []
    for email in (EMAIL, "unknown@oakhill.example"):
        response = sam.post(RESET_PATH, email=email)
        page = sam.open(response.location)
        responses.append((response.status_code, response.location, page.status_code, without_tokens(page.text)))
    assert responses[0] == responses[1]
    assert len(deliver_mails(program)) == before + 1
    assert sam.post(RESET_PATH, email="no address").status_code == 400


def test_mails_to_one_account_are_limited(sam, deliver_mails, program, monkeypatch):
    before = len(deliver_mails(program))
    for _ in range(3):
        sam.post(RESET_PATH, email=EMAIL)
    assert len(deliver_mails(program)) == before + 1, "one a minute"
    monkeypatch.setattr(resets, "MIN_SECONDS_BETWEEN", -1)
    for _ in range(8):
        sam.post(RESET_PATH, email=EMAIL)
        deliver_mails(program)
    assert len(deliver_mails(program)) == before + resets.MAX_PER_DAY
    with program.database.transaction() as connection:
        connection.execute("UPDATE password_resets SET since = since - ?", (resets.DAY_SECONDS + 1,))
    sam.post(RESET_PATH, email=EMAIL)
    assert len(deliver_mails(program)) == before + resets.MAX_PER_DAY + 1, "and again on the next day"


def test_an_account_that_was_not_activated_gets_the_link_that_activates_it(person, deliver_mails, program):
    person.sign_up()
    deliver_mails(program)
    link = request_reset_link(person, deliver_mails, program)
    assert "/activate/" in link


class PasswordChange:
    """A change of the account's password at the moment at which a function returns."""

    def __init__(self, monkeypatch, program, link):
        self._patch, self._program, self._secret = monkeypatch, program, link.rpartition("/")[2]

    def after(self, module, name):
        original = getattr(module, name)

        def change_password_after(*args, **named):
            result = original(*args, **named)
            resets.choose(self._program.database, self._secret, NEW_PASSWORD)
            return result

        self._patch.setattr(module, name, change_password_after)


def test_a_sign_in_with_the_old_password_does_not_outlive_a_new_one(
    sam, app, provider, deliver_mails, program, monkeypatch
):
    stranger = Person(app, provider)
    PasswordChange(monkeypatch, program, request_reset_link(sam, deliver_mails, program)).after(accounts, "sign_in")
    response = stranger.post("/sign-in", email=EMAIL, password=PASSWORD)
    assert response.status_code == 400
    assert accounts.WRONG_PASSWORD in response.text
    assert stranger.open("/connector").location == "/sign-in"
    with program.database.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM sign_ins").fetchone()[0] == 0


def test_a_new_password_also_ends_a_sign_in_by_school_account_at_that_moment(sam, deliver_mails, program, monkeypatch):
    link = request_reset_link(sam, deliver_mails, program)
    PasswordChange(monkeypatch, program, link).after(school_account, "finish")
    sam.sign_in()
    with program.database.transaction() as connection:
        assert [row["account_id"] for row in connection.execute("SELECT account_id FROM sign_ins")] == [None]
        assert [row["estab_id"] for row in connection.execute("SELECT estab_id FROM accounts")] == [None]


def test_no_secret_of_a_link_is_logged(app, monkeypatch):
    logged = []
    monkeypatch.setattr(Handler, "log", lambda _self, _kind, text, *values: logged.append(text % values))
    handler = Handler.__new__(Handler)
    handler.command = "GET"
    rules = [rule for rule in app.url_map.iter_rules() if "secret" in rule.arguments]
    assert len(rules) >= 2
    for rule in rules:
        handler.path = rule.rule.replace("<secret>", "S3CRET") + "?x=1"
        handler.log_request(200)
    assert len(logged) == len(rules)
    assert "S3CRET" not in "".join(logged)
