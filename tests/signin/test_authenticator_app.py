"""An administrator's authenticator app: its seed, its codes, and two requests at once."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.foundation import crypto, runtime
from idp.signin import authenticator_app
from idp.signin.models import AuthenticatorApp
from tests.signin.apps import App, an_app

pytestmark = pytest.mark.usefixtures("clock")  # must come before any account is made
TIME_STEP = timedelta(seconds=30)


@pytest.fixture
def app_of_jo(transaction, account, clock):
    with transaction():
        app = an_app(account.id)
    clock.move(TIME_STEP)
    return app


def test_a_code_works_once(transaction, account, app_of_jo):
    code = app_of_jo.code()
    with transaction():
        assert authenticator_app.spend_code(account.id, code)
    with transaction():
        assert not authenticator_app.spend_code(account.id, code)


def test_a_code_before_the_last_one_is_refused_and_so_is_one_two_steps_old(transaction, account, app_of_jo, clock):
    before = app_of_jo.code()
    clock.move(TIME_STEP)
    with transaction():
        assert authenticator_app.spend_code(account.id, app_of_jo.code())
        assert not authenticator_app.spend_code(account.id, before)
    old = app_of_jo.code(1)
    clock.move(3 * TIME_STEP)
    with transaction():
        assert not authenticator_app.spend_code(account.id, old)


def test_of_eight_requests_with_one_code_one_gets_in(transaction, account, app_of_jo, run_concurrently):
    code = app_of_jo.code()

    assert sorted(run_concurrently(8, lambda: authenticator_app.spend_code(account.id, code))) == [False] * 7 + [True]


def test_the_code_that_finished_the_set_up_does_not_sign_in(transaction, account, clock):
    with transaction():
        app = an_app(account.id)
        assert not authenticator_app.spend_code(account.id, app.code())


def test_a_seed_is_the_same_in_its_session_until_it_is_finished_and_not_in_another(transaction, account):
    def seed(sid):
        with transaction():
            return authenticator_app.begin(account.id, account.email, sid).seed

    assert seed("ses_1") == seed("ses_1")
    assert seed("ses_1") != seed("ses_2")


def test_pages_opened_at_once_show_the_same_seed(account, run_concurrently):
    begun = run_concurrently(6, lambda: authenticator_app.begin(account.id, account.email, "ses_1").seed)

    assert len(set(begun)) == 1


def test_another_session_cannot_finish_a_set_up(transaction, account, clock):
    with transaction():
        app = App(authenticator_app.begin(account.id, account.email, "ses_1").seed)
    with pytest.raises(authenticator_app.SetUpExpired), transaction():
        authenticator_app.finish(account.id, "ses_2", app.code())


def test_a_set_up_can_be_finished_for_half_an_hour(transaction, account, clock):
    with transaction():
        app = App(authenticator_app.begin(account.id, account.email, "ses_1").seed)
    clock.move(authenticator_app.SET_UP_LIFETIME)
    with pytest.raises(authenticator_app.SetUpExpired), transaction():
        authenticator_app.finish(account.id, "ses_1", app.code())


def test_of_two_set_ups_finished_at_once_one_succeeds(transaction, account, run_concurrently, clock):
    with transaction():
        app = App(authenticator_app.begin(account.id, account.email, "ses_1").seed)
    code = app.code()
    outcomes = run_concurrently(4, lambda: authenticator_app.finish(account.id, "ses_1", code))

    assert [outcome for outcome in outcomes if isinstance(outcome, bool)] == [False]
    assert sum(isinstance(outcome, authenticator_app.SetUpExpired) for outcome in outcomes) == 3


def test_the_app_in_use_works_until_the_new_one_is_finished(transaction, account, app_of_jo, clock):
    with transaction():
        new = App(authenticator_app.begin(account.id, account.email, "ses_1").seed)
        assert authenticator_app.spend_code(account.id, app_of_jo.code())
        clock.move(TIME_STEP)
        assert authenticator_app.finish(account.id, "ses_1", new.code())
        clock.move(TIME_STEP)
        assert not authenticator_app.spend_code(account.id, app_of_jo.code())
        assert authenticator_app.spend_code(account.id, new.code())


def test_an_app_that_is_removed_no_longer_signs_in(transaction, account, app_of_jo):
    with transaction():
        assert authenticator_app.remove(account.id)
        assert not authenticator_app.remove(account.id)
        assert not authenticator_app.spend_code(account.id, app_of_jo.code())
        assert not authenticator_app.is_set_up(account.id)


def test_a_seed_is_sealed_and_belongs_to_its_row(transaction, account):
    with transaction() as session:
        seed = authenticator_app.begin(account.id, account.email, "ses_1").seed
        row = session.scalars(select(AuthenticatorApp)).one()
        assert seed not in row.seed_sealed
        with pytest.raises(crypto.UnsealError):
            runtime.sealer().unseal(row.seed_sealed, context="authenticator_apps/app_other/seed_sealed")
