"""Whether an agreement is in force at this moment, for whoever holds a token: one statement, no ORM.

Asked at every refresh, userinfo, introspection and data request, so withdrawing, pausing, suspending and
disabling act at once wherever we are asked.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, FromClause, Table, Text, and_, bindparam, func, select

from idp.estabs.models import ACTIVE_STATES, Administrator, Estab
from idp.foundation import clock, scopes
from idp.foundation.prepared import Prepared
from idp.partners import registry
from idp.partners.models import Client, Partner
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
            and self.estab_state in ACTIVE_STATES
            and self.client_enabled
            and (not self.accepted_mis or self.mis in self.accepted_mis)
        )

    def agreed(self, asked: frozenset[str]) -> frozenset[str]:
        """What of `asked` the school agreed to and the client is registered for; empty when it is not live."""
        return scopes.known(asked & self.scopes & self.client_scopes) if self.is_live else frozenset()

    def allowed(self, asked: frozenset[str]) -> frozenset[str]:
        """What of `asked` may be given now (protocol.md §2.2): what was agreed, less what is withheld.

        Data scopes are for a verified estab only; identity scopes only while the person acts for it.
        """
        agreed = self.agreed(asked)
        withheld: frozenset[str] = frozenset()
        if self.estab_state != "verified":
            withheld |= scopes.of_kind("data", agreed)
        if self.person_left:
            withheld |= scopes.of_kind("identity", agreed)
        return agreed - withheld

    @property
    def is_paused(self) -> bool:
        """Whether the school has stopped it for a while, and nothing else is in the way."""
        return self.paused_at is not None and replace(self, paused_at=None).is_live


def state(authorisation_id: str, person_id: str | None = None) -> State | None:
    """How things stand with the agreement a token was issued under; None where it never was or was withdrawn.

    A superseded agreement is answered for by the newest of its line. `person_id` is the token's subject; without
    one, whoever gave the agreement.
    """
    return read(_STATE.one(authorisation=authorisation_id, person=person_id))


def current(estab_id: str, client_id: str) -> State | None:
    """How things stand with the one agreement of an estab with a client that is not over, or None."""
    return read(_CURRENT.one(its_estab=estab_id, its_client=client_id, person=None))


def is_standing(authorisation_id: str) -> bool:
    """Whether the agreement is in force now."""
    found = state(authorisation_id)
    return found is not None and found.is_live


named: Final = cast("Table", Authorisation.__table__).alias("named")
"""The agreement a token names: where `beside` begins."""
people: Final = cast("Table", Administrator.__table__)
estabs: Final = cast("Table", Estab.__table__)
_newest = cast("Table", Authorisation.__table__).alias("newest")
_clients, _partners = cast("Table", Client.__table__), cast("Table", Partner.__table__)

COLUMNS: Final = (
    _newest.c.id.label("agreed_id"), _newest.c.scopes.label("agreed_scopes"), _newest.c.offered.label("agreed_offered"),
    _newest.c.given_at.label("agreed_given_at"), _newest.c.until.label("agreed_until"),
    _newest.c.paused_at.label("agreed_paused_at"), _newest.c.estab_id.label("agreed_estab"),
    _newest.c.client_id.label("agreed_client"),
    estabs.c.estab_id.label("estab_public_id"), estabs.c.state.label("estab_state"), estabs.c.mis.label("estab_mis"),
    _clients.c.version.label("client_version"), _clients.c.enabled.label("client_enabled"),
    _clients.c.required_scopes.label("client_required"), _clients.c.optional_scopes.label("client_optional"),
    _clients.c.accepted_mis.label("client_mis"), _partners.c.disabled_at.label("partner_disabled_at"),
    people.c.id.label("person"), people.c.removed_at.label("person_removed_at"),
)  # fmt: skip
"""What `read` needs of a row, under names that no other table's columns have."""


def beside(source: FromClause, person: ColumnElement[Any]) -> FromClause:
    """`source`, which has `named` in it, with the newest of its line and whoever could stop it; `person` as in `state`.

    One round trip (performance.md §2), for whoever has something else to ask in the same statement.
    """
    return (
        source.outerjoin(
            _newest,
            and_(_newest.c.line == named.c.line, _newest.c.withdrawn_at.is_(None), _newest.c.superseded_at.is_(None)),
        )
        .outerjoin(_clients, _clients.c.id == _newest.c.client_id)
        .outerjoin(_partners, _partners.c.id == _clients.c.partner_id)
        .outerjoin(estabs, estabs.c.id == _newest.c.estab_id)
        .outerjoin(
            people,
            and_(people.c.id == func.coalesce(person, named.c.given_by), people.c.estab_id == _newest.c.estab_id),
        )
    )


def read(row: Any | None) -> State | None:
    """The state in a row that has `COLUMNS`; None where there is none.

    A snapshot of another version of the client is dropped: the row is newer.
    """
    if row is None or row.agreed_id is None:
        return None
    state = _state(row)
    registry.seen(state.client_id, state.client_version)
    return state


def _state(row: Any) -> State:
    return State(
        id=row.agreed_id, scopes=row.agreed_scopes, offered=row.agreed_offered, given_at=row.agreed_given_at,
        until=row.agreed_until, paused_at=row.agreed_paused_at, estab_id=row.agreed_estab,
        estab_public_id=row.estab_public_id, estab_state=row.estab_state, mis=row.estab_mis,
        client_id=row.agreed_client,
        client_version=row.client_version, client_enabled=row.client_enabled and row.partner_disabled_at is None,
        client_scopes=row.client_required | row.client_optional, accepted_mis=row.client_mis,
        person_left=row.person is None or row.person_removed_at is not None,
    )  # fmt: skip


_AS_IT_STANDS = select(*COLUMNS).select_from(beside(named, bindparam("person", type_=Text())))
_STATE: Final = Prepared(_AS_IT_STANDS.where(named.c.id == bindparam("authorisation", type_=Text())))
_CURRENT: Final = Prepared(
    _AS_IT_STANDS.where(
        named.c.estab_id == bindparam("its_estab", type_=Text()),
        named.c.client_id == bindparam("its_client", type_=Text()),
        named.c.withdrawn_at.is_(None),
        named.c.superseded_at.is_(None),
    )
)
