"""Error pages: plain sentences for people, with the right status."""

import pytest
from sqlalchemy.exc import OperationalError

from idp.foundation import database
from idp.foundation.errors import Busy, Refusal
from idp.foundation.web import security
from tests.factories import an_administrator
from tests.signin.person import Person


class SampleRefusal(Refusal):
    code, status, title = "unwelcome", 403, "Not today"
    message = "Please come back tomorrow."


@pytest.fixture
def error_response(session_app, app):
    """`error_response(error)`: the handlers' response to an error, called directly inside a request."""

    def respond(error, **headers):
        with session_app.test_request_context("/x", headers=headers):
            return session_app.make_response(session_app.handle_user_exception(error))

    return respond


def test_a_refusal_shows_its_text_and_logs_its_reason(error_response):
    response = error_response(SampleRefusal(reason="adm_1 is a viewer"))

    assert response.status_code == 403
    assert b"Please come back tomorrow." in response.data
    assert b"adm_1" not in response.data
    assert b'id="error-code"' in response.data


def test_a_program_gets_a_problem_document(error_response):
    response = error_response(SampleRefusal(reason="adm_1 is a viewer"), Accept="application/json")

    assert response.mimetype == "application/problem+json"
    assert response.get_json()["detail"] == "Please come back tomorrow."
    assert "adm_1" not in response.get_data(as_text=True)


def test_the_response_to_busy_has_retry_after(error_response):
    response = error_response(Busy(retry_after=7))

    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")


def test_an_unreachable_database_is_reported_as_temporary(error_response):
    response = error_response(OperationalError("SELECT secret", {}, Exception("gone")))

    assert response.status_code == 503
    assert "Retry-After" in response.headers
    assert b"SELECT" not in response.data


@pytest.mark.parametrize("path", ["/", "/sign-in", "/register", "/register/details?school=1", "/oauth/authorize"])
def test_a_signed_in_person_gets_an_error_page_while_the_database_is_unreachable(
    app, web, transaction, monkeypatch, path
):
    with transaction():
        username = an_administrator().username
    Person(web).sign_in(username)
    monkeypatch.setattr(app, "testing", False)
    monkeypatch.setattr(type(database.CONNECTIONS.for_app(app)), "take", unreachable)

    response = web.get(path)

    assert response.status_code == 503
    assert "Retry-After" in response.headers
    assert b"We cannot reach our records" in response.data


def test_a_page_that_does_not_exist_is_404_while_the_database_is_unreachable(app, web, transaction, monkeypatch):
    with transaction():
        username = an_administrator().username
    Person(web).sign_in(username)
    monkeypatch.setattr(app, "testing", False)
    monkeypatch.setattr(type(database.CONNECTIONS.for_app(app)), "take", unreachable)

    assert web.get("/nowhere").status_code == 404


def unreachable(*_args, **_kwargs):
    raise OperationalError("SELECT secret", {}, Exception("gone"))


@pytest.mark.parametrize("path", ["/", "/sign-in", "/oauth/authorize?client_id=x"])
def test_a_browser_with_an_unknown_session_gets_an_error_page_while_the_database_is_unreachable(
    app, web, monkeypatch, path
):
    monkeypatch.setattr(type(database.CONNECTIONS.for_app(app)), "take", unreachable)
    web.set_cookie("idaas-session", "whatever it is")

    response = web.get(path)

    assert response.status_code == 503
    assert b'id="error-code"' in response.data


def test_an_internal_error_shows_no_traceback(error_response):
    response = error_response(ZeroDivisionError("division by zero"))

    assert response.status_code == 500
    assert b"division" not in response.data
    assert b"Traceback" not in response.data


def test_a_missing_page_says_what_to_do(web):
    response = web.get("/nowhere")

    assert response.status_code == 404
    assert b"Page not found" in response.data


def test_a_wrong_method_is_refused_with_the_allowed_ones(web):
    response = web.delete("/healthz")

    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]


def test_a_path_with_markup_is_escaped(web):
    response = web.get("/%3Cscript%3Ealert(1)%3C/script%3E")

    assert b"<script>alert" not in response.data


def test_routes_for_operators_are_404_for_others(app):
    with app.test_request_context("/"), pytest.raises(Refusal) as refused:
        security.operator(lambda: "in")()

    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("path", "is_listed"),
    [
        ("/sign-in", True), ("/sign-in?next=/oauth/authorize?client_id%3Dx", False), ("/register", True),
        ("/register?next=/device", False), ("/developers", True), ("/developers/guide", True), ("/api", True),
        ("/events", True), ("/welcome/secret", False), ("/reset", False), ("/no-such-page", False),
        ("/oauth/authorize?client_id=unknown", False),
    ],
)  # fmt: skip
def test_search_engines_list_only_pages_that_are_for_everyone(web, path, is_listed):
    page = web.get(path).text
    assert ('<meta name="robots" content="noindex">' in page) is not is_listed
    assert "<title>" in page
