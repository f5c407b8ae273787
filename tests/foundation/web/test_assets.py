"""Files of pages: kept for good under an address that names their version, and asked about again elsewhere."""

import re

import pytest
from flask import url_for

from idp.foundation.web.assets import _version

FOREVER = "max-age=315360000, public, immutable"


@pytest.fixture
def address(app):
    with app.test_request_context("/"):
        return url_for("static", filename="app.css")


def test_pages_name_versions(web):
    page = web.get("/sign-in").text
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)

    assert len(named) >= 3
    for each in named:
        assert re.match(r"/static/v-[0-9a-f]{12}/", each)
        headers = web.get(each).headers
        assert headers["Cache-Control"] == FOREVER
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_what_a_style_sheet_names_beside_itself_is_kept_too(web, address):
    font = re.search(r'url\("(vendor/[^"]+\.woff2)"\)', web.get(address).text)[1]

    answer = web.get(f"{address.rpartition('/')[0]}/{font}")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, FOREVER)


@pytest.mark.parametrize("path", ["/static/app.css", "/static/v-000000000000/app.css"])
def test_under_another_address_it_is_there_and_asked_about_each_time(web, path):
    answer = web.get(path)

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")
    again = web.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_what_is_not_there_is_not_kept(web, address):
    answer = web.get(f"{address}.missing")

    assert answer.status_code == 404
    assert "immutable" not in answer.headers["Cache-Control"]


def test_another_content_or_name_is_another_version(tmp_path):
    seen = set()
    for name, content in (("a.css", "x"), ("a.css", "y"), ("b.css", "y")):
        (tmp_path / name).write_text(content)
        seen.add(_version(tmp_path))

    assert len(seen) == 3


def test_suggestions_are_the_same_for_everybody(web):
    web.get("/sign-in")  # which leaves a cookie
    answer = web.get("/schools/search.json?q=oakhill")

    assert "Vary" not in answer.headers
    assert answer.headers["Cache-Control"].startswith("public")
    assert "Set-Cookie" not in answer.headers
