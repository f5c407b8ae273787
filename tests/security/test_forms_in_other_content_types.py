"""Forms of pages are read as forms only: the same fields as JSON, or as files, are not read, and cause no error."""

import io
import json
from pathlib import Path

import pytest

from tests.factories import PASSWORD, an_administrator
from tests.oidc.support import page

JSON = ("", "{", "null", "1", '"x"', "[1]", "[[]]", '{"username": {"a": 1}, "password": [1]}', '{"username": 1}')


@pytest.fixture
def token(web):
    return page(web.get("/sign-in")).find("input", {"name": "csrf_token"})["value"]


@pytest.mark.parametrize("message", JSON)
@pytest.mark.parametrize("path", ["/sign-in", "/operate/sign-in", "/register/details?school=1", "/device"])
def test_json_in_place_of_a_form_is_not_read(web, token, path, message):
    for headers in ({}, {"X-CSRFToken": token}):
        response = web.post(path, data=message, content_type="application/json", headers=headers)
        assert 400 <= response.status_code < 500 or response.status_code in {200, 303}, response.text


def test_a_valid_sign_in_sent_as_json_signs_no_one_in(web, token, transaction):
    with transaction():
        message = {"username": an_administrator().username, "password": PASSWORD}
    headers = {"X-CSRFToken": token}
    response = web.post("/sign-in", data=json.dumps(message), content_type="application/json", headers=headers)
    assert response.status_code == 422
    assert web.get_cookie("idaas-session") is None


@pytest.mark.parametrize("path", ["/sign-in", "/operate/sign-in"])
def test_a_file_in_place_of_a_text_is_not_read(web, token, path):
    names = ("username", "password", "email", "code")
    files = {name: (io.BytesIO(b"\x00 a file\n"), "a.txt") for name in names}
    response = web.post(path, data={"csrf_token": token, **files}, content_type="multipart/form-data")
    assert response.status_code == 422


def test_an_expired_form_for_an_unknown_school_is_not_a_server_error(web):
    response = web.post("/register/details?school=1", data={"name": "Jo Bloggs"})
    assert response.status_code == 404


def test_every_form_is_made_from_the_one_that_reads_fields_alone():
    paths = [path for path in Path("idp").rglob("*.py") if "FlaskForm" in path.read_text()]
    assert paths == [Path("idp/foundation/web/forms.py")]
