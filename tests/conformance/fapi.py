"""A client of the FAPI 2.0 Security Profile: it pushes its requests, signs assertions, and proves its key by DPoP."""

import base64
import hashlib
import json
import secrets
import ssl
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from idp.foundation import clock
from tests.conformance import conditions
from tests.conformance.relying_party import RelyingParty, SignedIn

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEFAULT: Any = object()
"""Stands for the default assertion or proof; "" leaves it out."""

Key = RSAKey | ECKey


def signed(key: Key, alg: str, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A signed JWT of the members that are not None."""
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": alg, **header}, present, key, algorithms=[alg])


def sha256_base64url(text: str) -> str:
    """The SHA-256 in base64url, as in a code challenge or an `ath`."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@dataclass
class FapiClient(RelyingParty):
    """`signer` is the private key of its registration; its tokens are bound to `key`."""

    signer: Key = DEFAULT
    key: Key = field(default_factory=lambda: ECKey.generate_key("P-256"))
    scope: str = "openid"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    token_type: str = "DPoP"
    alg: str = "ES256"
    resource: str | None = None
    signs_requests: bool = False

    @property
    def resource_url(self) -> str:
        """The resource that it calls with its tokens: userinfo by default."""
        return self.resource or str(self.provider.metadata["userinfo_endpoint"])

    def request(self, **overrides: str | None) -> dict[str, str]:
        """The parameters of a valid request to push; without `openid` it has no nonce."""
        defaults = {
            "scope": self.scope,
            "code_challenge": sha256_base64url(self.verifier),
            "code_challenge_method": "S256",
        }
        if "openid" not in self.scope.split():
            defaults["nonce"] = None  # type: ignore[assignment]
        return super().request(**{**defaults, **overrides})

    # Assertions and proofs

    def assertion(self, *, alg: str | None = None, key: Key | None = None, **overrides: Any) -> str:
        """A valid client assertion (RFC 7523 §3) with these changes; None leaves a claim out."""
        now = clock.timestamp()
        defaults = {
            "iss": self.id, "sub": self.id, "aud": self.provider.issuer, "jti": secrets.token_urlsafe(16),
            "iat": now, "nbf": now, "exp": now + 60,
        }  # fmt: skip
        key = key or self.signer
        public_key = key.as_dict(private=False)
        return signed(key, alg or public_key["alg"], {"kid": public_key["kid"]}, {**defaults, **overrides})

    def proof(
        self, method: str, url: str, *, token: str | None = None, key: Key | None = None, alg: str | None = None,
        header: dict[str, Any] | None = None, **overrides: Any,
    ) -> str:  # fmt: skip
        """A valid DPoP proof (RFC 9449 §4.2) with these changes; None leaves a claim or a header member out."""
        key = key or self.key
        alg = alg or ("ES256" if isinstance(key, ECKey) else "PS256")
        defaults = {
            "jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": clock.timestamp(),
            "ath": sha256_base64url(token) if token else None,
        }  # fmt: skip
        header_members = {"typ": "dpop+jwt", "jwk": key.as_dict(private=False), **(header or {})}
        present = {name: value for name, value in header_members.items() if value is not None}
        return signed(key, alg, present, {**defaults, **overrides})

    @property
    def jkt(self) -> str:
        """The thumbprint of its key."""
        return self.key.thumbprint()

    # The back channel

    def post(
        self,
        endpoint: str,
        form: dict[str, Any],
        *,
        assertion: str = DEFAULT,
        proof: str = DEFAULT,
        accept: str = "*/*",
    ) -> requests.Response:
        """Send a form as this client, with a new proof to the token endpoint; `proof` replaces it, "" leaves it out."""
        url = self.provider.metadata[f"{endpoint}_endpoint"]
        if proof is DEFAULT:
            proof = self.proof("POST", url) if endpoint == "token" else ""
        if assertion is DEFAULT:
            assertion = self.assertion()
        proven = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion} if assertion else {}
        sent = {"client_id": self.id, **proven, **form}
        headers = {"Accept": accept, **({"DPoP": proof} if proof else {})}
        return self.provider.post(endpoint, {name: value for name, value in sent.items() if value is not None}, headers)

    def redeem(self, code: str, **overrides: Any) -> requests.Response:
        defaults = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }  # fmt: skip
        client_options = {name: overrides.pop(name) for name in ("assertion", "proof") if name in overrides}
        return self.post("token", {**defaults, **overrides}, **client_options)

    def refresh(self, token: str, **overrides: Any) -> requests.Response:
        client_options = {name: overrides.pop(name) for name in ("assertion", "proof") if name in overrides}
        return self.post(
            "token", {"grant_type": "refresh_token", "refresh_token": token, **overrides}, **client_options
        )

    # Pushing

    def push(self, *, assertion: str = DEFAULT, proof: str = DEFAULT, **overrides: str | None) -> requests.Response:
        """Send a request to the PAR endpoint (RFC 9126 §2.1); parameters beside a request object are sent outside of
        it.
        """
        form = self.request(**overrides)
        if self.signs_requests:
            outside_parameters = {"request_uri": form.pop("request_uri")} if "request_uri" in form else {}
            form = outside_parameters | {"request": self.request_object(form)}
        return self.post("pushed_authorization_request", form, assertion=assertion, proof=proof)

    def push_request_object(self, text: str) -> requests.Response:
        """Push a request object unchanged."""
        return self.post("pushed_authorization_request", {"request": text})

    def request_object(
        self,
        sent: dict[str, str] | None = None,
        *,
        key: Key | None = None,
        alg: str | None = None,
        **overrides: Any,
    ) -> str:
        """A valid request in a JWT (RFC 9101 §4) with these changes; None leaves a claim out."""
        now, key = clock.timestamp(), key or self.signer
        parameters: dict[str, Any] = dict(self.request() if sent is None else sent)
        if "claims" in parameters:
            parameters["claims"] = json.loads(parameters["claims"])
        defaults = {"iss": self.id, "aud": self.provider.issuer, "iat": now, "nbf": now, "exp": now + 300}
        public_key = key.as_dict(private=False)
        header = {"typ": "oauth-authz-req+jwt", "kid": public_key["kid"]}
        return signed(key, alg or public_key["alg"], header, {**parameters, **defaults, **overrides})

    def pushed_request_uri(self, **overrides: Any) -> str:
        """The `request_uri` of a request that was accepted."""
        response = self.push(**overrides)
        assert response.status_code == 201, response.text
        conditions.is_json(response)
        assert response.headers["Cache-Control"] == "no-store"
        pushed = response.json()
        assert 5 <= pushed["expires_in"] <= 600
        conditions.random(pushed["request_uri"].rpartition(":")[2])
        return str(pushed["request_uri"])

    def link(self, request_uri: str, **options: str) -> str:
        """The URL that the browser is sent to: the client and the pushed request, and these parameters besides."""
        sent = {"client_id": self.id, "request_uri": request_uri, **options}
        return f"{self.provider.metadata['authorization_endpoint']}?{urlencode(sent)}"

    def authorization_url(self, **overrides: Any) -> str:
        return self.link(self.pushed_request_uri(**overrides))

    # The resource

    def call_resource(
        self,
        access_token: str,
        sent_with: str = "header",
        *,
        scheme: str = "DPoP",
        proof: Any = DEFAULT,
        **headers: str,
    ):
        """The resource by GET, with the token in the header; `proof` may be several."""
        url = self.resource_url
        if proof is DEFAULT:
            proof = self.proof("GET", url, token=access_token)
        sent = {"Authorization": f"{scheme} {access_token}", **({"DPoP": proof} if proof else {}), **headers}
        return self.provider.http.get(url, headers=sent, timeout=20)

    def call_resource_with_proofs(self, access_token: str, *proofs: str) -> int:
        """The status of such a request with several DPoP headers, which the library `requests` cannot send."""
        url, session = urlsplit(self.resource_url), self.provider.http
        context = ssl.create_default_context(cafile=str(session.verify))
        with closing(HTTPSConnection(url.netloc, context=context, timeout=20)) as connection:
            connection.putrequest("GET", url.path)
            connection.putheader("Authorization", f"DPoP {access_token}")
            for proof in proofs:
                connection.putheader("DPoP", proof)
            connection.endheaders()
            return connection.getresponse().status

    def was_accepted(self, response: requests.Response) -> bool:
        """Whether token and proof were accepted."""
        assert response.status_code in {200, 400, 401}, response.text
        return response.status_code == 200

    def is_token_accepted(self, access_token: str, **options: Any) -> bool:
        return self.was_accepted(self.call_resource(access_token, **options))

    def complete_sign_in(self, partner_request: Any, **overrides: Any) -> SignedIn:
        signed_in = super().complete_sign_in(partner_request, **overrides)
        assert self.is_token_accepted(signed_in.access_token)
        return signed_in
