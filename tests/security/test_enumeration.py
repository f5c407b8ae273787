"""security.md S29: an outsider cannot find out whether a person has an account."""

import re
from typing import Any, NamedTuple

import pytest

from idp.estabs.models import Administrator, Estab
from idp.foundation import runtime
from idp.signin import developers, operators
from tests import mail
from tests.factories import a_partner, an_administrator
from tests.signin.apps import an_app
from tests.signin.person import Person

WRONG_PASSWORD = "not the password at all"


@pytest.fixture
def existing_person(transaction):
    with transaction():
        person = an_administrator()
        return {
            "username": person.username,
            "email": person.email,
            "id": person.id,
            "estab": person.memberships[0].estab_id,
        }


@pytest.fixture
def browser(new_browser):
    """`browser()` is a person at a new browser."""
    return lambda: Person(new_browser())


class ComparableParts(NamedTuple):
    """The parts of a response that must be equal: all, without random values and what was typed."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    text: str


def comparable_parts(person, name):
    """These parts of the response that the person sees, after typing `name`."""
    text = person.response.text.replace(name, "NAME")
    text = re.sub(r'(csrf_token" value=|nonce=)"[^"]*"', r"\1", text)
    text = text.replace(person.response.headers.get("X-Request-ID") or "no id", "ID")
    headers = {key: value for key, value in person.response.headers if key not in {"X-Request-ID", "Content-Length"}}
    headers["Content-Security-Policy"] = re.sub(r"nonce-[\w-]+", "", headers.get("Content-Security-Policy", ""))
    cookies = sorted(re.sub("=.*", "", cookie) for cookie in person.response.headers.getlist("Set-Cookie"))
    headers.pop("Set-Cookie", None)
    return ComparableParts(person.response.status_code, headers, cookies, text)


class Outcome(NamedTuple):
    """The responses to some requests, and how many password hashes they cost."""

    responses: list[Any]
    hashes: int


def failed_sign_ins(browser, app, name, times=1):
    """The outcome of wrong passwords for `name`."""
    person, before = browser(), runtime.for_app(app).passwords.hashed
    responses = []
    for _ in range(times):
        person.sign_in(name, WRONG_PASSWORD)
        responses.append(comparable_parts(person, name))
    return Outcome(responses, runtime.for_app(app).passwords.hashed - before)


@pytest.mark.parametrize("kind", ["username", "email"])
def test_a_wrong_password_looks_and_costs_the_same_for_an_unknown_name(browser, app, existing_person, kind, clock):
    stranger = "2139999" if kind == "username" else "unknown@oakhill.example"

    assert failed_sign_ins(browser, app, existing_person[kind]) == failed_sign_ins(browser, app, stranger)


def test_unknown_names_are_locked_like_known_ones(browser, app, existing_person, clock):
    known_outcome, unknown_outcome = (
        failed_sign_ins(browser, app, name, 12) for name in (existing_person["username"], "2139999")
    )

    assert known_outcome == unknown_outcome
    assert known_outcome.responses[-1].status == 429
    assert known_outcome.hashes == 10


@pytest.mark.parametrize("state", ["removed", "no password", "suspended", "closed", "rejected"])
def test_the_state_of_an_account_is_not_revealed_without_its_password(
    browser, app, existing_person, transaction, state
):
    with transaction() as session:
        person = session.get_one(Administrator, existing_person["id"])
        estab = session.get_one(Estab, existing_person["estab"])
        if state == "removed":
            person.removed_at = person.created_at
        elif state == "no password":
            person.password_hash = None
        else:
            estab.state = state

    assert failed_sign_ins(browser, app, existing_person["username"]) == failed_sign_ins(browser, app, "2139999")


def test_a_failed_sign_in_sends_no_message_before_the_lock(browser, app, existing_person, outbox):
    failed_sign_ins(browser, app, existing_person["username"], 9)

    assert outbox.all() == []


def test_the_address_of_an_operator_is_not_revealed(browser, app, transaction, clock):
    with transaction():
        operators.add("Sam", "sam@idaas.example")

    def attempt(email):
        person, before = browser(), runtime.for_app(app).passwords.hashed
        person.submit("/operate/sign-in", email=email, password=WRONG_PASSWORD, code="123456")
        return comparable_parts(person, email), runtime.for_app(app).passwords.hashed - before

    assert attempt("sam@idaas.example") == attempt("unknown@idaas.example")


def test_the_address_of_a_developer_is_not_revealed(browser, app, transaction, clock):
    with transaction():
        developers.invite(a_partner(), "Sam", "sam@assembly.example", is_owner=True, by="cli")

    def attempt(email):
        person, before = browser(), runtime.for_app(app).passwords.hashed
        person.submit("/developers/sign-in", email=email, password=WRONG_PASSWORD, code="123456")
        return comparable_parts(person, email), runtime.for_app(app).passwords.hashed - before

    assert attempt("sam@assembly.example") == attempt("unknown@assembly.example")


@pytest.mark.parametrize(
    "account_state", ["has a number", "unconfirmed", "locked", "suspended", "no password", "removed"]
)
def test_asking_for_a_new_password_looks_and_costs_the_same_for_an_unknown_name(
    browser, app, existing_person, transaction, outbox, clock, account_state
):
    with transaction() as session:
        person = session.get_one(Administrator, existing_person["id"])
        person.mobile_confirmed_at = None if account_state == "unconfirmed" else person.created_at
        person.memberships[0].estab.state = "suspended" if account_state == "suspended" else "verified"
        person.password_hash = None if account_state == "no password" else person.password_hash
        person.removed_at = person.created_at if account_state == "removed" else None
    if account_state == "locked":
        failed_sign_ins(browser, app, existing_person["email"], 12)

    assert reset_responses(browser, app, transaction, existing_person["username"]) == reset_responses(
        browser, app, transaction, "2139999"
    )


def reset_responses(browser, app, transaction, name):
    """The responses to five requests for a new password and 14 wrong codes, and their hashes and messages."""
    person, responses = browser(), []
    hashed, before = (
        runtime.for_app(app).passwords.hashed,
        mail.count_by_template(transaction, leave_out="account_locked"),
    )
    person.submit("/reset", username=name)
    responses.append(comparable_parts(person, name))
    for round_number in range(4):
        for _ in range(6 if round_number < 2 else 1):
            person.open("/reset/code")
            responses.append(comparable_parts(person, name))
            person.post("/reset/code", code="no code")
            responses.append(comparable_parts(person, name))
        person.submit("/reset/code", send_code="yes")
        responses.append(comparable_parts(person, name))
    for page in ("/reset/password", "/reset/code"):
        person.open(page)
        responses.append(comparable_parts(person, name))
    mails = mail.count_by_template(transaction, leave_out="account_locked")
    return responses, runtime.for_app(app).passwords.hashed - hashed, mails - before


def test_a_second_step_is_shown_only_after_the_right_password(browser, app, existing_person, transaction, clock):
    with transaction():
        an_app(existing_person["id"])

    assert failed_sign_ins(browser, app, existing_person["username"], 12) == failed_sign_ins(
        browser, app, "2139999", 12
    )


@pytest.mark.parametrize("path", ["/sign-in/second-step", "/sign-in/recovery-code"])
def test_the_pages_of_the_second_step_are_the_same_without_the_password_whether_or_not_there_is_one(
    browser, app, existing_person, transaction, path
):
    def request_step():
        person, before = browser(), runtime.for_app(app).passwords.hashed
        person.open(path)
        shown = [comparable_parts(person, existing_person["username"])]
        person.open("/sign-in")
        person.post(path, code="123456", username=existing_person["username"])
        shown.append(comparable_parts(person, existing_person["username"]))
        return Outcome(shown, runtime.for_app(app).passwords.hashed - before)

    before = request_step()
    with transaction():
        an_app(existing_person["id"])

    assert request_step() == before
    assert before.hashes == 0
    assert {status for status, *_ in before.responses} == {303}
