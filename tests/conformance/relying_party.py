"""A relying party as the suite has one: it sends authorization requests, redeems, refreshes, and checks the common
conditions each time.
"""

import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

import requests
from joserfc.jwk import KeySet

from tests.conformance import conditions
from tests.conformance.browser import Browser, PartnerRequest, session_trusting
from tests.conformance.suite.prepare import Credentials


class Provider:
    """The public side of the provider under test: its issuer, its discovery document and its keys."""

    def __init__(self, issuer: str, trust: str) -> None:
        self.issuer, self.http = issuer, session_trusting(trust)
        self.metadata = self.get("/.well-known/openid-configuration").json()
        conditions.metadata(self.metadata, issuer)
        keys = self.http.get(self.metadata["jwks_uri"], timeout=20).json()
        conditions.keys(keys)
        self.keys = KeySet.import_key_set(keys)

    def get(self, path: str) -> requests.Response:
        return self.http.get(self.issuer + path, timeout=20)

    def post(self, endpoint: str, form: dict[str, Any], headers: dict[str, str] | None = None) -> requests.Response:
        """Send a form to one of the endpoints that discovery names."""
        url = self.metadata[f"{endpoint}_endpoint"]
        return self.http.post(url, data=form, headers=headers, allow_redirects=False, timeout=20)


@dataclass(frozen=True)
class SignedIn:
    """The result of a whole flow."""

    code: str
    tokens: dict[str, Any]
    claims: dict[str, Any]
    userinfo: dict[str, Any]

    @property
    def access_token(self) -> str:
        return str(self.tokens["access_token"])

    @property
    def id_token(self) -> str:
        return str(self.tokens["id_token"])


