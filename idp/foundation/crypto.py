"""Random secrets, their digests, sealing at rest, and password hashing, one at a time.

Random secrets are found by their SHA-256; passwords alone are hashed slowly (security.md rule 3).
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

T = TypeVar("T")

_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8
"""32 letters and digits; each byte selects one, all with equal probability."""
MAX_PASSWORD_LENGTH = 256
"""Characters. Nothing longer is ever hashed."""


class UnsealError(Exception):
    """The sealing key is missing, or the value was altered or moved from another place."""


def new_secret() -> str:
    """256 random bits, base64url: for codes, tokens, links and session ids."""
    return secrets.token_urlsafe(32)


def new_id(kind: str) -> str:
    """An opaque identifier that is never reused and says what it names: `adm_…`, `aut_…`. Not a secret."""
    return f"{kind}_{secrets.token_bytes(26).translate(_LETTERS).decode('ascii')}"


def derive_id(kind: str, name: str) -> str:
    """The same identifier for the same `name`, so that it need not be stored to be found again."""
    return f"{kind}_{digest(name)[:26].translate(_LETTERS).decode('ascii')}"


def digest(secret: str) -> bytes:
    """SHA-256, by which random secrets are stored and looked up."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def hmac_sha256(key: bytes, *parts: str) -> bytes:
    """HMAC-SHA-256 over the parts, each preceded by its length so that no two lists collide."""
    message = b"".join(
        len(data).to_bytes(4, "big") + data for data in (part.encode("utf-8", "surrogatepass") for part in parts)
    )
    return hmac.digest(key, message, "sha256")


def constant_time_compare(first: str | bytes, second: str | bytes) -> bool:
    """Compare in constant time, whatever the characters and the lengths."""
    digests = [hashlib.sha256(_bytes(value) if isinstance(value, str) else value).digest() for value in (first, second)]
    return hmac.compare_digest(*digests)


def _bytes(text: str) -> bytes:
    """The bytes that are hashed, also for a text with lone surrogates, which a form may contain."""
    return text.encode("utf-8", "surrogatepass")


def base64url(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


class Sealer:
    """AES-256-GCM for values at rest: `<key id>.<nonce and ciphertext>`, bound to where they are stored.

    `keys` maps a key id to 32 bytes; the first one seals, all of them unseal.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self._current = next(iter(self._keys))

    def seal(self, plain: bytes, *, context: str) -> str:
        """Seal `plain`; `context` names table, row and column, and must be the same at `unseal`."""
        nonce = secrets.token_bytes(12)
        sealed = AESGCM(self._keys[self._current]).encrypt(nonce, plain, self._associated_data(self._current, context))
        return f"{self._current}.{base64url(nonce + sealed)}"

    def unseal(self, sealed: str, *, context: str) -> bytes:
        """Open what `seal` made; raises `UnsealError`."""
        key_id, _, rest = sealed.partition(".")
        if key_id not in self._keys:
            raise UnsealError(f"{context}: sealed with key {key_id!r}, which the settings do not have")
        try:
            data = base64.urlsafe_b64decode(rest + "=" * (-len(rest) % 4))
            return AESGCM(self._keys[key_id]).decrypt(data[:12], data[12:], self._associated_data(key_id, context))
        except (InvalidTag, ValueError) as error:
            raise UnsealError(f"{context}: altered, or sealed in another context") from error

    @staticmethod
    def _associated_data(key_id: str, context: str) -> bytes:
        return f"{key_id}\0{context}".encode()


class Passwords:
    """argon2id with 19 MiB, two passes and a parallelism of one; one hash at a time (security.md rule 3).

    `foundation/web/admission` limits how many requests wait for their turn.
    """

    def __init__(self, *, memory_kib: int = 19_456, passes: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._hashing = ThreadPoolExecutor(1, "hashing")  # each thread keeps the memory of its last hash
        self._dummy_hash = self._hasher.hash(secrets.token_urlsafe(32))
        self.hashed = 0
        """How many hashes this process has calculated: tests compare the work for known and unknown names."""

    def hash(self, password: str) -> str:
        """The argon2id string to store. Raises `ValueError` beyond `MAX_PASSWORD_LENGTH`."""
        if len(password) > MAX_PASSWORD_LENGTH:
            raise ValueError("longer than any password we accept")
        return self._run_hashing(lambda: self._hasher.hash(_bytes(password)))

    def matches(self, stored: str | None, password: str) -> bool:
        """Whether `stored` is a hash of `password`; with None the same work is done, and the result is False."""
        if len(password) > MAX_PASSWORD_LENGTH:
            stored, password = None, ""
        try:
            self._run_hashing(lambda: self._hasher.verify(stored or self._dummy_hash, _bytes(password)))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def _run_hashing(self, function: Callable[[], T]) -> T:
        def counted() -> T:
            self.hashed += 1
            return function()

        return self._hashing.submit(counted).result()

    def is_outdated(self, stored: str) -> bool:
        """Whether `stored` was made with other parameters, so that this sign-in has to hash the password again."""
        return self._hasher.check_needs_rehash(stored)
