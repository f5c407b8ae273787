"""XporterOnDemand beside a provider that answers as a test tells it to."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import requests
from joserfc.jwk import ECKey

from tests.oidc.signing import ath, bare, signed

ISSUER, RESOURCE = "https://idp.example", "https://api.example"
ESTAB = "2135000"
KEY = ECKey.generate_key("P-256")
"""What tokens are bound to."""
SIGNER = ECKey.generate_key("P-256", {"kid": "one"})


@dataclass
class Provider:
    """In the place of `requests.Session`: metadata, keys, introspection, tokens, and what it was asked."""

    introspection: dict[str, Any] | None = field(default_factory=dict)
    """Put over what introspection says of each token; None: the provider cannot be reached."""
    keys: list[ECKey] = field(default_factory=lambda: [SIGNER])
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    documents: dict[str, Any] = field(default_factory=dict)
    """Other documents, by path."""

    def request(self, method, url, **how):
        path = url.removeprefix(ISSUER)
        self.asked.append((path, how.get("data") or how.get("json") or {}))
        if self.introspection is None:
            raise requests.ConnectionError
        if path == "/.well-known/oauth-authorization-server":
            return _answer({
                "issuer": ISSUER, "introspection_endpoint": f"{ISSUER}/introspect", "jwks_uri": f"{ISSUER}/jwks",
                "token_endpoint": f"{ISSUER}/token",
            })  # fmt: skip
        if path == "/jwks":
            return _answer({"keys": [key.as_dict(private=False) | {"use": "sig"} for key in self.keys]})
        if path == "/introspect":
            sound = {"active": True, "scope": "endpoint", "estab_id": ESTAB, "estab_status": "verified"}
            return _answer(sound | self.introspection)
        if path == "/token":
            return _answer({"access_token": "our-own", "expires_in": 300})
        return _answer(self.documents.get(path), 404 if path not in self.documents else 200)

    def times(self, path):
        return sum(one == path for one, _ in self.asked)


def _answer(body, status=200):
    answer = requests.Response()
    answer.status_code, answer._content = status, json.dumps(body).encode()
    return answer


def token(signer=SIGNER, typ="at+jwt", alg="ES256", **differs):
    """An access token of the provider's, bound to `KEY`."""
    claims = {
        "iss": ISSUER, "aud": [ISSUER, RESOURCE], "sub": "adm_1", "client_id": "xporter-endpoint", "jti": "1",
        "iat": int(time.time()), "exp": int(time.time()) + 300, "cnf": {"jkt": KEY.thumbprint()},
    }  # fmt: skip
    return signed(claims | differs, signer, alg, typ=typ)


def proof(of, method="GET", path="/access", key=KEY, alg="ES256", **differs):
    claims = {
        "jti": str(time.monotonic_ns()), "htm": method, "htu": RESOURCE + path, "iat": int(time.time()), "ath": ath(of),
    }  # fmt: skip
    return signed(claims | differs, key, alg, typ="dpop+jwt", jwk=bare(key), kid=None)


def call(api, method="GET", path="/access", *, of=None, headers=None, **how):
    """A request with a sound token and proof."""
    of = of or token()
    sent = {"Authorization": f"DPoP {of}", "DPoP": proof(of, method, path.partition("?")[0])}
    return api.open(path, method=method, headers=sent | (headers or {}), **how)
