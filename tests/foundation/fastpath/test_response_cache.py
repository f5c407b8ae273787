"""Cached responses: keys and metadata."""

import pytest

from idp.foundation.fastpath import response_cache

DOCUMENTS = ["/oauth/jwks", "/.well-known/openid-configuration"]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_the_second_response_has_the_body_and_the_headers_of_the_first(app, web, path):
    first = web.get(path)
    assert response_cache.CACHE.for_app(app)

    second = web.get(path)

    assert second.data == first.data
    assert second.headers["ETag"] == first.headers["ETag"]
    assert second.headers["Cache-Control"] == "public, max-age=300"
    assert second.headers["Access-Control-Allow-Origin"] == "*"
    assert second.headers["X-Content-Type-Options"] == "nosniff"
    assert set(first.headers.keys()) - set(second.headers.keys()) <= {"Date", "Vary", "X-Request-ID"}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_client_with_the_current_entity_tag_gets_304(web, path):
    etag = web.get(path).headers["ETag"]

    for _ in range(2):
        again = web.get(path, headers={"If-None-Match": etag})
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_condition_that_fails_is_412_from_the_cache_as_well(web, path):
    """RFC 9110 §13.1.1: a method MUST NOT be performed if `If-Match` is false, and strong tags are compared."""
    etag = web.get(path).headers["ETag"]

    for _ in range(2):
        assert web.get(path, headers={"If-Match": '"other"'}).status_code == 412
        assert web.get(path, headers={"If-Match": etag}).status_code == 200


@pytest.mark.parametrize("path", DOCUMENTS)
def test_an_unknown_host_is_refused_even_if_the_response_is_cached(web, path):
    web.get(path)

    assert web.get(path, headers={"Host": "evil.test"}).status_code == 400


def test_another_method_is_not_served_from_the_cache(web):
    web.get(DOCUMENTS[0])

    assert web.post(DOCUMENTS[0]).status_code == 405
