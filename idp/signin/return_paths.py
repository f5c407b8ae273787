"""Where a person goes after signing in."""

from typing import Final

AUTHORIZE_PREFIX: Final = "/oauth/authorize?"


def leads_to_partner(path: str) -> bool:
    """Whether a return path is a partner's authorization request."""
    return path.startswith(AUTHORIZE_PREFIX)


def cancelled(path: str, otherwise: str = "/") -> str:
    """The target of Cancel: the partner's request, which then answers `access_denied`, or a page of ours."""
    return f"{path}&cancel=1" if leads_to_partner(path) else otherwise
