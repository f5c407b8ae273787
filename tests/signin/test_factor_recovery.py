"""A lost second factor: a wait of 24 hours, notices that can stop it, and a sign-in by password that removes it."""

from datetime import timedelta

import pytest

from idp import worker
from idp.estabs import links
from idp.estabs.models import Administrator
from idp.foundation.database import session as database_session
from idp.signin import factor_recovery, factors, session as sessions
from idp.signin.models import BrowserSession, FactorRecovery
from tests.factories import an_administrator
from tests.signin.apps import an_app

pytestmark = pytest.mark.usefixtures("clock")  # must come before any account is made
LOST_FACTOR_PATH, SECOND_STEP_PATH = "/sign-in/lost-factor", "/sign-in/second-step"
HALF_A_MINUTE = timedelta(seconds=30)


@pytest.fixture
def app_of_jo(clock, transaction, account):
    """Jo's app; the number is confirmed, too."""
    with transaction() as session:
        session.get_one(Administrator, account.id).mobile_confirmed_at = clock.now()
        app = an_app(account.id)
    clock.move(HALF_A_MINUTE)
    return app


@pytest.fixture
def at_second_step(jo, account, app_of_jo):
    """Jo has typed the right password."""
    jo.sign_in(account.username)
    return jo


@pytest.fixture
def recovery_started(at_second_step, outbox):
    """Jo has typed the code of the text message as well."""
    at_second_step.submit(LOST_FACTOR_PATH, send_code="yes")
    at_second_step.submit(LOST_FACTOR_PATH, code=outbox.last("mobile_code").code)
    return at_second_step


def notices(outbox):
    """Template and recipient of each notice about the recovery."""
    sent = (message for message in outbox.all() if message.name in {"recovery_notice", "lost_factor"})
    return sorted((message.name, message.to) for message in sent)


def has_factor(transaction, account):
    with transaction():
        return factors.has_any(account.id)


def test_password_and_text_message_start_a_wait_and_then_the_password_alone_signs_in(
    recovery_started, account, transaction, outbox, clock
):
    assert "From" in recovery_started.open(LOST_FACTOR_PATH).text
    assert notices(outbox) == [("lost_factor", "+447700900123"), ("recovery_notice", account.email)]
    clock.move(timedelta(hours=23, minutes=59))
    assert recovery_started.sign_in(account.username).location.startswith(SECOND_STEP_PATH), (
        "not before the wait is over"
    )
    assert has_factor(transaction, account)

    clock.move(timedelta(minutes=1))
    assert recovery_started.sign_in(account.username).location == "/"
    assert "Your lost phone or key has been removed" in recovery_started.open("/manage").text
    assert not has_factor(transaction, account)
    with transaction() as session:
        (row,) = session.query(BrowserSession).filter_by(ended_at=None)
        assert row.acr == sessions.SINGLE
    assert outbox.last("factors_recovered").to == account.email


def test_the_text_message_says_what_the_code_is_for(at_second_step, outbox):
    """A person whose password was stolen must not mistake it for a code that confirms their number."""
    at_second_step.submit(LOST_FACTOR_PATH, send_code="yes")

    assert "to sign in without your lost phone or key" in outbox.last("mobile_code").text
    assert "confirm this number" not in outbox.last("mobile_code").text


def test_the_page_of_the_second_step_links_to_the_recovery(at_second_step):
    assert at_second_step.open(SECOND_STEP_PATH).text.count(LOST_FACTOR_PATH) == 1
    assert (
        at_second_step.open(SECOND_STEP_PATH + "?next=/manage/x").text.count(f"{LOST_FACTOR_PATH}?next=/manage/x") == 1
    )


def test_notices_come_at_the_start_half_way_and_at_the_end_once_each(
    recovery_started, account, transaction, outbox, clock
):
    def send_due_notices():
        """Send what is due; returns how many notices were sent in all."""
        with transaction():
            factor_recovery.notify_due()
        return len(notices(outbox))

    assert send_due_notices() == 2
    clock.move(timedelta(hours=12))
    assert send_due_notices() == 4
    assert send_due_notices() == 4
    clock.move(timedelta(hours=12))
    assert send_due_notices() == 6
    assert "The wait of 24 hours is over" in outbox.last("recovery_notice").text
    assert send_due_notices() == 6
    assert all(len(message.text) <= 160 for message in outbox.all("lost_factor"))


def test_a_worker_that_was_stopped_for_days_sends_only_the_newest_notice(recovery_started, transaction, outbox, clock):
    clock.move(timedelta(days=2))
    with transaction():
        factor_recovery.notify_due()

    assert len(notices(outbox)) == 4
    assert any(job.run is worker.notify_factor_recoveries for job in worker.JOBS)


@pytest.mark.parametrize("name", ["recovery_notice", "lost_factor"])
def test_the_link_in_each_notice_stops_the_recovery_but_opening_it_does_not(
    recovery_started, stranger, account, transaction, outbox, clock, name
):
    link = outbox.last(name).path
    assert stranger.open(link).status_code == 200
    assert stranger.web.head(link).status_code == 200
    with transaction():
        assert factor_recovery.waiting(account.id)

    assert "was not removed" in stranger.submit(link).text
    assert outbox.last("recovery_stopped").to == account.email
    for message in (outbox.last("recovery_notice"), outbox.last("lost_factor")):
        assert stranger.open(message.path).status_code == 410
    clock.move(timedelta(hours=25))
    assert recovery_started.sign_in(account.username).location.startswith(SECOND_STEP_PATH)
    assert has_factor(transaction, account)


