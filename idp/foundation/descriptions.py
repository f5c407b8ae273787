"""Descriptions of errors for clients (`error_description`, RFC 6749 §5.2): their characters and length."""

from typing import Final

ALLOWED_CHARACTERS: Final = frozenset(map(chr, range(0x20, 0x7F))) - frozenset('"\\')
"""Characters of an `error_description` (RFC 6749 §5.2)."""
MAX_DESCRIPTION_LENGTH: Final = 500
MAX_VALUE_LENGTH: Final = 200
"""Characters of an `error_description`, and of a value that is shown in one."""


def sanitise(text: str, limit: int = MAX_DESCRIPTION_LENGTH) -> str:
    """`text` without characters that a description may not have, cut to `limit` characters."""
    allowed = "".join([char for char in text if char in ALLOWED_CHARACTERS])
    return allowed if len(allowed) <= limit else f"{allowed[: limit - 3]}..."


def format_value(value: object) -> str:
    """A value that was sent, for a description: a string, a list of strings, or only the type of anything else."""
    if isinstance(value, list):
        return sanitise(", ".join(map(_format_member, value)), MAX_VALUE_LENGTH)
    return _format_member(value)


def _format_member(value: object) -> str:
    if value is None:
        return "missing"
    return sanitise(value, MAX_VALUE_LENGTH) if isinstance(value, str) else f"a {type(value).__name__}"
