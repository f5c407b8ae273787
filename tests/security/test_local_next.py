"""S7, on our own pages: for any value of `next`, the browser stays on our host."""

from urllib.parse import quote

import pytest

from idp.foundation.web.security import local_path
from tests.factories import an_administrator
from tests.signin.person import Person

FOREIGN_ADDRESSES = [
    "//evil.test", "///evil.test", "https://evil.test", "http:evil.test", "https:/evil.test",
    "//evil.test/oauth/authorize?", "/\\evil.test", "\\\\evil.test", "/\t/evil.test", "/\n/evil.test", "\t//evil.test",
    " //evil.test", "/ /evil.test", "javascript:alert(1)", "data:text/html,x", "evil.test", "/\r\nSet-Cookie: x=y",
    "/\x00//evil.test", "/\x7f/evil.test", "@evil.test", "?//evil.test", "#//evil.test", "%2f%2fevil.test",
    "localhost:5000@evil.test", "/\x80/evil.test", "/\u202e/evil.test",
]  # fmt: skip


@pytest.mark.parametrize("path", ["/\x80", "/\u202etset", "/\u3000x", "/\ud800", "/a b", "/a\\b", "/\x7f"])
def test_a_path_with_unprintable_characters_becomes_the_default(path):
    assert local_path(path, "/home") == "/home"


@pytest.fixture
def jo(web):
    return Person(web)


def is_local(location):
    return location.startswith("/") and not location.startswith(("//", "/\\"))


@pytest.mark.parametrize("foreign_address", FOREIGN_ADDRESSES)
def test_signing_in_does_not_redirect_to_another_host(jo, transaction, foreign_address):
    with transaction():
        username = an_administrator().username
    response = jo.submit(f"/sign-in?next={quote(foreign_address, safe='')}", username=username, password="wrong")
    assert "evil.test" not in response.headers.get("Content-Security-Policy", "")
    jo.sign_in(username, back=quote(foreign_address, safe=""))

    assert jo.response.status_code == 303
    assert is_local(jo.response.location)


@pytest.mark.parametrize("foreign_address", FOREIGN_ADDRESSES)
def test_cancelling_does_not_redirect_to_another_host(jo, foreign_address):
    jo.submit(f"/sign-in?next={quote(foreign_address, safe='')}", cancel="yes")

    assert jo.response.location == "/"


@pytest.mark.parametrize("foreign_address", FOREIGN_ADDRESSES)
def test_the_link_to_registration_does_not_keep_another_host(jo, foreign_address):
    jo.open(f"/sign-in?next={quote(foreign_address, safe='')}")

    assert jo.page.find("a", id="register")["href"] == "/register"


@pytest.mark.parametrize("foreign_address", FOREIGN_ADDRESSES)
def test_confirming_a_number_does_not_redirect_to_another_host(jo, transaction, foreign_address, clock):
    with transaction():
        username = an_administrator(mobile_confirmed_at=clock.now()).username
    jo.sign_in(username)
    jo.open(f"/mobile/confirm?next={quote(foreign_address, safe='')}")

    assert is_local(jo.response.location)


def test_cancelling_an_address_that_only_resembles_a_partners_request_leads_to_the_home_page(jo):
    jo.submit(f"/sign-in?next={quote('/oauth/authorize/../x?a=b', safe='')}", cancel="yes")

    assert jo.response.location == "/"
