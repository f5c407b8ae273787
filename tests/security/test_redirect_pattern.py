"""security.md S4: patterns, and first use that registers. CVE-2024-52289 (authentik)."""

import ast
import inspect

import pytest

from idp.foundation.database import session
from idp.partners import metadata, registry, uris
from idp.partners.models import Client
from tests.factories import a_client


def test_a_dot_in_a_registered_uri_matches_only_a_dot(transaction):
    with transaction():
        client = a_client(redirect_uris=["https://partner.example/cb"])
        assert not registry.allows_redirect(client, "https://partnerxexample/cb")


@pytest.mark.parametrize("module", [registry, uris])
def test_modules_that_compare_redirect_uris_import_no_pattern_matching(module):
    imported = {
        alias.name for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
    }  # fmt: skip
    assert not imported & {"re", "fnmatch", "glob", "match", "fullmatch"}


@pytest.mark.parametrize(
    "uri", ["https://*.partner.example/cb", "https://partner.example/*", "https://partner.example/.*"]
)
def test_a_wildcard_cannot_be_registered(app, uri):
    with app.app_context(), pytest.raises(metadata.InvalidRedirectUri):
        metadata.to_columns({"redirect_uris": [uri]})


def test_a_client_without_redirect_uris_allows_none_and_a_request_registers_none(transaction):
    with transaction():
        client = a_client(redirect_uris=[])
        for _ in range(2):
            assert not registry.allows_redirect(client, "https://partner.example/cb")
            assert not registry.allows_redirect(client, "http://127.0.0.1:5001/cb")
        session().flush()
        assert session().get_one(Client, client.id).redirect_uris == []
