"""How long signing keys are kept."""

from typing import Final

from idp.foundation.retention import KeepAll, Rule
from idp.keys.models import SigningKey

RETENTION: Final[tuple[Rule, ...]] = (
    KeepAll(SigningKey, "a `kid` is never used again; the private half is erased when the key is retired"),
)