@dataclass
class RelyingParty:
    """One client of the suite. `common_parameters` has parameters of each authorization request, `last_request` those
    of the last one. `metadata` is the registration response of a client that registered itself.
    """

    provider: Provider
    credentials: Credentials
    redirect_uri: str
    method: str = "client_secret_basic"
    alg: str = "RS256"
    token_type: str = "Bearer"
    common_parameters: dict[str, str] = field(default_factory=dict)
    last_request: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.credentials.client_id

    def request(self, **overrides: str | None) -> dict[str, str]:
        """The parameters of a valid authorization request with these changes; None leaves one out. Stored as
        `last_request`.
        """
        defaults = {
            "client_id": self.id, "redirect_uri": self.redirect_uri, "scope": "openid",
            "state": secrets.token_urlsafe(8), "nonce": secrets.token_urlsafe(8), "response_type": "code",
            **self.common_parameters,
        }  # fmt: skip
        self.last_request = {name: value for name, value in {**defaults, **overrides}.items() if value is not None}
        return self.last_request

    def authorization_url(self, **overrides: str | None) -> str:
        """The URL that the client sends the browser to."""
        return f"{self.provider.metadata['authorization_endpoint']}?{urlencode(self.request(**overrides))}"

    # Responses through the browser

    def authorization_response(self, partner_request: PartnerRequest | None) -> dict[str, str]:
        """The parameters of an authorization response, which came in the requested mode to the requested URL."""
        assert partner_request is not None, "the browser did not reach the partner"
        mode, _, signed = self.last_request.get("response_mode", "query").partition(".")
        is_form, is_signed = mode == "form_post", "jwt" in {mode, signed}
        assert partner_request.method == ("POST" if is_form else "GET")
        base, _, registered = self.redirect_uri.partition("?")
        assert partner_request.url == base
        pairs = partner_request.form if is_form else partner_request.query
        if is_form:
            assert urlencode(partner_request.query) == registered
        parameters = dict(pairs)
        assert len(parameters) == len(pairs), "a parameter came twice"
        for pair in registered.split("&") if registered and not is_form else ():
            name, _, value = pair.partition("=")
            assert parameters.pop(name) == value
        if is_signed:
            parameters = self._verified_response(parameters)
        assert parameters.get("state") == self.last_request.get("state")
        assert parameters["iss"] == self.provider.issuer
        return parameters

    def _verified_response(self, parameters: dict[str, str]) -> dict[str, str]:
        """The claims of a signed response, which has no other parameter."""
        assert set(parameters) == {"response"}
        return conditions.signed_response(
            parameters["response"], self.provider.keys, algs={self.alg}, issuer=self.provider.issuer, client_id=self.id
        )

    def get_code(self, partner_request: PartnerRequest | None) -> str:
        parameters = self.authorization_response(partner_request)
        assert set(parameters) == {"code", "iss"} | ({"state"} & set(self.last_request)), parameters
        conditions.random(parameters["code"])
        return parameters["code"]

    def assert_refused(self, partner_request: PartnerRequest | None, error: str) -> None:
        conditions.error(self.authorization_response(partner_request), error)

    # The back channel

    def authenticated(self, form: dict[str, Any], endpoint: str = "token") -> tuple[dict[str, Any], dict[str, str]]:
        """The form and the headers by which this client authenticates."""
        offered = f"{endpoint}_endpoint_auth_methods_supported"
        assert self.method in self.provider.metadata.get(offered, [self.method])
        secret = str(self.credentials.secret)
        if self.method == "client_secret_post":
            return {**form, "client_id": self.id, "client_secret": secret}, {}
        both = f"{quote_plus(self.id)}:{quote_plus(secret)}"
        return form, {"Authorization": "Basic " + b64encode(both.encode()).decode()}

    def post(self, endpoint: str, form: dict[str, Any]) -> requests.Response:
        """Send a form as this client to an endpoint that discovery names."""
        sent = {name: value for name, value in form.items() if value is not None}
        return self.provider.post(endpoint, *self.authenticated(sent, endpoint))

    def redeem(self, code: str, **overrides: str | None) -> requests.Response:
        """Redeem a code at the token endpoint."""
        defaults = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        return self.post("token", {**defaults, **overrides})

    def refresh(self, token: str, **overrides: str | None) -> requests.Response:
        """Use a refresh token at the token endpoint."""
        return self.post("token", {"grant_type": "refresh_token", "refresh_token": token, **overrides})

    def call_resource(self, access_token: str, sent_with: str = "header") -> requests.Response:
        """Call userinfo, by GET or POST, with the token in the header or in the body."""
        url, bearer = self.provider.metadata["userinfo_endpoint"], {"Authorization": f"Bearer {access_token}"}
        if sent_with == "body":
            return self.provider.post("userinfo", {"access_token": access_token})
        method = "POST" if sent_with == "post" else "GET"
        return self.provider.http.request(method, url, headers=bearer, timeout=20)

    def id_token_claims(self, tokens: dict[str, Any]) -> dict[str, Any]:
        """The claims of the ID Token that came with these tokens."""
        issuer = self.provider.issuer
        parameters = conditions.id_token(
            tokens["id_token"], self.provider.keys, alg=self.alg, issuer=issuer, client_id=self.id
        )
        conditions.at_hash(parameters, tokens["access_token"])
        assert isinstance(parameters["auth_time"], int)
        assert parameters["acr"] in self.provider.metadata["acr_values_supported"]
        return parameters

    def userinfo_claims(self, access_token: str, sent_with: str = "header") -> dict[str, Any]:
        """The claims of userinfo."""
        response = self.call_resource(access_token, sent_with)
        assert response.status_code == 200, response.text
        conditions.is_json(response)
        parameters: dict[str, Any] = response.json()
        assert isinstance(parameters["sub"], str)
        return parameters

    # Whole flows

    def complete_sign_in(self, partner_request: PartnerRequest | None, **overrides: Any) -> SignedIn:
        """A flow from the authorization response on, to the person's claims; without `openid` there are none."""
        code = self.get_code(partner_request)
        tokens = conditions.tokens(self.redeem(code, **overrides), self.token_type)
        is_openid = "openid" in self.last_request["scope"].split()
        assert ("id_token" in tokens) == is_openid
        if not is_openid:
            return SignedIn(code, tokens, {}, {})
        claims = self.id_token_claims(tokens)
        assert claims.get("nonce") == self.last_request.get("nonce")
        userinfo = self.userinfo_claims(tokens["access_token"])
        assert userinfo["sub"] == claims["sub"]
        return SignedIn(code, tokens, claims, userinfo)

    def sign_in(self, browser: Browser, **overrides: str | None) -> SignedIn:
        """A whole flow, in which the browser does what the pages ask."""
        return self.complete_sign_in(browser.visit(self.authorization_url(**overrides)))
