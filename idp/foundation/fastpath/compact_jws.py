"""Tokens in the compact form of RFC 7515 §7.1, signed with ES256 or RS256 by `cryptography` itself.

`joserfc.jwt.encode` makes the same; it looks up algorithm and key, checks the header and converts the claims anew for
each token, which takes half as long again as an ES256 signature. Tokens are read by joserfc.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey, RSAKey

_ECDSA: Final = ECDSA(SHA256())
_ES256_NUMBER_BYTES: Final = 32
"""Length of each of the two numbers that an ES256 signature consists of (RFC 7518 §3.4)."""
_to_json: Final = msgspec.json.encode


def sign(header: Mapping[str, str], claims: Mapping[str, Any], key: ECKey | RSAKey) -> str:
    """`claims` as a compact JWS with this protected `header`, signed with the private `key`.

    An elliptic key signs ES256 and an RSA key RS256, whatever the header's `alg`. Times among the claims are numbers.
    """
    signing_input = _encode(_to_json(header)) + b"." + _encode(_to_json(claims))
    signature = _rs256(key, signing_input) if isinstance(key, RSAKey) else _es256(key, signing_input)
    return (signing_input + b"." + _encode(signature)).decode("ascii")


def _es256(key: ECKey, data: bytes) -> bytes:
    private = cast("EllipticCurvePrivateKey", key.private_key)
    r, s = decode_dss_signature(private.sign(data, _ECDSA))
    return r.to_bytes(_ES256_NUMBER_BYTES, "big") + s.to_bytes(_ES256_NUMBER_BYTES, "big")


def _rs256(key: RSAKey, data: bytes) -> bytes:
    return cast("RSAPrivateKey", key.private_key).sign(data, PKCS1v15(), SHA256())


def _encode(data: bytes) -> bytes:
    """base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).rstrip(b"=")
