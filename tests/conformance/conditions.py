"""What every module of the suite checks besides its own: each condition is an assertion (protocol.md §3).

Where the suite only warns, these fail: no warnings are wanted.
"""

import base64
import hashlib
import json
import math
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import requests
from joserfc import jws, jwt
from joserfc.jwk import KeySet

from idp.foundation import clock

YEAR = 365 * 24 * 3600
ERROR = {"error", "error_description", "error_uri", "state", "iss"}
DESCRIPTION = frozenset(chr(code) for code in range(0x20, 0x7F)) - frozenset('"\\')
"""RFC 6749 §4.1.2.1 and §5.2."""


def now() -> int:
    """Seconds since 1970, by the clock that provider and suite share."""
    return clock.timestamp()


def metadata(document: dict[str, Any], issuer: str) -> None:
    """The discovery document has this issuer, and https endpoints."""
    assert document["issuer"] == issuer
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
        assert urlsplit(document[name]).scheme == "https", name


def keys(document: dict[str, Any]) -> None:
    """The keys have distinct `kid`s, are public, and are of a supported type."""
    members = document["keys"]
    assert members
    assert all(
        member["kid"] and member["kty"] in {"RSA", "EC"} and member.get("use", "sig") == "sig" for member in members
    )
    assert len({member["kid"] for member in members}) == len(members)
    assert not any(set(member) & {"d", "p", "q", "dp", "dq", "qi", "k"} for member in members)
    KeySet.import_key_set(document)


def random(text: str) -> None:
    """At least 128 bits, as the suite estimates them: by how often each character occurs."""
    counted, length = Counter(text), len(text)
    entropy = -sum(times / length * math.log2(times / length) for times in counted.values())
    assert entropy * length >= 128, f"{entropy * length:.0f} bits"


def error(response: dict[str, Any], expected: str) -> None:
    """An error response has this code, no unknown members, and printable ASCII only."""
    assert response.get("error") == expected, response
    assert set(response) <= ERROR, response
    assert frozenset(response.get("error_description", "")) <= DESCRIPTION, response


def is_json(response: requests.Response) -> None:
    assert response.headers["Content-Type"].partition(";")[0] == "application/json", response.headers


def refusal(response: requests.Response, status: int, expected: str) -> None:
    """A token endpoint's error response (RFC 6749 §5.2)."""
    assert response.status_code == status, response.text
    is_json(response)
    assert response.headers["Cache-Control"] == "no-store"
    error(response.json(), expected)
    if response.status_code == 401 and response.request.headers.get("Authorization", "").startswith("Basic"):
        assert response.headers["WWW-Authenticate"].startswith("Basic")


def tokens(response: requests.Response, token_type: str = "Bearer") -> dict[str, Any]:
    """A token response (RFC 6749 §5.1)."""
    assert response.status_code == 200, response.text
    is_json(response)
    assert response.headers["Cache-Control"] == "no-store"
    issued: dict[str, Any] = response.json()
    assert issued["token_type"] == token_type
    assert isinstance(issued["expires_in"], int)
    assert 1 <= issued["expires_in"] <= YEAR
    for name in ("access_token", "refresh_token"):
        if name in issued:
            random(issued[name])
    return issued


def id_token(token: str, ring: KeySet, *, alg: str, issuer: str, client_id: str) -> dict[str, Any]:
    """The claims of an ID Token; its signature is by the published key of its `kid`, its claims are valid (Core §2)."""
    header = jws.extract_compact(token.encode()).headers()
    assert header["alg"] == alg
    assert header["kid"] in {key.kid for key in ring.keys}
    claims = jwt.decode(token, ring, algorithms=[alg]).claims
    assert claims["iss"] == issuer
    assert claims["aud"] in (client_id, [client_id])
    assert claims.get("azp", client_id) == client_id
    assert 0 < len(claims["sub"]) <= 255
    assert claims["sub"].isascii()
    assert isinstance(claims["iat"], int)
    assert now() - 300 <= claims["iat"] <= now()
    assert now() < claims["exp"] <= now() + YEAR
    return dict(claims)


def signed_response(token: str, ring: KeySet, *, algs: set[str], issuer: str, client_id: str) -> dict[str, str]:
    """The parameters in a signed authorization response (JARM §2.4), with `iss`, by a published key."""
    header = jws.extract_compact(token.encode()).headers()
    assert header["alg"] in algs
    assert header["kid"] in {key.kid for key in ring.keys}
    claims = dict(jwt.decode(token, ring, algorithms=[header["alg"]]).claims)
    assert claims.pop("aud") == client_id
    assert now() < claims.pop("exp") <= now() + 600
    assert claims["iss"] == issuer
    assert all(isinstance(value, str) for value in claims.values())
    return claims


def introspection(token: str, ring: KeySet, *, alg: str, issuer: str, client_id: str) -> dict[str, Any]:
    """The state in a signed introspection response (RFC 9701 §5), which has no other claims, by a published key."""
    header = jws.extract_compact(token.encode()).headers()
    assert (header["alg"], header["typ"]) == (alg, "token-introspection+jwt")
    assert header["kid"] in {key.kid for key in ring.keys}
    claims = dict(jwt.decode(token, ring, algorithms=[alg]).claims)
    assert claims.keys() == {"iss", "aud", "iat", "token_introspection"}
    assert (claims["iss"], claims["aud"]) == (issuer, client_id)
    assert now() - 5 <= claims["iat"] <= now()
    return dict(claims["token_introspection"])


def registration_refused(response: requests.Response, expected: str) -> None:
    """A registration's error response (RFC 7591 §3.2.2)."""
    assert response.status_code == 400, response.text
    is_json(response)
    error(response.json(), expected)


def at_hash(claims: dict[str, Any], access_token: str) -> None:
    """The ID Token has the hash of this access token (Core §3.1.3.6)."""
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(half).decode().rstrip("=")


def segment(value: Any) -> str:
    """A part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
