"""ES256 and RS256 as JWS writes them (RFC 7518 §3.3, §3.4), by `cryptography` itself.

joserfc signs the same, and looks up key, curve and lengths each time: a third of an ES256 signature's time.
"""

from collections.abc import Callable
from typing import Final, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey, RSAKey

Jwk = ECKey | RSAKey

_ECDSA: Final = ECDSA(SHA256())
_HALF: Final = 32
"""Bytes of each of the two numbers of an ES256 signature."""


def signer(alg: str, key: Jwk) -> Callable[[bytes], bytes]:
    """What signs with the private `key`."""
    private = key.get_op_key("sign")
    if alg == "RS256":
        large = cast("RSAPrivateKey", private)
        return lambda said: large.sign(said, PKCS1v15(), SHA256())
    elliptic = cast("EllipticCurvePrivateKey", private)

    def sign(said: bytes) -> bytes:
        one, other = decode_dss_signature(elliptic.sign(said, _ECDSA))
        return one.to_bytes(_HALF, "big") + other.to_bytes(_HALF, "big")

    return sign


def verifier(alg: str, key: Jwk) -> Callable[[bytes, bytes], bool]:
    """What says whether the second is the signature of the first by the private half of `key`."""
    public = key.get_op_key("verify")
    if alg == "RS256":
        large = cast("RSAPublicKey", public)
        return lambda said, signature: _fits(lambda: large.verify(signature, said, PKCS1v15(), SHA256()))
    elliptic = cast("EllipticCurvePublicKey", public)

    def verify(said: bytes, signature: bytes) -> bool:
        if len(signature) != 2 * _HALF:
            return False
        one, other = int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
        return _fits(lambda: elliptic.verify(encode_dss_signature(one, other), said, _ECDSA))

    return verify


def _fits(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except InvalidSignature:
        return False
    return True
