"""A fake OpenID provider on this machine, whose responses are correct unless a test changes them."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from flask import Flask, Response, jsonify, request

from idp.foundation import clock
from idp.foundation.provider_settings import Provider as ProviderSettings
from tests.oidc.signing import jwks, key, sign_jws
from tests.ports import free_port
from tests.serving import serving

CLIENT_ID, CLIENT_SECRET = "us", "a-secret+of/ours:50%é"
TENANT = "11111111-2222-3333-4444-555555555555"
OTHER_TENANT = "99999999-8888-7777-6666-555555555555"


@dataclass
class FakeProvider:
    """A fake of Microsoft or Google. `overrides` changes claims of the ID token; None leaves one out."""

    url: str
    has_tenants: bool = True
    alg: str = "RS256"
    signing_key: Any = field(default_factory=lambda: key("RS256"))
    published_keys: list[Any] = field(default_factory=lambda: [key("RS256")])
    header: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    """Members that replace those of its metadata."""
    error_responses: dict[str, Response] = field(default_factory=dict)
    """Responses in place of correct ones, by path."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """Paths of the requests received."""

    @property
    def issuer(self) -> str:
        """The issuer in its metadata."""
        return f"{self.url}/{{tenantid}}/v2.0" if self.has_tenants else self.url

    @property
    def settings(self) -> ProviderSettings:
        return ProviderSettings(
            enabled=True, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, authority=self.url, issuer=self.issuer
        )

    def authorize(self, location: str) -> dict[str, str]:
        """The parameters of a correct response to the authorization request at `location`."""
        parameters = dict(parse_qsl(urlsplit(location).query))
        code = f"code-{len(self.codes)}"
        self.codes[code] = parameters
        return {"code": code, "state": parameters["state"]}

    def claims(self, parameters: dict[str, str]) -> dict[str, Any]:
        now = clock.timestamp()
        issuer = self.issuer.replace("{tenantid}", TENANT)
        tenant = {"tid": TENANT} if self.has_tenants else {"hd": "oakhill.example"}
        claims = {
            "iss": issuer,
            "sub": "sub-of-jo",
            "aud": "us",
            "iat": now,
            "exp": now + 600,
            "nonce": parameters["nonce"],
        }
        return claims | tenant | {"email": "jo@oakhill.example"} | self.overrides

    def token(self) -> dict[str, Any]:
        """The response to a code, if the client, its verifier and its redirect URI are right."""
        parameters = self.codes.pop(request.form["code"])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(request.form["code_verifier"].encode()).digest())
        assert parameters["code_challenge_method"] == "S256"
        assert challenge.rstrip(b"=").decode() == parameters["code_challenge"]
        assert request.form["redirect_uri"] == parameters["redirect_uri"]
        assert request.authorization is not None
        # RFC 6749 §2.3.1: id and secret are form-encoded before they are joined, so that they may have any character.
        username, password = request.authorization.username, request.authorization.password
        assert (unquote_plus(username or ""), unquote_plus(password or "")) == (CLIENT_ID, CLIENT_SECRET)
        id_token = sign_jws(self.claims(parameters), self.signing_key, self.alg, **self.header)
        return {"access_token": "x", "token_type": "Bearer", "expires_in": 3600, "id_token": id_token}


@contextmanager
def fake_provider(*, has_tenants: bool = True) -> Iterator[FakeProvider]:
    """Serve a fake provider until the block ends."""
    port, app = free_port(), Flask("fake_provider")
    provider = FakeProvider(f"http://localhost:{port}", has_tenants)

    @app.before_request
    def record_request() -> Response | None:
        provider.requests.append(request.path)
        return provider.error_responses.get(request.path)

    @app.get("/.well-known/openid-configuration")
    def metadata() -> Response:
        url = provider.url
        valid = {
            "issuer": provider.issuer, "authorization_endpoint": f"{url}/authorize", "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/keys",
        }  # fmt: skip
        return jsonify(valid | provider.metadata)

    @app.get("/keys")
    def keys() -> Response:
        return jsonify(jwks(*provider.published_keys))

    @app.post("/token")
    def token() -> Response:
        return jsonify(provider.token())

    with serving(app, port):
        yield provider


def callback(name: str, response: dict[str, str]) -> str:
    """The local path of a response."""
    return f"/sign-in/with/{name}/return?{urlencode(response)}"
