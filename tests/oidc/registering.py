"""A partner with an initial access token, registering clients over HTTP."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from idp.partners import initial_tokens
from tests import factories

SCOPES = {"required": {"openid", "profile", "email", "phone", "offline_access"}}
METADATA = {
    "client_name": "Oakhill Reports",
    "redirect_uris": ["https://reports.example/callback"],
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "client_secret_basic",
    "contacts": ["developers@reports.example"],
}


@dataclass
class Registrar:
    """A program that holds an initial access token."""

    web: Any
    token: str

    def register(self, **overrides: Any) -> Any:
        """Register valid metadata with these changes; None leaves a member out."""
        return self.web.post("/oauth/register", json=metadata(**overrides), headers=bearer_header(self.token))

    def registered(self, **overrides: Any) -> dict[str, Any]:
        """The response of a successful registration."""
        response = self.register(**overrides)
        assert response.status_code == 201, response.text
        return response.json

    def manage(self, registration: dict[str, Any], method: str = "GET", **kwargs: Any) -> Any:
        """Send a request with the registration's own token."""
        headers = bearer_header(registration["registration_access_token"])
        return self.web.open(path_of(registration), method=method, headers=headers, **kwargs)


def metadata(**overrides: Any) -> dict[str, Any]:
    """Valid metadata with these changes."""
    return {name: value for name, value in (METADATA | overrides).items() if value is not None}


def bearer_header(token: str) -> dict[str, str]:
    """An Authorization header."""
    return {"Authorization": f"Bearer {token}"}


def path_of(registration: dict[str, Any]) -> str:
    """The local path of a registration."""
    return "/oauth/register/" + registration["client_id"]


def an_initial_token(partner: Any = None, **limits: Any) -> str:
    """A token that an operator issued; call it in a transaction."""
    partner = partner or factories.a_partner()
    lasts = limits.pop("lasts", timedelta(days=7))
    options = {"most": 100, "require_pkce": False, "scopes": SCOPES} | limits
    return initial_tokens.issue(partner.name, options, lasts=lasts, by="cli")[1]
