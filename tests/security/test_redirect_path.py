"""security.md S3: traversal and double encoding. CVE-2026-3872, CVE-2024-1132, CVE-2022-3782 (Keycloak)."""

import pytest

from idp.partners import metadata, registry
from tests.factories import a_client

PATHS = [
    "/cb/../x",
    "/cb/..",
    "/x/../cb",
    "/./cb",
    "/cb/%2e%2e/x",
    "/x/%2E%2e/cb",
    "/cb%2f..%2fx",
    "/%63b",
    "/cb%252f..",
    "/cb/..;/x",
    "//cb",
    "/cb\\x",
    "\\cb",
    "/cb\t",
    "/\tcb",
    "/cb\n",
    "/cb\r\nLocation: https://evil.test",
    "/cb\0",
    "/cb%00",
    "/cb%0d%0a",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_compared_exactly_without_normalising(transaction, path):
    with transaction():
        client = a_client(redirect_uris=["https://partner.example/cb", "http://127.0.0.1/cb"])

        assert not registry.allows_redirect(client, f"https://partner.example{path}")
        assert not registry.allows_redirect(client, f"http://127.0.0.1:5001{path}")


@pytest.mark.parametrize("path", ["/cb/../x", "/cb/..", "/./cb", "/cb/.", "/cb/%2e%2e/x", "/x/%2E%2e/cb", "/x/.%2e/cb"])
def test_a_path_with_dot_segments_cannot_be_registered(app, path):
    with app.app_context(), pytest.raises(metadata.InvalidRedirectUri):
        metadata.to_columns({"redirect_uris": [f"https://partner.example{path}"]})


@pytest.mark.parametrize("character", list('\\\t\n\r\0\x7f\u200b "<>^`{|'))
def test_a_character_that_is_read_in_two_ways_cannot_be_registered(app, character):
    with app.app_context(), pytest.raises(metadata.InvalidRedirectUri):
        metadata.to_columns({"redirect_uris": [f"https://partner.example/c{character}b"]})
