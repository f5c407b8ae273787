"""Descriptions of errors for clients (`error_description`, RFC 6749 §5.2): their characters and length."""

from typing import Final

ALLOWED: Final = frozenset(map(chr, range(0x20, 0x7F))) - frozenset('"\\')
"""Characters of an `error_description` (RFC 6749 §5.2)."""
MAX_DESCRIPTION: Final = 500
MAX_SHOWN: Final = 200
"""Characters of an `error_description`, and of a value that is shown in one."""


def sanitise(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """`text` without what a description may not have, and no longer than `limit`."""
    allowed = "".join([char for char in text if char in ALLOWED])
    return allowed if len(allowed) <= limit else f"{allowed[: limit - 3]}..."


def format_value(value: object) -> str:
    """What was sent, to be shown to its sender: a string, or several; of anything else the kind."""
    if isinstance(value, list):
        return sanitise(", ".join(map(format_value, value)), MAX_SHOWN)
    if value is None:
        return "missing"
    return sanitise(value, MAX_SHOWN) if isinstance(value, str) else f"a {type(value).__name__}"
