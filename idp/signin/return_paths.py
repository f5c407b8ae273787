"""Where a person goes after signing in."""

from typing import Final

AUTHORIZE_PREFIX: Final = "/oauth/authorize?"


def leads_to_partner(path: str) -> bool:
    """Whether a return path is a partner's authorization request."""
    return path.startswith(AUTHORIZE_PREFIX)
