"""What each role may do for its school: one table, used by every check and shown on every page that explains roles."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

OWNER: Final = "owner"
ADMIN: Final = "admin"
VIEWER: Final = "viewer"
ROLES: Final = (OWNER, ADMIN, VIEWER)
"""From the most rights to the fewest."""
ROLES_TO_JOIN_WITH: Final = (ADMIN, VIEWER)
"""Roles that a person who asks to join may be given; owners appoint other owners on their school's page."""

TITLES: Final[Mapping[str, str]] = {OWNER: "Owner", ADMIN: "Administrator", VIEWER: "Viewer"}
SUMMARIES: Final[Mapping[str, str]] = {
    OWNER: "Does all that an administrator does, and decides who acts for the school.",
    ADMIN: "Sees what is shared and who acts for the school, and decides which services get the school's data.",
    VIEWER: "Sees what is shared and who acts for the school, and changes nothing.",
}


class Action(StrEnum):
    """What someone does in a school's name."""

    SEE_SHARING = "see_sharing"
    SEE_PEOPLE = "see_people"
    SEE_ACTIVITY = "see_activity"
    AUTHORISE = "authorise"
    APPROVE_DEVICES = "approve_devices"
    NAME_MIS = "name_mis"
    CONTINUE_SHARING = "continue_sharing"
    RECEIVE_SHARING_NOTICES = "receive_sharing_notices"
    DECIDE_REQUESTS_TO_JOIN = "decide_requests_to_join"
    MANAGE_PEOPLE = "manage_people"
    HELP_COLLEAGUES = "help_colleagues"
    REQUIRE_SECOND_FACTOR = "require_second_factor"
    RECEIVE_ACCOUNT_NOTICES = "receive_account_notices"


@dataclass(frozen=True, slots=True)
class Right:
    """An action in the words of a school's page, and the roles that have it."""

    description: str
    roles: frozenset[str]


_ALL_ROLES: Final = frozenset(ROLES)
_OWNERS_AND_ADMINS: Final = frozenset({OWNER, ADMIN})
_OWNERS: Final = frozenset({OWNER})

RIGHTS: Final[Mapping[Action, Right]] = {
    Action.SEE_SHARING: Right("See which services get the school's data, and download the record of it", _ALL_ROLES),
    Action.SEE_PEOPLE: Right("See who acts for the school", _ALL_ROLES),
    Action.AUTHORISE: Right(
        "Decide which services get the school's data, and change, pause or stop it", _OWNERS_AND_ADMINS
    ),
    Action.APPROVE_DEVICES: Right("Connect a device or program to a service", _OWNERS_AND_ADMINS),
    Action.NAME_MIS: Right("Say which management information system (MIS) the school uses", _OWNERS_AND_ADMINS),
    Action.SEE_ACTIVITY: Right("See what was done in the school's name, by whom and when", _OWNERS),
    Action.DECIDE_REQUESTS_TO_JOIN: Right("Accept or decline people who ask to join", _OWNERS),
    Action.MANAGE_PEOPLE: Right("Invite and remove people, change their roles, and hand over ownership", _OWNERS),
    Action.HELP_COLLEAGUES: Right("Help a colleague who cannot sign in", _OWNERS),
    Action.CONTINUE_SHARING: Right(
        "When a school closes: let the school that follows continue what it shares, and continue it there", _OWNERS
    ),
    Action.REQUIRE_SECOND_FACTOR: Right("Require a second step from everyone who acts for the school", _OWNERS),
    Action.RECEIVE_SHARING_NOTICES: Right("Get an e-mail when sharing is authorised, changed or stopped", _OWNERS),
    Action.RECEIVE_ACCOUNT_NOTICES: Right(
        "Get an e-mail when people, their roles or their passwords change, and about our check of the school", _OWNERS
    ),
}
"""In the order in which pages show them. A test holds the table in docs/schools.md equal to it."""


def may(role: str, action: Action) -> bool:
    """Whether people of this role may do this."""
    return role in RIGHTS[action].roles


def is_owner(role: str) -> bool:
    """Whether this is the role of owners, of whom every school's account has at least one."""
    return role == OWNER


def rank(role: str) -> int:
    """The place of the role among `ROLES`: 0 has the most rights."""
    return ROLES.index(role)


def who(action: Action) -> str:
    """The roles that may do this, in a sentence: "an owner or an administrator"."""
    return " or ".join(with_article(role) for role in ROLES if may(role, action))


def with_article(role: str) -> str:
    """The role in a sentence: "an owner", "a viewer"."""
    return f"{'a' if role == VIEWER else 'an'} {TITLES[role].lower()}"


def other_roles(role: str) -> list[str]:
    """All roles but this one."""
    return [other for other in ROLES if other != role]


def rights_table() -> list[tuple[str, ...]]:
    """The head, with the titles of `ROLES`; then a row for each action: its words, and "Yes" or "No" for each role."""
    rows = [
        (right.description, *("Yes" if role in right.roles else "No" for role in ROLES)) for right in RIGHTS.values()
    ]
    return [("What", *(TITLES[role] for role in ROLES)), *rows]
