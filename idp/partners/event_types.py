"""The types of events that a client can receive, and the two ways to deliver them (RFC 8935, RFC 8936).

Our types have URIs of our own, at which a page explains them (`partner_api`). Where a type of OpenID's RISC
Profile 1.0 or Shared Signals Framework 1.0 says the same, that one is used.
"""

from dataclasses import dataclass
from typing import Final, Literal

from idp.foundation import runtime

PUSH: Final = "urn:ietf:rfc:8935"
"""Delivery by push (RFC 8935)."""
POLL: Final = "urn:ietf:rfc:8936"
"""Delivery by polling (RFC 8936)."""
METHODS: Final = (PUSH, POLL)

_RISC = "https://schemas.openid.net/secevent/risc/event-type/"
_SSF = "https://schemas.openid.net/secevent/ssf/event-type/"


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event."""

    name: str
    about: Literal["school", "invitation", "stream"]
    """What `sub_id` names: an Estab ID, an invitation's id, or the client itself."""
    meaning: str
    defined_in: str = ""
    """The beginning of its URI where OpenID has defined it; ours if empty."""

    @property
    def uri(self) -> str:
        """The member of `events` (RFC 8417 §2.2)."""
        return f"{self.defined_in}{self.name}" if self.defined_in else runtime.url(f"/events/{self.name}")


VERIFICATION: Final = EventType(
    "verification",
    "stream",
    "You, or our staff, asked for it, to check that events arrive. `state` is what was sent with the request.",
    _SSF,
)
_TYPES: Final = (
    EventType(
        "sharing-authorised",
        "school",
        "The school has authorised your application. It had not, or had stopped sharing since.",
    ),
    EventType(
        "sharing-changed",
        "school",
        "The school has authorised your application again: with other data areas, a new end, or a new agreement.",
    ),
    EventType(
        "sharing-paused",
        "school",
        "The school has paused sharing, and can resume it, or has named a system (MIS) that your application does not "
        "accept. Tokens are refused now.",
    ),
    EventType("sharing-resumed", "school", "The school has resumed sharing, or named a system that you accept."),
    EventType(
        "sharing-review-declined",
        "school",
        "The school has declined what your application newly asks for: data areas, a new version of the "
        "agreement, or both. What it agreed to before continues, and we do not ask it for the same again.",
    ),
    EventType("sharing-withdrawn", "school", "The school has stopped sharing. Tokens are refused from now on."),
    EventType("sharing-expiring", "school", "The authorisation ends at `until`. The school has been reminded."),
    EventType("sharing-expired", "school", "The authorisation has expired. The school can renew it."),
    EventType("school-verified", "school", "Our staff have checked the school: new tokens give access to its data."),
    EventType(
        "school-rejected",
        "school",
        "Our staff have rejected the school's registration. This account will never share anything.",
    ),
    EventType(
        "account-disabled", "school", "Our staff have suspended the school's account. Tokens are refused.", _RISC
    ),
    EventType(
        "school-closing",
        "school",
        "The national register says that the school is closing or has closed. `GET /api/schools` names its "
        "successors. Sharing continues until the school stops it.",
    ),
    EventType(
        "endpoint-connected",
        "school",
        "The program on the school's server has sent the school's data for the first time, or again after it was lost.",
    ),
    EventType(
        "endpoint-lost",
        "school",
        "The program on the school's server has not been heard from for 24 hours, or was removed, or was replaced by "
        "another server that has sent nothing yet. What it sent stays, but is no longer updated.",
    ),
    EventType("account-enabled", "school", "The school's account is no longer suspended.", _RISC),
    EventType(
        "invitation-opened",
        "invitation",
        "The contact has continued to your application from the page of your invitation.",
    ),
    EventType(
        "invitation-forwarded",
        "invitation",
        "The contact has passed your invitation on. `GET /api/invitations` says to whom, if you may know.",
    ),
    EventType("invitation-declined", "invitation", "The contact has said that the invitation is not for them."),
    VERIFICATION,
)
TYPES: Final = {event_type.name: event_type for event_type in _TYPES}
"""All event types, by name."""
SELECTABLE_NAMES: Final = frozenset(TYPES) - {VERIFICATION.name}
"""The names that a registration can select; verification events are always sent."""
