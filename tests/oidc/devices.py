"""A device with a client's credentials, and a person who types its code."""

from dataclasses import dataclass, field
from typing import Any

from tests.oidc.support import Partner, follow_redirects, page, press, sign_in

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS = frozenset({GRANT, "refresh_token"})


@dataclass
class Device:
    """A device: it requests codes, and polls for tokens."""

    web: Any
    partner: Partner
    scope: str = "openid offline_access school students"
    codes: dict[str, Any] = field(default_factory=dict)

    def request_codes(self, **overrides: Any) -> Any:
        """Request codes at the device authorization endpoint."""
        response = self.partner.post(self.web, "/oauth/device_authorization", {"scope": self.scope, **overrides})
        self.codes = dict(response.json) if response.status_code == 200 else {}
        return response

    def poll(self, **overrides: Any) -> Any:
        """Poll the token endpoint."""
        parameters = {"grant_type": GRANT, "device_code": self.codes["device_code"], **overrides}
        return self.partner.post(self.web, "/oauth/token", parameters)

    @property
    def link(self) -> str:
        """The local path of the URL with the code in it."""
        return "/device?user_code=" + self.codes["user_code"]


def enter(web: Any, code: str, username: str = "") -> Any:
    """Type a code on the page, after signing in if that is necessary."""
    response = follow_redirects(web, web.get("/device"))
    if page(response).find(id="sign-in"):
        response = follow_redirects(web, sign_in(web, response, username))
    return follow_redirects(web, press(web, response, "continue", user_code=code))


def decide(web: Any, response: Any, button: str = "allow", **fields: Any) -> Any:
    """Press a button on the page that asks for a decision."""
    fields = {"authority": "y", **fields} if page(response).find(id="authority") else fields
    return follow_redirects(web, press(web, response, button, **fields))
