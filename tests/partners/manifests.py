"""A manifest for tests to spoil."""

from typing import Any


def a_manifest(**differs: Any) -> dict[str, Any]:
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
    return {name: value for name, value in (manifest | differs).items() if value is not None}
