"""What partners are told about schools' agreements: events with the same facts as `GET /api/schools`."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal

from msgspec import UNSET
from sqlalchemy import select

from idp.audit import events
from idp.estabs.models import Estab
from idp.foundation import clock, scopes
from idp.foundation.database import lock, session
from idp.partner_events import queue
from idp.partner_events.facts import SchoolFacts
from idp.partners.models import Client
from idp.sharing import client_schools
from idp.sharing.models import Authorisation

EVENT_NAMES: Final[Mapping[str, str]] = {
    events.SHARING_GIVEN: "sharing-authorised",
    events.SHARING_CHANGED: "sharing-changed",
    events.SHARING_RENEWED: "sharing-changed",
    events.SHARING_REVIEW_DECLINED: "sharing-review-declined",
    events.SHARING_PAUSED: "sharing-paused",
    events.SHARING_RESUMED: "sharing-resumed",
    events.SHARING_WITHDRAWN: "sharing-withdrawn",
    events.SHARING_MOVED: "sharing-withdrawn",
}
"""The event that a client gets about a school's decision, by the name of the decision in the audit log."""
_BY_STATE: Final[Mapping[tuple[str, str], str]] = {
    ("unverified", "verified"): "school-verified",
    ("unverified", "rejected"): "school-rejected",
    ("unverified", "suspended"): "account-disabled",
    ("verified", "suspended"): "account-disabled",
    ("suspended", "verified"): "account-enabled",
    ("suspended", "unverified"): "account-enabled",
}
"""The event for a change of an estab's state."""


def record(name: str, agreement: Authorisation, **facts: Any) -> None:
    """Tell the client of `agreement` that `name` has happened to it; the estab is locked, or has just been changed.

    `facts` are members of `SchoolFacts` in addition to those of every such event.
    """
    subject = agreement.estab.estab_id
    queue.record(name, client_id=agreement.client_id, subject=subject, facts=partial(_facts, agreement, **facts))


def record_state(estab_id: str, before: str, state: str) -> None:
    """Tell all clients that an estab has an agreement with, by its internal id, that its state has changed."""
    if (name := _BY_STATE.get((before, state))) is not None:
        _record_for_all(name, estab_id)


def record_closing(estab_id: str) -> None:
    """Tell all clients that an estab has an agreement with, by its internal id, that the register says it closes."""
    lock(Estab, estab_id, shared=True)
    _record_for_all("school-closing", estab_id)


def record_endpoint(estab_id: str, state: Literal["connected", "lost"]) -> None:
    """Tell all clients that an estab, which is locked, has an agreement with that its endpoint has come to a state."""
    _record_for_all(f"endpoint-{state}", estab_id, endpoint=state)


def _record_for_all(name: str, estab_id: str, **facts: Any) -> None:
    in_force = (
        Authorisation.estab_id == estab_id, Authorisation.withdrawn_at.is_(None),
        Authorisation.superseded_at.is_(None), Authorisation.until > clock.now(),
    )  # fmt: skip
    for agreement in session().scalars(select(Authorisation).where(*in_force).order_by(Authorisation.client_id)):
        record(name, agreement, **facts)


def _facts(agreement: Authorisation, client: Client, **facts: Any) -> SchoolFacts:
    granted, withheld = client_schools.scopes_now(client, agreement)
    return SchoolFacts(
        estab_id=agreement.estab.estab_id, status=agreement.state,  # type: ignore[arg-type]
        verification=agreement.estab.state,  # type: ignore[arg-type]
        scope=scopes.format(granted), withheld_scope=scopes.format(withheld), until=agreement.until,
        closes_on=agreement.estab.school.closed_on or UNSET, **facts,
    )  # fmt: skip
