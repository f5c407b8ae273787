"""security.md S9: URIs that a browser runs as a script. CVE-2024-21637, CVE-2026-42849 (authentik), CVE-2026-9086
(Keycloak).
"""

import pytest

from idp.partners import manifest, metadata
from tests.partners.manifests import a_manifest

SCRIPTS = [
    "javascript:alert(1)", "JavaScript:alert(1)", "java\tscript:alert(1)", " javascript:alert(1)", "\x01javascript:1",
    "javascript://partner.example/%0aalert(1)", "data:text/html,<script>alert(1)</script>", "DATA:text/html,x",
    "vbscript:x", "file:///etc/passwd", "blob:https://partner.example/x", "about:blank", "view-source:https://x.example",
    "javascript.example:/x",
]  # fmt: skip
URI_FIELDS = [
    "client_uri", "policy_uri", "tos_uri", "agreement_uri", "initiate_login_uri", "backchannel_logout_uri", "jwks_uri",
    "sector_identifier_uri",
]  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", URI_FIELDS)
def test_script_uris_are_refused_in_every_field_of_a_registration(app, name, script):
    with app.app_context(), pytest.raises(metadata.InvalidMetadata) as refused:
        manifest.parse_manifest(a_manifest(**{name: script}))
    assert [field for field, _ in refused.value.field_errors] == [name]


@pytest.mark.parametrize("script", SCRIPTS[:-1])  # the last is a scheme that an app may own and no browser runs
@pytest.mark.parametrize("method", ["client_secret_basic", "none"])
@pytest.mark.parametrize("name", ["redirect_uris", "post_logout_redirect_uris"])
def test_script_uris_are_refused_as_redirect_uris(app, name, method, script):
    with app.app_context(), pytest.raises(metadata.InvalidMetadata):
        manifest.parse_manifest(a_manifest(token_endpoint_auth_method=method, **{name: [script]}))
