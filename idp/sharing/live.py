"""Whether an agreement is in force at this moment, for whoever holds a token: one statement, no ORM.

Asked at every refresh, userinfo, introspection and data request, so withdrawing, pausing, suspending and
disabling act at once wherever we are asked.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, Text, and_, bindparam, func, select

from idp.estabs.models import MAY_ACT, Administrator, Estab
from idp.foundation import clock, scopes
from idp.foundation.database import connection
from idp.partners import registry
from idp.partners.models import Client, Partner
from idp.schools.models import School
from idp.sharing.models import Authorisation


@dataclass(frozen=True, slots=True)
class State:
    """An agreement as it stands, and all that bears on it. Nobody is `allowed` anything unless it `is_live`."""

    id: str
    """The newest agreement of the line, which decides."""
    scopes: frozenset[str]
    offered: frozenset[str]
    """What the school could choose from."""
    given_at: datetime
    until: datetime
    paused_at: datetime | None
    estab_id: str
    """The estab's internal id."""
    estab_public_id: str
    """Its Estab ID."""
    estab_state: str
    mis: str | None
    school_id: int
    school_status: str
    """The register's status code. Told, and not decisive: when a school becomes an academy its entry is closed
    and its lessons go on; staff close the estab when the school is really gone."""
    client_id: str
    client_version: int
    client_enabled: bool
    client_scopes: frozenset[str]
    accepted_mis: frozenset[str]
    person_left: bool
    """Whether the person whom the token is about no longer acts for this estab."""

    @property
    def is_live(self) -> bool:
        """Whether anything at all may be done with it now."""
        return (
            self.paused_at is None
            and clock.now() < self.until
            and self.estab_state in MAY_ACT
            and self.client_enabled
            and (not self.accepted_mis or self.mis in self.accepted_mis)
        )

    def allowed(self, asked: frozenset[str]) -> frozenset[str]:
        """What of `asked` may be given now (protocol.md §2.2).

        Never more than the school agreed to and the client is registered for; data scopes only for a verified
        estab; identity scopes only while the person acts for it. Empty when the agreement is not live.
        """
        if not self.is_live:
            return frozenset()
        agreed = scopes.known(asked & self.scopes & self.client_scopes)
        withheld: frozenset[str] = frozenset()
        if self.estab_state != "verified":
            withheld |= scopes.of_kind("data", agreed)
        if self.person_left:
            withheld |= scopes.of_kind("identity", agreed)
        return agreed - withheld


def state(authorisation_id: str, person_id: str | None = None) -> State | None:
    """How things stand with the agreement a token was issued under; None where it never was or was withdrawn.

    A superseded agreement is answered for by the newest of its line. `person_id` is the token's subject; without
    one, whoever gave the agreement.
    """
    asked = {"authorisation": authorisation_id, "person": person_id}
    return _read(connection().execute(_STATE, asked).one_or_none())


def current(estab_id: str, client_id: str) -> State | None:
    """How things stand with the one agreement of an estab with a client that is not over, or None."""
    asked = {"its_estab": estab_id, "its_client": client_id, "person": None}
    return _read(connection().execute(_CURRENT, asked).one_or_none())


def _read(row: Any) -> State | None:
    if row is None:
        return None
    registry.seen(row.client_id, row.client_version)
    return State(
        id=row.id, scopes=row.scopes, offered=row.offered, given_at=row.given_at, until=row.until,
        paused_at=row.paused_at, estab_id=row.estab_id,
        estab_public_id=row.estab_public_id, estab_state=row.estab_state, mis=row.mis, school_id=row.school_id,
        school_status=row.school_status, client_id=row.client_id, client_version=row.client_version,
        client_enabled=row.enabled and row.disabled_at is None, client_scopes=row.required_scopes | row.optional_scopes,
        accepted_mis=row.accepted_mis, person_left=row.person is None or row.removed_at is not None,
    )  # fmt: skip


def is_standing(authorisation_id: str) -> bool:
    """Whether the agreement is in force now."""
    found = state(authorisation_id)
    return found is not None and found.is_live


_given = cast("Table", Authorisation.__table__)
_named, _newest = _given.alias("named"), _given.alias("newest")
_clients, _partners = cast("Table", Client.__table__), cast("Table", Partner.__table__)
_estabs, _schools = cast("Table", Estab.__table__), cast("Table", School.__table__)
_people = cast("Table", Administrator.__table__)
_AS_IT_STANDS = (
    select(
        _newest.c.id, _newest.c.scopes, _newest.c.offered, _newest.c.given_at, _newest.c.until,
        _newest.c.paused_at, _newest.c.estab_id,
        _estabs.c.estab_id.label("estab_public_id"), _estabs.c.state.label("estab_state"), _estabs.c.mis,
        _estabs.c.school_id, _schools.c.status_code.label("school_status"),
        _newest.c.client_id, _clients.c.version.label("client_version"), _clients.c.enabled, _partners.c.disabled_at,
        _clients.c.required_scopes, _clients.c.optional_scopes, _clients.c.accepted_mis,
        _people.c.id.label("person"), _people.c.removed_at,
    )
    .select_from(_named)
    .join(
        _newest,
        and_(
            _newest.c.line == _named.c.line, _newest.c.withdrawn_at.is_(None), _newest.c.superseded_at.is_(None)
        ),
    )
    .join(_clients, _clients.c.id == _newest.c.client_id)
    .join(_partners, _partners.c.id == _clients.c.partner_id)
    .join(_estabs, _estabs.c.id == _newest.c.estab_id)
    .join(_schools, _schools.c.id == _estabs.c.school_id)
    .outerjoin(
        _people,
        and_(
            _people.c.id == func.coalesce(bindparam("person", type_=Text()), _named.c.given_by),
            _people.c.estab_id == _newest.c.estab_id,
        ),
    )
)  # fmt: skip
"""One round trip (performance.md §2): the agreement, its newest successor, and whoever could stop it."""
_STATE = _AS_IT_STANDS.where(_named.c.id == bindparam("authorisation", type_=Text()))
_CURRENT = _AS_IT_STANDS.where(
    _named.c.estab_id == bindparam("its_estab", type_=Text()),
    _named.c.client_id == bindparam("its_client", type_=Text()),
    _named.c.withdrawn_at.is_(None),
    _named.c.superseded_at.is_(None),
)
