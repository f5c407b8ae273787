"""Where a person goes after signing in."""

import re
from typing import Final

AUTHORIZE_PREFIX: Final = "/oauth/authorize?"
_REGISTRATION: Final = re.compile(r"/register/(?:(?:details|add)\?.*|reg_[a-z2-7]+/(?:sign-up|add))")


def leads_to_partner(path: str) -> bool:
    """Whether a return path is a partner's authorization request."""
    return path.startswith(AUTHORIZE_PREFIX)


def leads_to_registration(path: str) -> bool:
    """Whether a return path is a page of registering a school, which works without signing in."""
    return _REGISTRATION.fullmatch(path) is not None


def cancel_target(path: str, otherwise: str = "/") -> str:
    """The target of Cancel: the partner's request, which then gets `access_denied`, or a page of ours."""
    if leads_to_registration(path):
        return path
    return f"{path}&cancel=1" if leads_to_partner(path) else otherwise
