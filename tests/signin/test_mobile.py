"""Confirming a mobile number by a texted code."""

import hashlib
from datetime import timedelta

import pytest

from idp.estabs.models import Administrator, PersonalSecret
from idp.foundation.database import session
from idp.signin import mobile
from tests.factories import an_administrator

PAGE = "/mobile/confirm"


@pytest.fixture
def jo_signed_in(jo, account, clock):
    jo.sign_in(account.username)
    return jo


def confirmed_at(transaction, account):
    with transaction() as session:
        return session.get_one(Administrator, account.id).mobile_confirmed_at


def test_a_number_is_confirmed_by_the_code_that_was_texted(jo_signed_in, account, transaction, outbox, clock):
    jo_signed_in.submit(PAGE + "?next=/register/next-steps", send_code="yes")
    assert jo_signed_in.response.status_code == 303
    sent = outbox.last("mobile_code")
    assert sent.to == "+447700900123"
    assert len(sent.text) <= 160

    jo_signed_in.submit(PAGE + "?next=/register/next-steps", code=sent.code)
    assert jo_signed_in.response.location == "/register/next-steps"
    assert confirmed_at(transaction, account) == clock.now()


def test_the_page_shows_the_number_in_national_format(jo_signed_in):
    jo_signed_in.open(PAGE)

    assert "07700 900123" in jo_signed_in.page_text
    assert not jo_signed_in.page.find("input", id="code")


def test_the_page_redirects_when_there_is_no_number_to_confirm(jo_signed_in, outbox):
    jo_signed_in.submit(PAGE, send_code="yes")
    jo_signed_in.submit(PAGE, code=outbox.last("mobile_code").code)

    assert jo_signed_in.open(PAGE + "?next=/x").location == "/x"


def test_spaces_in_a_code_are_ignored(jo_signed_in, outbox):
    jo_signed_in.submit(PAGE, send_code="yes")
    code = outbox.last("mobile_code").code
    jo_signed_in.submit(PAGE, code=f" {code[:3]} {code[3:]} ")

    assert jo_signed_in.response.status_code == 303


def test_five_wrong_attempts_invalidate_the_code(jo_signed_in, account, transaction, outbox):
    jo_signed_in.submit(PAGE, send_code="yes")
    right = outbox.last("mobile_code").code
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    for _ in range(5):
        jo_signed_in.submit(PAGE, code=wrong)
        assert "not the code" in jo_signed_in.page_text
    jo_signed_in.open(PAGE)
    jo_signed_in.post(PAGE, code=right)

    assert "works for ten minutes and five attempts" in jo_signed_in.page_text
    assert confirmed_at(transaction, account) is None


def test_a_code_expires_after_ten_minutes(jo_signed_in, account, transaction, outbox, clock):
    jo_signed_in.submit(PAGE, send_code="yes")
    clock.move(timedelta(minutes=10))
    jo_signed_in.open(PAGE)
    jo_signed_in.post(PAGE, code=outbox.last("mobile_code").code)

    assert confirmed_at(transaction, account) is None


def test_only_the_newest_code_works(jo_signed_in, outbox, clock):
    jo_signed_in.submit(PAGE, send_code="yes")
    first = outbox.last("mobile_code").code
    clock.move(timedelta(seconds=5))
    jo_signed_in.submit(PAGE, send_code="yes")
    second = outbox.last("mobile_code").code
    jo_signed_in.submit(PAGE, code=first)
    assert jo_signed_in.response.status_code == (303 if first == second else 422)
    jo_signed_in.submit(PAGE, code=second)

    assert jo_signed_in.response.status_code == 303


def test_a_fourth_message_in_an_hour_is_not_sent(jo_signed_in, outbox, clock):
    for _ in range(3):
        assert jo_signed_in.submit(PAGE, send_code="yes").status_code == 303
        clock.move(timedelta(minutes=1))
    jo_signed_in.submit(PAGE, send_code="yes")
    assert jo_signed_in.response.status_code == 429
    assert "at most three codes an hour" in jo_signed_in.page_text
    assert len(outbox.all("mobile_code")) == 3

    clock.move(timedelta(minutes=58))
    assert jo_signed_in.submit(PAGE, send_code="yes").status_code == 303


def test_of_many_codes_requested_at_once_three_are_sent(run_concurrently, transaction, account, outbox):
    outcomes = run_concurrently(6, lambda: mobile.send(session().get_one(Administrator, account.id)))

    assert outcomes.count(None) == 3
    assert len(outbox.all("mobile_code")) == 3


def test_a_code_confirms_once(run_concurrently, transaction, account, outbox):
    with transaction():
        mobile.send(session().get_one(Administrator, account.id))
    code = outbox.last("mobile_code").code
    outcomes = run_concurrently(4, lambda: mobile.confirm(session().get_one(Administrator, account.id), code))

    assert outcomes.count(None) == 1


def test_a_code_for_one_number_does_not_confirm_another(jo_signed_in, account, transaction, outbox):
    jo_signed_in.submit(PAGE, send_code="yes")
    with transaction() as session:
        session.get_one(Administrator, account.id).mobile = "+447700900999"
    jo_signed_in.submit(PAGE, code=outbox.last("mobile_code").code)

    assert confirmed_at(transaction, account) is None


def test_a_code_of_one_person_does_not_work_for_another(transaction, account, outbox):
    with transaction() as session:
        other = an_administrator().id
        mobile.send(session.get_one(Administrator, account.id))
    code = outbox.last("mobile_code").code
    with transaction() as session, pytest.raises(mobile.CodeExpired):
        mobile.confirm(session.get_one(Administrator, other), code)


def test_wrong_codes_count_as_wrong_passwords_do(jo_signed_in, stranger, account, outbox):
    jo_signed_in.submit(PAGE, send_code="yes")
    jo_signed_in.submit(PAGE, code="1")
    for _ in range(9):
        stranger.sign_in(account.username, "wrong")
    stranger.sign_in(account.username)

    assert stranger.response.status_code == 422, "the account is locked; the name has had nine, and tells nothing"
    assert stranger.cookie("session") is None


def test_the_code_is_not_in_the_database(jo_signed_in, transaction, outbox, account):
    jo_signed_in.submit(PAGE, send_code="yes")
    code = outbox.last("mobile_code").code
    with transaction() as session:
        row = session.query(PersonalSecret).one()
        assert row.digest != hashlib.sha256(code.encode()).digest()
        assert code not in (row.value or "")


def test_signing_in_is_required(jo):
    assert jo.open(PAGE).location == "/sign-in?next=/mobile/confirm"


@pytest.mark.parametrize(
    ("number", "written"), [("+447700900123", "07700 900123"), ("+353861234567", "+353 86 123 4567")]
)
def test_numbers_are_written_as_people_write_them(number, written):
    assert mobile.readable(number) == written
