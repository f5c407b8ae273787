import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from idp.foundation.errors import Busy, Refusal
from idp.foundation.web import security
from tests.factories import an_administrator
from tests.signin.person import Person


class Unwelcome(Refusal):
    code, status, title = "unwelcome", 403, "Not today"
    says = "Please come back tomorrow."


@pytest.fixture
def broken(built, app):
    """The same answers for any error: the handlers are asked directly, inside a request."""

    def told(error, **headers):
        with built.test_request_context("/x", headers=headers):
            return built.make_response(built.handle_user_exception(error))

    return told


def test_a_refusal_shows_its_words_and_keeps_its_reason(broken):
    answer = broken(Unwelcome(because="adm_1 is a viewer"))

    assert answer.status_code == 403
    assert b"Please come back tomorrow." in answer.data
    assert b"adm_1" not in answer.data
    assert b'id="error-code"' in answer.data


def test_a_program_gets_a_problem_document(broken):
    answer = broken(Unwelcome(because="adm_1 is a viewer"), Accept="application/json")

    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["detail"] == "Please come back tomorrow."
    assert "adm_1" not in answer.get_data(as_text=True)


def test_being_busy_says_when_to_come_back(broken):
    answer = broken(Busy(retry_after=7))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


def test_a_database_that_is_away_is_said_to_be_temporary(broken):
    answer = broken(OperationalError("SELECT secret", {}, Exception("gone")))

    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert b"SELECT" not in answer.data


@pytest.mark.parametrize("path", ["/", "/sign-in", "/register", "/register/details?school=1", "/oauth/authorize"])
def test_whoever_is_signed_in_is_told_so_too(app, web, work, monkeypatch, path):
    with work():
        username = an_administrator().username
    Person(web).signs_in(username)
    monkeypatch.setattr(app, "testing", False)
    monkeypatch.setattr(Engine, "connect", away)

    answer = web.get(path)

    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert b"We cannot reach our records" in answer.data


def test_a_page_that_is_not_there_needs_no_database(app, web, work, monkeypatch):
    with work():
        username = an_administrator().username
    Person(web).signs_in(username)
    monkeypatch.setattr(app, "testing", False)
    monkeypatch.setattr(Engine, "connect", away)

    assert web.get("/nowhere").status_code == 404


def away(*_args, **_kwargs):
    raise OperationalError("SELECT secret", {}, Exception("gone"))


@pytest.mark.parametrize("path", ["/", "/sign-in", "/oauth/authorize?client_id=x"])
def test_somebody_signed_in_gets_a_page_too_when_the_database_is_away(web, monkeypatch, path):
    monkeypatch.setattr(Engine, "connect", away)
    web.set_cookie("session", "whatever it is")

    answer = web.get(path)

    assert answer.status_code == 503
    assert b'id="error-code"' in answer.data


def test_our_own_fault_shows_no_traceback(broken):
    answer = broken(ZeroDivisionError("division by zero"))

    assert answer.status_code == 500
    assert b"division" not in answer.data
    assert b"Traceback" not in answer.data


def test_a_page_that_is_not_there_says_what_to_do(web):
    answer = web.get("/nowhere")

    assert answer.status_code == 404
    assert b"Page not found" in answer.data


def test_the_wrong_method_names_the_right_one(web):
    answer = web.delete("/healthz")

    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_hostile_paths_are_inert(web):
    answer = web.get("/%3Cscript%3Ealert(1)%3C/script%3E")

    assert b"<script>alert" not in answer.data


def test_routes_for_operators_do_not_exist_for_others(app):
    with app.test_request_context("/"), pytest.raises(Refusal) as refused:
        security.operator(lambda: "in")()

    assert refused.value.status == 404
