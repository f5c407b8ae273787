"""One signing key: generate it, load it from its row, and decide when it signs and verifies."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal

from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from sqlalchemy import Row

from idp.foundation import clock, runtime
from idp.keys.models import SigningKey

Jwk = ECKey | RSAKey
State = Literal["next", "signing", "verifying", "expired", "retired"]

ALGS: Final = ("ES256", "RS256")
"""Algorithms we sign with: ES256 by our choice, RS256 for clients that ask for it or do not choose."""

_ALGORITHMS: Final = JWSRegistry(algorithms=[*ALGS])


@dataclass(frozen=True, eq=False)
class Key:
    """A row of `signing_keys`. Its private half is unsealed and loaded when it first signs: RSA takes 40 ms."""

    kid: str
    alg: str
    public_jwk: dict[str, Any]
    sealed: str
    created_at: datetime
    signs_from: datetime
    verifies_until: datetime | None
    retired_at: datetime | None

    @classmethod
    def of(cls, row: Row[Any]) -> "Key":
        """The key of a row of the table."""
        return cls(**{name: row._mapping[name] for name in cls.__dataclass_fields__})  # noqa: SLF001  its public name

    def verifies(self, now: datetime) -> bool:
        """Whether tokens that it signed may still be valid; until then it is published."""
        return self.retired_at is None and (self.verifies_until is None or now < self.verifies_until)

    def signs(self, now: datetime) -> bool:
        """Whether it may sign; of several, the newest does."""
        return self.signs_from <= now and self.verifies(now)

    @cached_property
    def public(self) -> Jwk:
        """The public key."""
        return _load(self.alg, self.public_jwk)

    @cached_property
    def verifier(self) -> Callable[[bytes, bytes], bool]:
        """A function of a message and a signature: whether the signature is valid for the message under this key."""
        verify, public = _ALGORITHMS.get_alg(self.alg).verify, self.public
        return lambda message, signature: verify(message, signature, public)

    def signer(self) -> Callable[[bytes], bytes]:
        """A function of a message: its signature by this key (RFC 7515 §5.1). Raises `CannotUnseal`."""
        sign, private = _ALGORITHMS.get_alg(self.alg).sign, self.private()
        return lambda message: sign(message, private)

    def private(self) -> Jwk:
        """The private key. Raises `CannotUnseal`."""
        opened = runtime.sealer().unseal(self.sealed, where=_sealing_context(self.kid))
        return _load(self.alg, json.loads(opened))


def generate(alg: str, signs_from: datetime) -> SigningKey:
    """A new key, to be added to the session; its private half never leaves this function unsealed."""
    jwk: Jwk = ECKey.generate_key("P-256", private=True) if alg == "ES256" else RSAKey.generate_key(2048, private=True)
    kid = jwk.thumbprint()
    parameters = {"kid": kid, "alg": alg, "use": "sig"}
    private = json.dumps({**jwk.as_dict(private=True), **parameters}).encode()
    return SigningKey(
        kid=kid, alg=alg, public_jwk={**jwk.as_dict(private=False), **parameters},
        sealed=runtime.sealer().seal(private, where=_sealing_context(kid)),
        created_at=clock.now(), signs_from=signs_from, verifies_until=None, retired_at=None,
    )  # fmt: skip


def _load(alg: str, jwk: dict[str, Any]) -> Jwk:
    return ECKey.import_key(jwk) if alg == "ES256" else RSAKey.import_key(jwk)


def _sealing_context(kid: str) -> str:
    return f"signing_keys:{kid}:sealed"
