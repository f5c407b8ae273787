"""One signing key: generate it, load it from its row, and decide when it signs and verifies."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from joserfc.jwk import ECKey, RSAKey

from idp.foundation import clock, runtime
from idp.keys.models import SigningKey

Jwk = ECKey | RSAKey
KeyState = Literal["next", "signing", "verifying", "expired", "retired"]

ALGS: Final = ("ES256", "RS256")
"""Algorithms we sign with: ES256 by our choice, RS256 for clients that ask for it or do not choose."""


class KeyRow(NamedTuple):
    """A row of `signing_keys`."""

    kid: str
    alg: str
    public_jwk: dict[str, Any]
    sealed: str
    created_at: datetime
    signs_from: datetime
    verifies_until: datetime | None
    retired_at: datetime | None


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
    def from_row(cls, row: KeyRow) -> "Key":
        """The key of a row of the table."""
        return cls(*row)

    def may_verify(self, now: datetime) -> bool:
        """Whether tokens that it signed may still be valid; as long as they may, it is published."""
        return self.retired_at is None and (self.verifies_until is None or now < self.verifies_until)

    def may_sign(self, now: datetime) -> bool:
        """Whether it may sign; of several that may, the newest signs."""
        return self.signs_from <= now and self.may_verify(now)

    @cached_property
    def public(self) -> Jwk:
        """The public key."""
        return _load(self.alg, self.public_jwk)

    def private(self) -> Jwk:
        """The private key. Raises `UnsealError`."""
        private_jwk = runtime.sealer().unseal(self.sealed, context=_sealing_context(self.kid))
        return _load(self.alg, json.loads(private_jwk))


def generate(alg: str, signs_from: datetime) -> SigningKey:
    """A new key, to be added to the session; its private half never leaves this function unsealed."""
    jwk: Jwk = ECKey.generate_key("P-256", private=True) if alg == "ES256" else RSAKey.generate_key(2048, private=True)
    kid = jwk.thumbprint()
    parameters = {"kid": kid, "alg": alg, "use": "sig"}
    private = json.dumps({**jwk.as_dict(private=True), **parameters}).encode()
    return SigningKey(
        kid=kid, alg=alg, public_jwk={**jwk.as_dict(private=False), **parameters},
        sealed=runtime.sealer().seal(private, context=_sealing_context(kid)),
        created_at=clock.now(), signs_from=signs_from, verifies_until=None, retired_at=None,
    )  # fmt: skip


def _load(alg: str, jwk: dict[str, Any]) -> Jwk:
    return ECKey.import_key(jwk) if alg == "ES256" else RSAKey.import_key(jwk)


def _sealing_context(kid: str) -> str:
    return f"signing_keys:{kid}:sealed"
