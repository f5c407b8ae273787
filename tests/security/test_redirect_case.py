"""security.md S5: case, additions, and the one part that may differ. CVE-2020-15233, CVE-2020-15234 (Fosite)."""

import pytest

from idp.partners import registry
from tests.factories import a_client

REGISTERED = [
    "https://partner.example/cb", "https://partner.example:8443/cb", "http://127.0.0.1/native",
    "http://[::1]:4000/native?x=1", "http://localhost:5001/cb", "https://partner.example/q?a=1&b=2",
]  # fmt: skip


@pytest.fixture
def allows_redirect_uri(transaction):
    """`allows_redirect_uri(uri)` is whether a client with `REGISTERED` allows this URI."""

    def allows_redirect(uri):
        with transaction():
            return registry.allows_redirect(a_client(redirect_uris=REGISTERED), uri)

    return allows_redirect


@pytest.mark.parametrize("uri", REGISTERED)
def test_a_registered_uri_matches_itself(allows_redirect_uri, uri):
    assert allows_redirect_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "HTTPS://partner.example/cb",
        "https://Partner.example/cb",
        "https://partner.example/CB",
        "https://partner.example/cb?",
        "https://partner.example/cb?x=1",
        "https://partner.example/cb;x",
        "https://partner.example/cb#",
        "https://partner.example/cb#x",
        "https://partner.example/q?b=2&a=1",
        "https://partner.example/q?a=1",
    ],
)
def test_other_case_and_additions_do_not_match(allows_redirect_uri, uri):
    assert not allows_redirect_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:1/native",
        "http://127.0.0.1:65535/native",
        "http://[::1]/native?x=1",
        "http://[::1]:9/native?x=1",
    ],
)
def test_the_port_of_a_loopback_address_may_differ(allows_redirect_uri, uri):
    assert allows_redirect_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "https://partner.example:443/cb", "https://partner.example:8444/cb", "https://127.0.0.1:5001/native",
        "http://localhost:5002/cb", "http://localhost/cb", "http://127.0.0.1:5001/cb", "http://[::1]:5001/native",
        "http://127.0.0.1:/native", "http://127.0.0.1:0/native", "http://127.0.0.1:65536/native",
        "http://127.0.0.1:080/native", "http://127.0.0.1:5 001/native", "http://127.0.0.1:+1/native",
        "http://127.0.0.1:\u0661/native", "http://127.0.0.1:\u00b2/native", "http://127.0.0.1:5001", "http://127.0.0.1",
        "http://127.0.0.1:5001:5002/native", "http://127.0.0.1:5001/native?x=1", "http://127.0.0.1:5001?/native",
        "HTTP://127.0.0.1:5001/native", "http://127.0.0.2:5001/native", "http://[0:0:0:0:0:0:0:1]:5001/native?x=1",
        "http://127.0.0.1:" + "1" * 5000 + "/native",
    ],
)  # fmt: skip
def test_only_the_port_of_a_loopback_address_may_differ(allows_redirect_uri, uri):
    assert not allows_redirect_uri(uri)
