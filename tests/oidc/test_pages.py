"""What is told when it is our trouble, and when it is too often: programs in JSON, people on a page."""

import pytest
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import TooManyRequests

from idp.oidc import authorize, token


def fail(error):
    def raising(*_args):
        raise error

    return raising


def test_a_client_is_told_to_try_again_when_the_database_is_away(web, world, monkeypatch):
    monkeypatch.setattr(token, "answer", fail(OperationalError("SELECT 1", {}, Exception("gone"))))
    response = world.partner.posts(web, "/oauth/token", {"grant_type": "refresh_token"})
    assert response.status_code == 503
    assert response.json["error"] == "temporarily_unavailable"
    assert response.headers["Retry-After"]
    assert response.headers["Cache-Control"] == "no-store"


def test_a_person_is_told_on_a_page(web, world, monkeypatch):
    monkeypatch.setattr(authorize, "answer", fail(OperationalError("SELECT 1", {}, Exception("gone"))))
    response = web.get(world.partner.link())
    assert response.status_code == 503
    assert response.mimetype == "text/html"


@pytest.mark.parametrize(("module", "path", "mimetype"), [(token, "/oauth/token", "application/json")])
def test_too_often_says_when_to_come_back(web, world, monkeypatch, module, path, mimetype):
    monkeypatch.setattr(module, "answer", fail(TooManyRequests()))
    response = world.partner.posts(web, path, {"grant_type": "refresh_token"})
    assert (response.status_code, response.mimetype) == (429, mimetype)
    assert response.headers["Retry-After"] == "60"