def test_a_sign_in_with_the_factor_stops_the_recovery(recovery_started, account, transaction, app_of_jo, clock, outbox):
    recovery_started.open(SECOND_STEP_PATH)
    recovery_started.post(SECOND_STEP_PATH, code=app_of_jo.code())

    assert recovery_started.cookie("session")
    with transaction():
        assert factor_recovery.waiting(account.id) is None
    assert outbox.last("recovery_stopped")


def test_a_recovery_expires_a_week_after_its_wait(recovery_started, account, clock):
    clock.move(timedelta(days=8, minutes=1))

    assert recovery_started.sign_in(account.username).location.startswith(SECOND_STEP_PATH)


class TestStart:
    def test_no_wait_begins_without_the_password(self, jo, stranger, account, app_of_jo, transaction, outbox):
        assert jo.open(LOST_FACTOR_PATH).location == "/sign-in?next=/"
        jo.open("/sign-in")
        for fields in ({"send_code": "yes"}, {"code": "123456"}, {}):
            assert jo.post(LOST_FACTOR_PATH, **fields).location == "/sign-in?next=/"
            jo.open("/sign-in")
        assert outbox.all() == []

    def test_no_wait_begins_without_the_code(self, at_second_step, transaction, account, outbox):
        at_second_step.submit(LOST_FACTOR_PATH, code="123456")
        assert at_second_step.response.status_code == 422
        at_second_step.submit(LOST_FACTOR_PATH, send_code="yes")
        wrong = f"{(int(outbox.last('mobile_code').code) + 1) % 1_000_000:06}"
        at_second_step.submit(LOST_FACTOR_PATH, code=wrong)
        assert "not the code" in at_second_step.page_text

        with transaction() as session:
            assert session.query(FactorRecovery).all() == []

    def test_the_code_alone_does_not_begin_the_wait_in_another_browser(self, at_second_step, stranger, outbox):
        at_second_step.submit(LOST_FACTOR_PATH, send_code="yes")
        stranger.open("/sign-in")

        assert stranger.post(LOST_FACTOR_PATH, code=outbox.last("mobile_code").code).location == "/sign-in?next=/"

    @pytest.mark.parametrize("reason", ["unconfirmed", "changed"])
    def test_no_wait_begins_by_a_number_that_cannot_reset_a_password(
        self, at_second_step, account, transaction, clock, outbox, reason
    ):
        with transaction() as session:
            person = session.get_one(Administrator, account.id)
            person.mobile_confirmed_at = None if reason == "unconfirmed" else clock.now()
            person.mobile_changed_at = clock.now() if reason == "changed" else None
        at_second_step.open(LOST_FACTOR_PATH)
        assert "has no mobile number that we can send a code to" in at_second_step.page_text
        at_second_step.open("/sign-in")
        at_second_step.post(LOST_FACTOR_PATH, send_code="yes")

        assert outbox.all() == []

    def test_starting_again_does_not_move_the_end(self, recovery_started, account, transaction, clock, outbox):
        with transaction():
            due = factor_recovery.waiting(account.id).due_at
        clock.move(timedelta(hours=1))
        with transaction() as session:
            assert factor_recovery.start(session.get_one(Administrator, account.id), by="cli").due_at == due
        assert len(notices(outbox)) == 2

    def test_an_account_without_a_factor_has_nothing_to_recover(self, jo, account):
        jo.sign_in(account.username)

        assert jo.open(LOST_FACTOR_PATH).location == "/sign-in?next=/"


def test_the_recovery_of_one_person_neither_ends_nor_removes_anything_of_another(transaction, clock, outbox):
    """None of them has a confirmed number, so they are told by mail alone."""
    with transaction():
        first, second, third = (an_administrator() for _ in range(3))
        for person in (first, second, third):
            an_app(person.id)
            factor_recovery.start(person, by="cli")
    clock.move(timedelta(hours=24))
    with transaction():
        assert factor_recovery.complete(first.id)
        assert factors.has_any(second.id)
    [notice] = (message for message in outbox.all("recovery_notice") if message.to == second.email)
    with transaction():
        factor_recovery.stop(notice.secret)
        for person in (first, second):
            factor_recovery.stop_for(person.id)
        assert [factor_recovery.waiting(notice.id) is None for notice in (first, second, third)] == [True, True, False]
        assert not factor_recovery.complete(second.id)
        factor_recovery.notify_due()
    assert [message.to for message in outbox.all("recovery_notice")][3:] == [third.email]
    assert [message.to for message in outbox.all("recovery_stopped")] == [second.email]
    assert outbox.all("lost_factor") == []


def test_several_starts_at_once_make_one_recovery(run_concurrently, account, app_of_jo, transaction, outbox):
    run_concurrently(4, lambda: factor_recovery.start(database_session().get_one(Administrator, account.id), by="cli"))

    with transaction() as session:
        assert session.query(FactorRecovery).count() == 1
    assert len(notices(outbox)) == 2


def test_of_a_stop_and_a_completion_at_once_one_succeeds(
    run_concurrently, recovery_started, account, transaction, outbox, clock
):
    secret = outbox.last("recovery_notice").secret
    clock.move(timedelta(hours=24))
    jobs = [lambda: factor_recovery.stop(secret), lambda: factor_recovery.complete(account.id)] * 2

    def run():
        return jobs.pop()()

    outcomes = run_concurrently(4, run)

    stopped, completed = outcomes.count(None), outcomes.count(True)
    assert stopped + completed == 1
    assert all(isinstance(outcome, links.LinkRefused) for outcome in outcomes if outcome not in {None, True, False})
    assert has_factor(transaction, account) == (stopped == 1)
