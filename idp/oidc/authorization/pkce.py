"""PKCE by S256 and nothing else (RFC 7636): Authlib would take a missing method for `plain` (protocol.md §4.2, 9)."""

import hashlib
import re
from typing import Any, Final

from authlib.oauth2.rfc7636 import CodeChallenge

from idp.foundation import crypto
from idp.oidc import errors
from idp.oidc.authorization import checks

VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""The form of a `code_verifier` (RFC 7636 §4.1)."""


def challenge_of(verifier: str) -> str:
    """base64url of the verifier's SHA-256 (RFC 7636 §4.2)."""
    return crypto.base64url(hashlib.sha256(verifier.encode("ascii")).digest())


class S256Only(CodeChallenge):  # type: ignore[misc]  # Authlib has no types
    """Authlib's extension for PKCE, with S256 as the only method, and required unless the client is exempt."""

    DEFAULT_CODE_CHALLENGE_METHOD = None
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    CODE_CHALLENGE_METHODS: Final = {
        "S256": lambda verifier, challenge: crypto.constant_time_compare(challenge_of(verifier), challenge)
    }

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Check the challenge, at authorize and PAR (RFC 7636 §4.4.1)."""
        checks.read_code_challenge(grant.request.client, grant.request.sent)

    def validate_code_verifier(self, grant: Any, result: Any) -> None:
        """Check the verifier, at the token endpoint (RFC 7636 §4.6). The code is used up even if it is wrong."""
        verifier = grant.request.sent.get("code_verifier")
        challenge = grant.request.authorization_code.code_challenge
        if challenge is None and verifier is None and not grant.client.needs_pkce:
            return
        if challenge is None:  # a PKCE downgrade attack (RFC 9700 §4.8.2)
            raise errors.invalid_grant("code_verifier: the authorization request had no code_challenge")
        if verifier is None:
            raise errors.invalid_grant("code_verifier: missing")
        if not VERIFIER.fullmatch(verifier) or not self.CODE_CHALLENGE_METHODS["S256"](verifier, challenge):
            raise errors.invalid_grant("code_verifier: does not match the code_challenge of the authorization request")
