"""security.md S1: a redirect URI is matched whole. CVE-2023-6291, CVE-2024-8883 (Keycloak)."""

import pytest

from idp.partners import registry
from tests.factories import a_client

REGISTERED = "https://partner.example/cb"


@pytest.mark.parametrize(
    "uri",
    [
        "https://partner.example.evil.test/cb",
        "https://partner.example/cb2",
        "https://partner.example/cb/",
        "https://partner.example/c",
        "https://partner.example/",
        "https://partner.example",
        "https://partner.example/*",
        "https://*/cb",
        "*",
        "",
        " https://partner.example/cb",
        "https://partner.example/cb ",
        "https://evil.test/https://partner.example/cb",
        "http://partner.example/cb",
        "//partner.example/cb",
    ],
)
def test_a_uri_that_resembles_the_registered_one_does_not_match(transaction, uri):
    with transaction():
        client = a_client(redirect_uris=[REGISTERED])

        assert registry.allows_redirect(client, REGISTERED)
        assert not registry.allows_redirect(client, uri)


def test_any_of_several_registered_uris_is_accepted_and_another_clients_is_not(transaction):
    with transaction():
        client = a_client(redirect_uris=[REGISTERED, "https://partner.example/two"])
        other = a_client(redirect_uris=["https://other.example/cb"])

        assert registry.allows_redirect(client, "https://partner.example/two")
        assert not registry.allows_redirect(client, other.redirect_uris[0])
