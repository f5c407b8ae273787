"""What the pages at the URIs of events show: the meaning, the facts, and an example by the code that sends them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct

from idp.foundation.errors import NotFound
from idp.partner_events import tokens
from idp.partner_events.facts import InvitationFacts, SchoolFacts, VerificationFacts
from idp.partners import event_types
from idp.partners.event_types import EventType

_HAPPENED_AT: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_AGREED_UNTIL: Final = datetime(2027, 3, 2, 9, 30, tzinfo=UTC)
_SUBJECTS: Final = {"school": "3124567", "invitation": "inv_yk4n2v7c", "stream": "assembly"}
_FORMS: Final = {"date-time": "date and time", "date": "date"}
_CLIENT_ID: Final = "assembly"
_GRANTED_SCOPE: Final = "openid profile email organisation offline_access school students"
_EVENTS_WITH_WITHHELD_SCOPES: Final = {"sharing-paused", "sharing-expired", "school-rejected", "account-disabled"}
_STATUS: Final = {"sharing-paused": "paused", "sharing-withdrawn": "withdrawn", "sharing-expired": "expired"}
_VERIFICATION: Final = {"school-rejected": "rejected", "account-disabled": "suspended"}

_ENDPOINT: Final[Mapping[str, Literal["connected", "lost"]]] = {
    "endpoint-connected": "connected", "endpoint-lost": "lost",
}  # fmt: skip


class UnknownEventType(NotFound):
    """No event has this name."""

    code, title = "unknown_event_type", "There is no such event"
    message = "No event that we send has this name. The page Events for partners lists them."


@dataclass(frozen=True, slots=True)
class Fact:
    """A member of an event."""

    name: str
    values: tuple[str, ...]
    """The values it may have; empty where they are not listed."""
    form: str
    """The form of its value, where `values` is empty."""
    meaning: str


@dataclass(frozen=True, slots=True)
class Page:
    """An event, explained."""

    type: EventType
    facts: list[Fact]
    example: str
    """The claims of a token, as JSON."""


def all_pages() -> list[Page]:
    """The pages of all events."""
    return [_page(event_type) for event_type in event_types.TYPES.values()]


def page(name: str) -> Page:
    """The page of one event. Raises `UnknownEventType`."""
    event_type = event_types.TYPES.get(name)
    if event_type is None:
        raise UnknownEventType(reason="no such event")
    return _page(event_type)


def _page(event_type: EventType) -> Page:
    facts = _example(event_type)
    claims = tokens.claims(
        event_type.name, client_id=_CLIENT_ID, event_id="evt_2wq7v3m5kd4x", subject=_SUBJECTS[event_type.about],
        facts=msgspec.to_builtins(facts), happened_at=_HAPPENED_AT,
    )  # fmt: skip
    claims["iat"] = claims["toe"] + 1
    return Page(event_type, _describe(type(facts)), json.dumps(claims, indent=2))


def _example(event_type: EventType) -> Struct:
    if event_type.about == "stream":
        return VerificationFacts(state="what you sent")
    if event_type.about == "invitation":
        state: Any = event_type.name.rpartition("-")[2]
        return InvitationFacts(invitation_id=_SUBJECTS["invitation"], state=state, reference="customer 4711")
    name = event_type.name
    grants_nothing = name in _EVENTS_WITH_WITHHELD_SCOPES or name == "sharing-withdrawn"
    status: Any = _STATUS.get(name, "active")
    verification: Any = _VERIFICATION.get(name, "verified")
    return SchoolFacts(
        estab_id=_SUBJECTS["school"], status=status, verification=verification,
        scope="" if grants_nothing else _GRANTED_SCOPE,
        withheld_scope=_GRANTED_SCOPE if name in _EVENTS_WITH_WITHHELD_SCOPES else "", until=_AGREED_UNTIL,
        closes_on=date(2026, 8, 31) if name == "school-closing" else UNSET,
        endpoint=_ENDPOINT.get(name, UNSET),
        declined_scope="attendance" if name == "sharing-review-declined" else "",
        declined_agreement_version="2026-09" if name == "sharing-review-declined" else "",
    )  # fmt: skip


def _describe(kind: type[Struct]) -> list[Fact]:
    _, schemas = msgspec.json.schema_components([kind])
    properties = schemas[kind.__name__]["properties"]
    return [
        Fact(
            name, tuple(schema.get("enum", ())), _FORMS.get(schema.get("format"), "text"), schema.get("description", "")
        )
        for name, schema in properties.items()
    ]
