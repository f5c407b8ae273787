"""Clients that sign: assertions, request objects and DPoP proofs, valid by default."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from flask.testing import FlaskClient
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from werkzeug.test import TestResponse

from idp.foundation import clock
from tests.oidc.support import ISSUER, Partner

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALL_ALGORITHMS = jws.JWSRegistry(algorithms=["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256", "ES384"])


def key(alg: str, number: int = 1) -> Any:
    """A key pair for `alg`, the same each time; `Ed25519` and `EdDSA` are two names of one algorithm (RFC 9864)."""
    return _made({"RS256": "rsa", "PS256": "rsa", "EdDSA": "ed", "Ed25519": "ed"}.get(alg, "ec"), number)


@cache
def _made(kind: str, number: int) -> Any:
    named = {"kid": f"{kind}-{number}"}
    if kind == "rsa":
        return RSAKey.generate_key(2048, named)
    return OKPKey.generate_key("Ed25519", named) if kind == "ed" else ECKey.generate_key("P-256", named)


def jwks(*keys: Any) -> dict[str, Any]:
    """The JWK Set of their public keys."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def sign_jws(claims: dict[str, Any], with_key: Any, alg: str, **header: Any) -> str:
    """A compact JWS; members of `claims` or `header` that are None are left out."""
    head = {"alg": alg, "kid": with_key.as_dict(private=False).get("kid"), **header}
    body = {name: value for name, value in claims.items() if value is not None}
    head = {name: value for name, value in head.items() if value is not None}
    text = (
        f"{b64(json.dumps(head).encode())}.{b64(json.dumps(body).encode())}"  # without joserfc, which would refuse some
    )
    return f"{text}.{b64(ALL_ALGORITHMS.get_alg(alg).sign(text.encode(), with_key))}"


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Signer(Partner):
    """A client that authenticates by `private_key_jwt`, and can prove a DPoP key."""

    alg: str = "ES256"
    dpop_key: Any = None
    proofs: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Any:
        return key(self.alg)

    def assertion(self, **overrides: Any) -> str:
        """A valid assertion."""
        now = int(clock.now().timestamp())
        header, with_key = overrides.pop("header", {}), overrides.pop("key", self.key)
        alg = overrides.pop("alg", self.alg)
        defaults = {
            "iss": self.id, "sub": self.id, "aud": ISSUER, "jti": secrets.token_urlsafe(16), "iat": now,
            "exp": now + 60,
        }  # fmt: skip
        return sign_jws(defaults | overrides, with_key, alg, **header)

    def post(
        self, web: FlaskClient, path: str, form: dict[str, str | None], assertion: str | None = None
    ) -> TestResponse:
        """Send a form on the back channel as this client, with a DPoP proof if it has a key."""
        data = {"client_assertion_type": ASSERTION, "client_assertion": assertion or self.assertion(), **form}
        sent = {name: value for name, value in data.items() if value is not None}
        headers = {"DPoP": self.proof("POST", path, **self.proofs)} if self.dpop_key else {}
        return web.post(path, data=sent, headers=headers)

    def proof(self, method: str, path: str, token: str | None = None, **overrides: Any) -> str:
        """A valid DPoP proof."""
        with_key, header = overrides.pop("key", self.dpop_key), overrides.pop("header", {})
        alg = overrides.pop("alg", "ES256")
        defaults = {
            "jti": secrets.token_urlsafe(16), "htm": method, "htu": ISSUER + path,
            "iat": int(clock.now().timestamp()),
            "ath": ath(token) if token else None,
        }  # fmt: skip
        head = {"typ": "dpop+jwt", "jwk": without_kid(with_key), "kid": None} | header
        return sign_jws(defaults | overrides, with_key, alg, **head)

    def request_userinfo(self, web: FlaskClient, token: str, scheme: str = "DPoP", **overrides: Any) -> TestResponse:
        """Call userinfo with a DPoP proof."""
        headers = {
            "Authorization": f"{scheme} {token}",
            "DPoP": self.proof("GET", "/oauth/userinfo", token, **overrides),
        }
        return web.get("/oauth/userinfo", headers=headers)


def without_kid(with_key: Any) -> dict[str, Any]:
    """The public key without its `kid`."""
    return {name: value for name, value in with_key.as_dict(private=False).items() if name != "kid"}


def ath(token: str) -> str:
    """The hash of an access token (RFC 9449 §4.2)."""
    return b64(hashlib.sha256(token.encode()).digest())


def thumbprint(of: Any) -> str:
    """RFC 7638."""
    return str(of.thumbprint())
