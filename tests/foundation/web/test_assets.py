"""Static files: immutable under an address with their version, revalidated under any other."""

import re

import pytest
from flask import url_for

from idp.foundation.web.assets import _version

IMMUTABLE = "max-age=315360000, public, immutable"


@pytest.fixture
def address(app):
    with app.test_request_context("/"):
        return url_for("static", filename="app.css")


def test_pages_refer_to_versioned_files(web):
    page = web.get("/sign-in").text
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)

    assert len(named) >= 3
    for name_ in named:
        assert re.match(r"/static/v-[0-9a-f]{12}/", name_)
        headers = web.get(name_).headers
        assert headers["Cache-Control"] == IMMUTABLE
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_relative_url_in_a_style_sheet_is_versioned_too(web, address):
    font = re.search(r'url\("(vendor/[^"]+\.woff2)"\)', web.get(address).text)[1]

    response = web.get(f"{address.rpartition('/')[0]}/{font}")
    assert (response.status_code, response.headers["Cache-Control"]) == (200, IMMUTABLE)


@pytest.mark.parametrize("path", ["/static/app.css", "/static/v-000000000000/app.css"])
def test_any_other_version_serves_the_file_with_revalidation(web, path):
    response = web.get(path)

    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-cache")
    again = web.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_missing_file_is_not_cached(web, address):
    response = web.get(f"{address}.missing")

    assert response.status_code == 404
    assert "immutable" not in response.headers["Cache-Control"]


def test_a_changed_content_or_name_changes_the_version(tmp_path):
    seen = set()
    for name, content in (("a.css", "x"), ("a.css", "y"), ("b.css", "y")):
        (tmp_path / name).write_text(content)
        seen.add(_version(tmp_path))

    assert len(seen) == 3


def test_search_suggestions_may_be_cached_by_any_cache(web):
    web.get("/sign-in")  # which leaves a cookie
    response = web.get("/schools/search.json?q=oakhill")

    assert "Vary" not in response.headers
    assert response.headers["Cache-Control"].startswith("public")
    assert "Set-Cookie" not in response.headers
