"""Checkpoints: signed positions of the chain's end, to be stored outside the database.

One is written every hour, to the table, as a line to the log, and to the file `audit.checkpoints`, where the nightly
verification finds the newest. The signature is Ed25519, by a key derived
from the sealing key: access to the database alone is not enough to create one. The line is
`audit1.<position>.<seconds since 1970>.<hash in hex>.<sealing key's id>.<signature in base64url>`; nothing in it
looks like a token, so that logs do not redact it.
"""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from idp.audit.models import Checkpoint
from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.foundation.errors import Refusal

_FORMAT: Final = "audit1"


class NotACheckpoint(Refusal):
    """The line is not a checkpoint, or its signature is wrong."""

    code = "not_a_checkpoint"
    message = "This is not a checkpoint that we signed."


def write(position: int, chained: bytes) -> str:
    """Sign that the chain had reached `position` with the hash `chained`; returns the line to be kept elsewhere."""
    at = clock.now().replace(microsecond=0)
    key_id = next(iter(runtime.settings().secrets.sealing))
    signature = f"{key_id}.{crypto.base64url(_key(key_id).sign(_message(position, chained, at)))}"
    checkpoint = Checkpoint(position=position, chained=chained, at=at, signature=signature)
    session().add(checkpoint)
    session().flush()
    return line(checkpoint)


def line(checkpoint: Checkpoint) -> str:
    """`checkpoint` as one line, for the log and the file."""
    when = int(checkpoint.at.timestamp())
    return f"{_FORMAT}.{checkpoint.position}.{when}.{checkpoint.chained.hex()}.{checkpoint.signature}"


def parse(text: str) -> Checkpoint:
    """Parse a line that was kept elsewhere. Raises `NotACheckpoint` unless we signed it."""
    try:
        form, position, at, chained, signature = text.strip().split(".", 4)
        checkpoint = Checkpoint(
            position=int(position), chained=bytes.fromhex(chained), at=datetime.fromtimestamp(int(at), UTC),
            signature=signature,
        )  # fmt: skip
    except (ValueError, OverflowError) as error:
        raise NotACheckpoint(reason="cannot be read") from error
    if form != _FORMAT or not is_ours(checkpoint):
        raise NotACheckpoint(reason="the signature is wrong, or its sealing key is no longer in the settings")
    return checkpoint


def export(text: str) -> None:
    """Append a checkpoint's line to the file of the setting `audit.checkpoints`; does nothing if that is empty."""
    if (path := runtime.settings().audit.file) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.write(f"{text}\n")


def exported() -> list[Checkpoint]:
    """The newest checkpoint in that file; empty if there is no file yet. Raises `NotACheckpoint`."""
    path = runtime.settings().audit.file
    lines = path.read_text("ascii", "replace").split() if path is not None and path.is_file() else []
    return [parse(lines[-1])] if lines else []


def stored(*, all_of_them: bool) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """The checkpoints in the table: (valid, forged). Without `all_of_them`, only back to the newest valid one."""
    valid: list[Checkpoint] = []
    forged: list[Checkpoint] = []
    for checkpoint in _newest_first():
        (valid if is_ours(checkpoint) else forged).append(checkpoint)
        if valid and not all_of_them:
            break
    return valid, forged


def is_ours(checkpoint: Checkpoint) -> bool:
    """Whether its signature is valid; it is not if its sealing key has been removed from the settings."""
    key_id, _, signature = checkpoint.signature.partition(".")
    if key_id not in runtime.settings().secrets.sealing:
        return False
    try:
        message = _message(checkpoint.position, checkpoint.chained, checkpoint.at)
        _key(key_id).public_key().verify(_decode(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _newest_first() -> Iterator[Checkpoint]:
    yield from session().scalars(
        select(Checkpoint).order_by(Checkpoint.position.desc()).execution_options(yield_per=100)
    )


def _key(key_id: str) -> Ed25519PrivateKey:
    seed = crypto.hmac_sha256(runtime.settings().secrets.sealing[key_id], "audit checkpoint")
    return Ed25519PrivateKey.from_private_bytes(seed)


def _message(position: int, chained: bytes, at: datetime) -> bytes:
    return f"{_FORMAT}\n{position}\n{int(at.timestamp())}\n{chained.hex()}".encode("ascii")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
