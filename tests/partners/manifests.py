"""A valid manifest, which tests change, and the documented example for a client with a secret."""

from typing import Any

from idp.foundation.setting_types import ROOT


def a_manifest(**overrides: Any) -> dict[str, Any]:
    """A confidential web application; a value of None leaves its name out."""
    manifest: dict[str, Any] = {
        "partner": "Assembly", "client_name": "Assembly", "client_uri": "https://assembly.example",
        "redirect_uris": ["https://assembly.example/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "purpose": "To show staff attendance and results together.",
        "policy_uri": "https://assembly.example/privacy", "agreement_uri": "https://assembly.example/agreement",
        "agreement_version": "2026-01",
        "scopes": {"required": ["openid", "email", "offline_access", "students"], "optional": ["attendance"]},
    }  # fmt: skip
    return {name: value for name, value in (manifest | overrides).items() if value is not None}


def example_with_secret() -> str:
    """The example manifest, of a client that authenticates by a secret."""
    text = (ROOT / "clients" / "assembly" / "client.toml").read_text("utf-8")
    text = text.replace('profile = "fapi2"', 'profile = "oidc"')
    text = text.replace('"private_key_jwt"', '"client_secret_basic"')
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("jwks_uri"))
