"""What each role may do for its school: one table, which every check asks."""

from enum import StrEnum
from typing import Final

ROLES: Final = ("owner", "admin", "viewer")
"""From the most rights to the fewest."""


class Action(StrEnum):
    """What somebody may do in a school's name."""

    AUTHORISE = "authorise"
    """Authorise sharing, change it, pause it, stop it; approve a device; say which system the school uses."""
    DECIDE_REQUESTS_TO_JOIN = "decide_requests_to_join"
    HELP_COLLEAGUES = "help_colleagues"
    """Start a password reset, or the recovery from a lost second factor, for another person of the school."""


ROLES_OF: Final = {
    Action.AUTHORISE: frozenset({"owner", "admin"}),
    Action.DECIDE_REQUESTS_TO_JOIN: frozenset({"owner"}),
    Action.HELP_COLLEAGUES: frozenset({"owner"}),
}


def may(role: str, action: Action) -> bool:
    """Whether people of this role may do this."""
    return role in ROLES_OF[action]
