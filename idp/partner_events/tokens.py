"""Security Event Tokens (RFC 8417): the signed form of an event."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from idp.foundation import clock, runtime
from idp.keys import ring
from idp.partner_events.models import PartnerEvent
from idp.partners import event_types

TYP: Final = "secevent+jwt"
"""The header's `typ` (RFC 8417 §2.3): no other token of ours has it."""
MEDIA_TYPE: Final = "application/secevent+jwt"


class EventRow(NamedTuple):
    """An event as it is read to be sent; `PartnerEvent` documents the columns."""

    number: int
    id: str
    client_id: str
    name: str
    subject: str
    facts: dict[str, Any]
    created_at: datetime
    attempts: int


def claims(
    name: str, *, client_id: str, event_id: str, subject: str, facts: Mapping[str, Any], happened_at: datetime
) -> dict[str, Any]:
    """The claims (RFC 8417 §2.2). Neither `sub` nor `exp`: it must not be taken for an ID Token (§4.5, §4.6).

    `toe` is when it happened, `iat` when it was signed. `sub_id` names the subject by an id of ours (RFC 9493 §3.2.4).
    """
    return {
        "iss": runtime.settings().server.issuer, "aud": client_id, "iat": clock.timestamp(), "jti": event_id,
        "toe": int(happened_at.timestamp()), "sub_id": {"format": "opaque", "id": subject},
        "events": {event_types.TYPES[name].uri: facts},
    }  # fmt: skip


def sign(event: PartnerEvent | EventRow, *, alg: str) -> str:
    """The token for an event, signed with `alg`, which is that of the client's ID Tokens."""
    payload = claims(
        event.name, client_id=event.client_id, event_id=event.id, subject=event.subject, facts=event.facts,
        happened_at=event.created_at,
    )  # fmt: skip
    return ring.sign(payload, alg=alg, typ=TYP)
