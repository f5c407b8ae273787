"""Our private keys, in a file that only we can read: those that sign our client assertions, and the DPoP key.

The provider fetches the public keys from our `/jwks.json`. A new key is published `PUBLISH_BEFORE_SECONDS` before it
signs, because the provider looks for new keys once a minute at most; the old one stays published while assertions that
it has signed are on their way.
"""

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

PUBLISH_BEFORE_SECONDS = 300
PUBLISH_AFTER_SECONDS = 3600
ALG = "ES256"


class Keys:
    """The keys in `file`, which is made on first use. It is read each time, so that a rotation needs no restart."""

    def __init__(self, file: Path) -> None:
        self._file = file
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(file, {"signing": [_new(signs_from=0)], "dpop": ECKey.generate_key("P-256").as_dict(private=True)})

    def signing_key(self) -> ECKey:
        """The newest key whose time has come; its `kid` goes into the header of what it signs."""
        now = time.time()
        ready = [entry for entry in self._read()["signing"] if entry["signs_from"] <= now]
        return ECKey.import_key(max(ready, key=lambda entry: float(entry["signs_from"]))["jwk"])

    def dpop_key(self) -> ECKey:
        """The key that our tokens are bound to (RFC 9449). It is not published: each proof carries its public half."""
        return ECKey.import_key(self._read()["dpop"])

    def public(self) -> dict[str, Any]:
        """The JWK Set at our `jwks_uri` (RFC 7517 §5)."""
        entries = self._read()["signing"]
        return {"keys": [ECKey.import_key(entry["jwk"]).as_dict(private=False) for entry in entries]}

    def rotate(self) -> None:
        """Add a new signing key, and drop those that were replaced long ago."""
        now, content = time.time(), self._read()
        by_age = sorted(content["signing"], key=lambda entry: float(entry["signs_from"]))
        successors = [float(entry["signs_from"]) for entry in by_age[1:]] + [now]
        kept = [
            entry
            for entry, replaced_at in zip(by_age, successors, strict=True)
            if replaced_at > now - PUBLISH_AFTER_SECONDS
        ]
        content["signing"] = [*kept, _new(signs_from=now + PUBLISH_BEFORE_SECONDS)]
        _write(self._file, content)

    def _read(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._file.read_text("ascii"))
        return content


def _new(signs_from: float) -> dict[str, Any]:
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALG, "kid": secrets.token_urlsafe(8)})
    return {"jwk": key.as_dict(private=True), "signs_from": signs_from}


def _write(file: Path, content: dict[str, Any]) -> None:
    """Replace the file as a whole: a reader sees the old keys or the new ones."""
    temporary = file.with_suffix(f".{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(content), "ascii")
    temporary.replace(file)
