"""What a school's data waits for: one state, computed from those of the agreement, of the estab and of its endpoint.

`state_of` computes it for one school, and `condition` selects the schools in it: the rules of both are the same.
"""

from typing import Final

from sqlalchemy import ColumnElement, and_, not_, or_, true

from idp.estabs.models import Estab
from idp.partner_api.responses import Connection
from idp.partners.snapshots import Snapshot
from idp.sharing.client_schools import ClientSchool, has_status
from idp.xporter import endpoints
from idp.xporter.endpoints import CurrentEndpoint
from idp.xporter.models import Endpoint

_CLOSED: Final = frozenset({"closed", "rejected"})
"""States of an estab from which no more data comes."""


def state_of(client_school: ClientSchool, endpoint: Endpoint | CurrentEndpoint | None) -> Connection:
    """The state of a school with its endpoint, now."""
    agreed, estab = client_school.status, client_school.estab.state
    if estab in _CLOSED:
        return "closed"
    if agreed == "withdrawn":
        return "withdrawn"
    if agreed == "expired":
        return "awaiting_authorisation"
    if agreed == "paused" or estab == "suspended" or not client_school.mis_accepted:
        return "paused"
    if estab == "unverified":
        return "awaiting_verification"
    return "connected" if endpoint is not None and endpoint.state == "connected" else "awaiting_endpoint"


def condition(wanted: Connection, client: Snapshot) -> ColumnElement[bool]:
    """The condition for rows of `Authorisation` of `client`, with their `Estab`, that are in this state now.

    Each is written out: databases cannot estimate how many rows have a value that is computed for each.
    """
    is_open, is_accepted = Estab.state.not_in(_CLOSED), _is_mis_accepted(client)
    is_stopped = and_(has_status("active"), or_(Estab.state == "suspended", not_(is_accepted)))
    is_usable = and_(has_status("active"), is_accepted, Estab.state == "verified")
    conditions: dict[Connection, ColumnElement[bool]] = {
        "closed": Estab.state.in_(_CLOSED),
        "withdrawn": and_(is_open, has_status("withdrawn")),
        "awaiting_authorisation": and_(is_open, has_status("expired")),
        "paused": and_(is_open, or_(has_status("paused"), is_stopped)),
        "awaiting_verification": and_(has_status("active"), is_accepted, Estab.state == "unverified"),
        "connected": and_(is_usable, endpoints.is_connected()),
        "awaiting_endpoint": and_(is_usable, ~endpoints.is_connected()),
    }
    return conditions[wanted]


def _is_mis_accepted(client: Snapshot) -> ColumnElement[bool]:
    """As `registry.accepts_mis`; never NULL."""
    if not client.accepted_mis:
        return true()
    return and_(Estab.mis.is_not(None), Estab.mis.in_(client.accepted_mis))
