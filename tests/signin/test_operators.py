"""Our staff: an account is set up once by a link, and no one signs in without a code."""

import time
from datetime import timedelta
from urllib.parse import quote

import pyotp
import pytest
import segno
from sqlalchemy import select

from idp.estabs.models import PersonalSecret
from idp.foundation import clock as clocks, runtime
from idp.signin import operators, second_factor
from idp.signin.code_accounts import OPERATORS
from idp.signin.models import Operator
from tests.html import parse
from tests.signin.person import Person

PASSWORD = "wobbly kettle sings at dusk"
EMAIL = "sam@idaas.example"


@pytest.fixture
def link(transaction, clock):
    """The path of the link by which a new operator sets up their account."""
    with transaction():
        return operators.add("Sam", EMAIL)[1].removeprefix("http://localhost:5000")


def code(seed, ahead=0):
    """The code that the app shows in `ahead` seconds."""
    return pyotp.TOTP(seed).at(clocks.timestamp() + ahead)


def set_up(person, link, *, password=PASSWORD):
    """Go through the pages of the link; returns the seed that was shown."""
    person.submit(link)
    seed = person.page.find(id="seed").text.replace(" ", "")
    person.post(link, finish="yes", password=password, code=code(seed))
    return seed


def sign_in(person, seed, *, password=PASSWORD, ahead=30, email=EMAIL):
    return person.submit("/operate/sign-in", email=email, password=password, code=code(seed, ahead))


def test_setting_up_an_account_signs_the_operator_in_and_the_person_before_out(jo, link, account):
    jo.sign_in(account.username)
    set_up(jo, link)
    assert jo.response.location == "/operate"

    jo.open("/operate")
    assert "You are signed in as Sam" in jo.page_text
    assert "signed in. From now on" in jo.page_text
    assert jo.open("/manage").status_code == 404, "no longer the school's administrator"


def test_an_operator_is_set_up_once_and_signs_in_with_password_and_code(jo, stranger, link):
    seed = set_up(stranger, link)

    clocks.move(timedelta(seconds=30))
    assert sign_in(jo, seed, ahead=0).location == "/operate"
    jo.open("/operate")
    assert "You are signed in as Sam" in jo.page_text
    assert [item.text for item in jo.page.select("nav.account a")] == ["Operators' pages", "Sign out"]


def test_opening_the_link_changes_nothing(jo, link, transaction):
    for _ in range(3):
        assert jo.open(link).status_code == 200
    with transaction() as session:
        assert session.scalars(select(Operator)).one().set_up_at is None
    assert set_up(jo, link)


def test_a_used_link_does_not_work_again(jo, link):
    set_up(jo, link)

    assert jo.post_directly(link).status_code == 410
    assert jo.open(link).status_code == 410
    assert jo.page.find(id="error-code").text == "link_used"


def test_a_newer_link_invalidates_the_former_one(jo, link, transaction):
    with transaction():
        newer = operators.add("Sam", EMAIL)[1].removeprefix("http://localhost:5000")
    jo.open(link)

    assert jo.page.find(id="error-code").text == "link_superseded"
    assert set_up(jo, newer)


def test_a_link_works_for_a_day(jo, link, clock):
    clock.move(timedelta(hours=24))
    jo.open(link)

    assert jo.page.find(id="error-code").text == "link_expired"


def test_a_person_who_is_set_up_gets_no_other_link(jo, link, transaction):
    set_up(jo, link)

    with pytest.raises(operators.AlreadySetUp), transaction():
        operators.add("Sam again", EMAIL.upper())


def test_the_app_keeps_its_seed_however_often_the_page_is_sent(jo, link):
    jo.submit(link)
    first = jo.page.find(id="seed").text
    jo.post(link, finish="yes", password="short", code="000000")

    assert jo.page.find(id="seed").text == first
    assert "at least 12" in jo.page_text


def test_two_pages_at_once_show_the_same_seed(run_concurrently, link, monkeypatch):
    secret = link.rsplit("/", 1)[1]
    new_seed = second_factor.new_seed

    def slow_new_seed():
        time.sleep(0.2)  # so that all six requests overlap
        return new_seed()

    monkeypatch.setattr(second_factor, "new_seed", slow_new_seed)

    seeds = run_concurrently(6, lambda: OPERATORS.begin_set_up(secret).seed)

    assert len(seeds) == 6
    assert len(set(seeds)) == 1


