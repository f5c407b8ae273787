"""A partner and a browser, for tests of the protocol."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories import PASSWORD, secret_of
from tests.html import parse
from tests.signin.apps import App

CALLBACK = "https://assembly.example/callback"
ISSUER = "http://localhost:5000"


@dataclass
class Partner:
    """A client's side of the protocol."""

    id: str
    secret: str | None = None
    scope: str = "openid profile email organisation offline_access school students"
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def __post_init__(self) -> None:
        self.secret = self.secret or secret_of(self.id)

    def parameters(self, **overrides: str | None) -> dict[str, str]:
        """The parameters of a valid authorization request with these changes; None leaves one out."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        defaults = {
            "response_type": "code", "client_id": self.id, "redirect_uri": self.redirect_uri, "scope": self.scope,
            "state": "a-state", "nonce": "a-nonce", "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        return {name: value for name, value in {**defaults, **overrides}.items() if value is not None}

    def link(self, **overrides: str | None) -> str:
        """The URL to which it sends the browser."""
        return "/oauth/authorize?" + urlencode(self.parameters(**overrides))

    @property
    def basic(self) -> dict[str, str]:
        """Its Authorization header."""
        return {"Authorization": "Basic " + base64.b64encode(f"{self.id}:{self.secret}".encode()).decode()}

    def redeem(self, web: FlaskClient, code: str, **overrides: str | None) -> TestResponse:
        """Redeem a code at the token endpoint."""
        defaults = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }  # fmt: skip
        return self.post(web, "/oauth/token", {**defaults, **overrides})

    def refresh(self, web: FlaskClient, token: str, **options: str | None) -> TestResponse:
        """Use a refresh token at the token endpoint."""
        return self.post(web, "/oauth/token", {"grant_type": "refresh_token", "refresh_token": token, **options})

    def post(self, web: FlaskClient, path: str, form: dict[str, str | None]) -> TestResponse:
        """Send a form on the back channel as this client."""
        data = {name: value for name, value in form.items() if value is not None}
        if self.secret == "none":
            return web.post(path, data={"client_id": self.id, **data})
        return web.post(path, data=data, headers=self.basic)


def page(response: TestResponse) -> Any:
    """The page that a browser shows."""
    return parse(response.text)


def press(web: FlaskClient, response: TestResponse, button: str, **fields: str | list[str] | None) -> TestResponse:
    """Fill in the form of a page and press one of its buttons; None unticks."""
    soup: Any = page(response)
    pressed = soup.find(id=button)
    assert pressed is not None, soup.get_text(" ", strip=True)
    form = pressed.find_parent("form")
    assert form is not None
    data: dict[str, Any] = {}
    for element in form.find_all("input"):
        if element.get("type") in {"checkbox", "radio"} and not element.has_attr("checked"):
            continue
        data.setdefault(element["name"], []).append(element.get("value", ""))
    data |= {name: value for name, value in fields.items() if value is not None}
    for name in [name for name, value in fields.items() if value is None]:
        data.pop(name, None)
    if pressed.get("name"):
        data[pressed["name"]] = pressed.get("value", "")
    return web.post(form.get("action") or address(response), data=data)


def address(response: TestResponse) -> str:
    """The path of the request of a response, with its query unchanged."""
    return response.request.full_path.rstrip("?")


def follow_redirects(web: FlaskClient, response: TestResponse) -> TestResponse:
    """Follow redirects while they stay on our host."""
    while response.status_code in {301, 302, 303} and is_local(response.location):
        response = web.get(response.location)
    return response


def is_local(location: str) -> bool:
    """Whether a redirect leads to our own host."""
    return location.startswith(("/", ISSUER))


def sign_in(web: FlaskClient, response: TestResponse, username: str, password: str = PASSWORD) -> TestResponse:
    """On the sign-in page."""
    return press(web, response, "sign-in", username=username, password=password)


def redirect_parameters(response: TestResponse) -> dict[str, str]:
    """The parameters that the partner received at its redirect URI."""
    assert response.status_code == 303, (response.status_code, page(response).get_text(" ", strip=True))
    assert not is_local(response.location), response.location
    pairs = parse_qsl(urlsplit(response.location).query, keep_blank_values=True)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def query_of(location: str) -> dict[str, str]:
    """The query of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def authorisation_page(web: FlaskClient, partner: Partner, username: str, **overrides: str | None) -> TestResponse:
    """The page that a partner's link leads to, after signing in if that is necessary."""
    response = follow_redirects(web, web.get(partner.link(**overrides)))
    if page(response).find(id="sign-in"):
        response = follow_redirects(web, sign_in(web, response, username))
    return response


def set_up_app(web: FlaskClient, response: TestResponse) -> TestResponse:
    """Set up an authenticator app from the page that offers both kinds of second step; returns the page after it."""
    response = web.get(page(response).find(id="set-up-app")["href"])
    app = App(page(response).find(id="seed").text.replace(" ", ""))
    response = follow_redirects(web, press(web, response, "finish", code=app.code()))
    return follow_redirects(web, web.get(page(response).find(id="not-now")["href"]))


def jwt_header(token: str) -> dict[str, Any]:
    """The header of a JWT."""
    header = token.partition(".")[0]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return claims


def sign_in_and_authorise(
    web: FlaskClient, partner: Partner, username: str, *areas: str, **overrides: str | None
) -> dict[str, str]:
    """The whole flow, with sign-in and authorisation if necessary; returns the parameters that the partner received."""
    response = authorisation_page(web, partner, username, **overrides)
    if page(response).find(id="allow"):
        response = press(web, response, "allow", authority="y", **({"area": list(areas)} if areas else {}))
        response = follow_redirects(web, response)
    return redirect_parameters(response)


def obtain_tokens(
    web: FlaskClient, partner: Partner, username: str, *areas: str, **overrides: str | None
) -> dict[str, Any]:
    """The whole flow, and then the code redeemed; returns the token response."""
    code = sign_in_and_authorise(web, partner, username, *areas, **overrides)["code"]
    response = partner.redeem(web, code)
    assert response.status_code == 200, response.text
    return dict(response.get_json())
