"""The private key that signs our client assertions (RFC 7523), in a file that only we can read.

The provider fetches the public half from our `/jwks.json`. After a rotation both keys are published; the new one signs
from `PUBLISH_BEFORE_SECONDS` later, because the provider looks for new keys once a minute at most.
"""

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

PUBLISH_BEFORE_SECONDS = 300
ALG = "ES256"


class Keys:
    """The keys in `file`, which is made on first use."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read_at_mtime, self._entries = -1, list[tuple[float, ECKey]]()
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._write([_new(signs_from=0)])

    def signing_key(self) -> ECKey:
        """The newest of the keys that may sign by now."""
        now = time.time()
        return max((entry for entry in self._read() if entry[0] <= now), key=lambda entry: entry[0])[1]

    def public(self) -> dict[str, Any]:
        """The JWK Set at our `jwks_uri` (RFC 7517 §5)."""
        return {"keys": [key.as_dict(private=False) for _, key in self._read()]}

    def rotate(self) -> None:
        """Add a new key, which signs after `PUBLISH_BEFORE_SECONDS`; of the earlier keys only the newest is kept."""
        content = json.loads(self._file.read_text("ascii"))
        newest = max(content, key=lambda entry: float(entry["signs_from"]))
        self._write([newest, _new(signs_from=time.time() + PUBLISH_BEFORE_SECONDS)])

    def _read(self) -> list[tuple[float, ECKey]]:
        """The keys, read again when the file has changed: a rotation needs no restart."""
        mtime = self._file.stat().st_mtime_ns
        if mtime != self._read_at_mtime:
            content = json.loads(self._file.read_text("ascii"))
            self._entries = [(float(entry["signs_from"]), ECKey.import_key(entry["jwk"])) for entry in content]
            self._read_at_mtime = mtime
        return self._entries

    def _write(self, content: list[dict[str, Any]]) -> None:
        """Replace the file as a whole: a reader sees the old keys or the new ones."""
        temporary = self._file.with_suffix(f".{os.getpid()}.new")
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(content), "ascii")
        temporary.replace(self._file)


def _new(signs_from: float) -> dict[str, Any]:
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALG, "kid": secrets.token_urlsafe(8)})
    return {"jwk": key.as_dict(private=True), "signs_from": signs_from}