def test_a_wrong_code_sets_nothing_up(jo, link, transaction):
    jo.submit(link)
    jo.post(link, finish="yes", password=PASSWORD, code="12345")

    assert "not the one we expect" in jo.page_text
    with transaction() as session:
        operator = session.scalars(select(Operator)).one()
        assert (operator.set_up_at, operator.password_hash, operator.totp_sealed) == (None, None, None)


def test_a_wrong_code_keeps_the_password(jo, link):
    jo.submit(link)
    jo.post(link, finish="yes", password=PASSWORD, code="12345")
    seed = jo.page.find(id="seed").text.replace(" ", "")
    sealed = jo.page.find(id="sealed_password")["value"]
    assert "you do not need to type it again" in jo.page_text
    assert not jo.page.find(id="password")
    assert PASSWORD not in jo.response.text
    jo.post(link, finish="yes", sealed_password=sealed, code="54321")
    assert jo.page.find(id="sealed_password")

    jo.post(link, finish="yes", sealed_password=jo.page.find(id="sealed_password")["value"], code=code(seed))
    assert jo.response.location == "/operate"
    clocks.move(timedelta(seconds=30))
    assert sign_in(jo, seed, ahead=0).location == "/operate"


def test_a_weak_password_is_not_kept_and_a_forged_kept_password_is_refused(jo, stranger, link, transaction):
    jo.submit(link)
    jo.post(link, finish="yes", password="too short", code="12345")
    assert "at least 12 characters" in jo.page_text
    assert jo.page.find(id="password")
    jo.post(link, finish="yes", password=PASSWORD, code="12345")
    sealed = jo.page.find(id="sealed_password")["value"]
    with transaction():
        another = operators.add("Al", "al@idaas.example")[1].removeprefix("http://localhost:5000")
    stranger.submit(another)
    seed = stranger.page.find(id="seed").text.replace(" ", "")
    for forged in (sealed, sealed[:-1], "x", "", "$argon2id$"):
        stranger.post(another, finish="yes", sealed_password=forged, code=code(seed))
        assert stranger.response.status_code == 422
        assert "Choose a password" in stranger.page_text


def test_the_page_shows_the_address_and_a_picture_of_the_link(jo, link):
    jo.submit(link)
    app = jo.page.find("a", string="add the account with this link")["href"]

    assert EMAIL in jo.page_text
    assert quote(EMAIL) in app
    picture = jo.page.select_one(".qr-frame svg")
    drawn = parse(segno.make(app, error="m", micro=False).svg_inline(border=4, lineclass=None))
    assert picture.select("path")[-1]["d"] == drawn.select("path")[-1]["d"]


def test_the_seed_is_stored_sealed_and_deleted_from_the_used_link(jo, link, transaction):
    jo.submit(link)
    seed = jo.page.find(id="seed").text.replace(" ", "")
    with transaction() as session:
        row = session.scalars(select(PersonalSecret)).one()
        assert row.value
        assert seed not in row.value
    jo.post(link, finish="yes", password=PASSWORD, code=code(seed))
    with transaction() as session:
        assert session.scalars(select(PersonalSecret)).one().value is None
        assert seed not in session.scalars(select(Operator)).one().totp_sealed


def test_of_several_set_ups_finished_at_once_one_succeeds(run_concurrently, link):
    secret = link.rsplit("/", 1)[1]

    def finish():
        seed = OPERATORS.begin_set_up(secret).seed
        return OPERATORS.finish_set_up(secret, password_hash="x", code=code(seed)).id

    outcomes = run_concurrently(4, finish)

    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1


def test_the_code_that_finished_the_set_up_does_not_sign_in_an_operator(jo, stranger, link):
    seed = set_up(stranger, link)
    sign_in(jo, seed, ahead=0)

    assert jo.response.status_code == 422
    assert "do not match" in jo.page_text


