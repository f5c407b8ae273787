"""Sign-ins with the right password are limited too, and so are the notices that they cause."""

from datetime import timedelta

import pytest

from idp.estabs import people
from idp.outbox.models import Message
from idp.signin import devices, guesses, password
from tests.factories import PASSWORD, an_administrator
from tests.signin.person import Person

LIMIT = 4


@pytest.fixture
def username(transaction):
    with transaction():
        return an_administrator().username


@pytest.fixture
def new_stranger(new_browser):
    """`new_stranger()` is a person at a new browser, on a computer of its own."""

    def make(agent="Firefox/140.0 Windows"):
        person = Person(new_browser())
        person.web.environ_base["HTTP_USER_AGENT"] = agent
        return person

    return make


@pytest.fixture
def four_sign_ins_per_hour(change_settings):
    change_settings(throttle={"factor": 1, "account_sign_ins": LIMIT})


def test_sign_ins_of_a_person_are_limited_per_hour_with_retry_after(
    new_stranger, username, four_sign_ins_per_hour, clock
):
    assert [new_stranger().sign_in(username).status_code for _ in range(LIMIT)] == [303] * LIMIT
    clock.move(timedelta(minutes=20))
    person = new_stranger()
    response = person.sign_in(username)

    assert response.status_code == 429
    assert response.headers["Retry-After"] == str(40 * 60)
    assert person.page.find(id="error-code").text == "too_many_sign_ins"
    assert person.cookie("session") is None
    clock.move(timedelta(minutes=41))
    assert new_stranger().sign_in(username).status_code == 303


def test_the_limit_of_sign_ins_does_not_end_sessions(new_stranger, username, four_sign_ins_per_hour, clock):
    people = [new_stranger() for _ in range(LIMIT + 2)]
    for person in people:
        person.sign_in(username)

    assert [person.open("/mobile/confirm").status_code for person in people[:LIMIT]] == [200] * LIMIT


def test_one_persons_limit_does_not_affect_others(new_stranger, username, four_sign_ins_per_hour, transaction, clock):
    with transaction():
        colleague = an_administrator().username
    for _ in range(LIMIT + 1):
        new_stranger().sign_in(username)

    assert new_stranger().sign_in(colleague).status_code == 303


def test_of_sign_ins_at_once_no_more_succeed_than_the_limit_allows(username, four_sign_ins_per_hour, run_concurrently):
    def sign_in():
        try:
            return bool(password.check(username, PASSWORD, device=None, address=None))
        except guesses.TooManySignIns:
            return False

    assert sorted(run_concurrently(LIMIT + 4, sign_in)) == [False] * 4 + [True] * LIMIT


def test_many_sign_ins_on_new_computers_send_two_notices_and_a_combined_one(
    new_stranger, username, outbox, transaction, clock
):
    for number in range(30):
        clock.move(timedelta(minutes=1))
        new_stranger(f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/{number}.0 Safari/537.36").sign_in(
            username
        )

    assert len(outbox.all("new_device")) == password.MAX_NOTICES
    combined = outbox.all("new_devices")
    assert len(combined) == 1
    assert "27 more times" in combined[0].text, "the very first sign-in is not reported"
    assert "Chrome on Linux" in combined[0].text
    assert "2 March 2026 at 10:00" in combined[0].text, "the time of the last one"


def test_the_combined_notice_is_sent_after_an_hour(new_stranger, username, outbox, transaction, clock):
    for _ in range(5):
        new_stranger().sign_in(username)
    with transaction() as session:
        due = [row.due_at for row in session.query(Message).where(Message.name == "new_devices")]

    assert due == [clock.now() + timedelta(hours=1)]
    clock.move(timedelta(hours=1))
    new_stranger().sign_in(username)
    assert len(outbox.all("new_device")) == password.MAX_NOTICES + 1, "another hour"
    assert len(outbox.all("new_devices")) == 1


def test_notices_of_sign_ins_at_once_are_combined_too(username, app, run_concurrently, outbox, transaction):
    with app.test_request_context(), transaction():
        devices.remember(people.by_name(username).id)

    def notify():
        password.notify_new_device(people.by_name(username), device="new", browser="Firefox on Windows")

    assert run_concurrently(8, notify) == [None] * 8
    assert len(outbox.all("new_device")) == password.MAX_NOTICES
    assert ["6 more times" in message.text for message in outbox.all("new_devices")] == [True]
