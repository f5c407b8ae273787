"""DPoP (RFC 9449): a key that never leaves this server, and proofs that each request comes from its holder."""

import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey

ALGORITHM: Final = "ES256"


class Key:
    """The key of this endpoint."""

    def __init__(self, private: dict[str, Any]) -> None:
        self._key = ECKey.import_key(private)
        public = self._key.as_dict(private=False)
        self._public = {name: public[name] for name in ("kty", "crv", "x", "y")}

    @staticmethod
    def generate() -> dict[str, Any]:
        """A new private key, as it is stored (JWK)."""
        return dict(ECKey.generate_key("P-256").as_dict(private=True))

    def proof(self, method: str, url: str, issued_at: float, *, access_token: str = "", nonce: str = "") -> str:
        """The proof for one request (RFC 9449 §4.2), issued at `issued_at` (seconds since 1970)."""
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16), "htm": method, "htu": url.partition("?")[0], "iat": int(issued_at),
        }  # fmt: skip
        if access_token:
            digest = sha256(access_token.encode()).digest()
            claims["ath"] = urlsafe_b64encode(digest).decode().rstrip("=")
        if nonce:
            claims["nonce"] = nonce
        header = {"typ": "dpop+jwt", "alg": ALGORITHM, "jwk": self._public}
        return jwt.encode(header, claims, self._key, algorithms=[ALGORITHM])
