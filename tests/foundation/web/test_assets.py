"""Static files: immutable under a URL with their version, revalidated under any other."""

import re

import pytest
from flask import url_for

from idp.foundation.web.assets import _version

IMMUTABLE = "max-age=315360000, public, immutable"


@pytest.fixture
def css_url(app):
    with app.test_request_context("/"):
        return url_for("static", filename="app.css")


def test_pages_refer_to_versioned_files(web):
    page = web.get("/sign-in").text
    urls = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)

    assert len(urls) >= 3
    for url in urls:
        assert re.match(r"/static/v-[0-9a-f]{12}/", url)
        headers = web.get(url).headers
        assert headers["Cache-Control"] == IMMUTABLE
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_relative_url_in_a_style_sheet_is_versioned_too(web, css_url):
    font = re.search(r'url\("(vendor/[^"]+\.woff2)"\)', web.get(css_url).text)[1]

    response = web.get(f"{css_url.rpartition('/')[0]}/{font}")
    assert (response.status_code, response.headers["Cache-Control"]) == (200, IMMUTABLE)


@pytest.mark.parametrize("path", ["/static/app.css", "/static/v-000000000000/app.css"])
def test_a_file_without_its_version_in_the_url_is_served_with_revalidation(web, path):
    response = web.get(path)

    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-cache")
    again = web.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_missing_file_is_not_cached(web, css_url):
    response = web.get(f"{css_url}.missing")

    assert response.status_code == 404
    assert "immutable" not in response.headers["Cache-Control"]


def test_a_changed_content_or_name_changes_the_version(tmp_path):
    versions = set()
    for name, content in (("a.css", "x"), ("a.css", "y"), ("b.css", "y")):
        (tmp_path / name).write_text(content)
        versions.add(_version(tmp_path))

    assert len(versions) == 3


def test_search_suggestions_may_be_cached_publicly(web):
    web.get("/sign-in")  # which leaves a cookie
    response = web.get("/schools/search.json?q=oakhill")

    assert "Vary" not in response.headers
    assert response.headers["Cache-Control"].startswith("public")
    assert "Set-Cookie" not in response.headers