def test_a_code_works_once_within_two_time_steps(jo, stranger, link, clock):
    seed = set_up(jo, link)
    clock.move(timedelta(seconds=90))
    assert sign_in(jo, seed, ahead=-60).status_code == 422
    assert sign_in(jo, seed, ahead=30).status_code == 422
    assert sign_in(jo, seed, ahead=-30).status_code == 303
    assert sign_in(stranger, seed, ahead=-30).status_code == 422
    assert sign_in(stranger, seed, ahead=0).status_code == 303


@pytest.mark.parametrize("wrong", [{"password": "not the password"}, {"email": "al@idaas.example"}, {"ahead": 600}])
def test_every_failed_sign_in_has_the_same_response_and_cost(jo, stranger, link, app, clock, wrong):
    seed = set_up(stranger, link)
    clock.move(timedelta(seconds=60))
    before = runtime.for_app(app).passwords.hashed
    sign_in(jo, seed, **({"ahead": 0} | wrong))

    assert jo.response.status_code == 422
    assert "The e-mail address, password and code do not match." in jo.page_text
    assert runtime.for_app(app).passwords.hashed == before + 1
    assert jo.open("/operate").status_code == 404


def test_wrong_passwords_and_wrong_codes_count_together(jo, stranger, link, clock):
    seed = set_up(jo, link)
    clock.move(timedelta(seconds=60))
    for attempt in range(10):
        sign_in(stranger, seed, **({"password": "wrong"} if attempt % 2 else {"ahead": 600}))
    sign_in(stranger, seed, ahead=0)

    assert stranger.response.status_code == 429
    assert int(stranger.response.headers["Retry-After"]) > 0


def test_half_an_hour_without_a_click_ends_an_operators_session(jo, link, clock):
    seed = set_up(jo, link)
    clock.move(timedelta(seconds=60))
    sign_in(jo, seed, ahead=0)
    clock.move(timedelta(minutes=29))
    assert jo.open("/operate").status_code == 200
    clock.move(timedelta(minutes=30))
    assert jo.open("/operate").location == "/operate/sign-in?next=/operate"


def test_disabling_an_operator_ends_sessions_and_refuses_sign_ins(jo, link, transaction, clock):
    seed = set_up(jo, link)
    clock.move(timedelta(seconds=60))
    sign_in(jo, seed, ahead=0)
    with transaction():
        operators.disable(EMAIL)

    assert jo.open("/operate").location == "/operate/sign-in?next=/operate"
    clock.move(timedelta(seconds=60))  # a code that has not been used
    assert sign_in(jo, seed, ahead=0).status_code == 422
    assert "do not match" in jo.page_text


def test_two_operators_are_found_and_sign_in_separately(jo, stranger, link, transaction, clock):
    with transaction():
        als_link = operators.add("Al", "al@idaas.example")[1].removeprefix("http://localhost:5000")
    seed, als_seed = set_up(jo, link), set_up(stranger, als_link)
    with transaction() as session:
        assert [operators.find(email).name for email in (EMAIL, "AL@idaas.example")] == ["Sam", "Al"]
        assert [operator.name for operator in session.scalars(select(Operator).order_by(Operator.name))] == [
            "Al",
            "Sam",
        ]

    clock.move(timedelta(seconds=60))
    assert sign_in(jo, seed, ahead=0).location == "/operate"
    assert sign_in(stranger, als_seed, ahead=0, email="al@idaas.example").location == "/operate", "own codes"


def test_an_operator_can_act_after_set_up_and_until_disabled(jo, link, transaction):
    def can_anyone_act():
        with transaction():
            return operators.any_active()

    assert not can_anyone_act()
    set_up(jo, link)
    assert can_anyone_act()
    with transaction():
        operators.disable(EMAIL)
    assert not can_anyone_act()


def test_people_of_a_school_never_see_the_pages_of_operators(jo, account):
    jo.sign_in(account.username)

    assert jo.open("/operate").status_code == 404


def test_an_unknown_operator_cannot_be_disabled(transaction):
    with pytest.raises(operators.UnknownOperator), transaction():
        operators.disable("unknown@idaas.example")


def test_the_link_works_in_another_browser_too(stranger, link):
    assert isinstance(stranger, Person)
    assert set_up(stranger, link)
