"""Whether the agreement behind a token is in force at this moment: one statement, no ORM.

It is checked at every refresh, userinfo, introspection and data request, so that withdrawing, pausing, suspending and
disabling take effect at once.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from sqlalchemy import ColumnElement, FromClause, Table, Text, and_, bindparam, func, select

from idp.estabs.models import ACTIVE_STATES, Estab, Membership
from idp.foundation import clock, scopes
from idp.foundation.fastpath.statements import Statement
from idp.partners import registry
from idp.partners.models import Client, Partner
from idp.sharing.models import Authorisation

Interruption: TypeAlias = Literal["paused", "other_system", "suspended"]
"""Paused by the school, impossible with the school's system, or suspended by our staff."""


@dataclass(frozen=True, slots=True)
class AgreementState:
    """An agreement and everything that decides whether it is in force; otherwise nothing is `allowed`."""

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
    """The estab's public Estab ID."""
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
    def is_in_force(self) -> bool:
        """Whether the agreement is in force now."""
        return (
            self.paused_at is None
            and clock.now() < self.until
            and self.estab_state in ACTIVE_STATES
            and self.client_enabled
            and (not self.accepted_mis or self.mis in self.accepted_mis)
        )

    def agreed(self, requested: frozenset[str]) -> frozenset[str]:
        """What of `requested` the school agreed to and the client is registered for; empty when it is not in force."""
        return scopes.known(requested & self.scopes & self.client_scopes) if self.is_in_force else frozenset()

    def allowed(self, requested: frozenset[str]) -> frozenset[str]:
        """What of `requested` may be given now (protocol.md §2.2): what was agreed, less what is withheld.

        Data scopes are for a verified estab only; identity scopes only while the person acts for it.
        """
        agreed = self.agreed(requested)
        withheld: frozenset[str] = frozenset()
        if self.estab_state != "verified":
            withheld |= scopes.filter_by_kind("data", agreed)
        if self.person_left:
            withheld |= scopes.filter_by_kind("identity", agreed)
        return agreed - withheld

    @property
    def interruption(self) -> Interruption | None:
        """Why it is interrupted; None if it is in force, or would not be in force without the interruption either."""
        is_suspended = self.estab_state == "suspended"
        estab_state = "verified" if is_suspended else self.estab_state
        if not replace(self, paused_at=None, accepted_mis=frozenset(), estab_state=estab_state).is_in_force:
            return None
        if is_suspended:
            return "suspended"
        if self.paused_at is not None:
            return "paused"
        return "other_system" if self.accepted_mis and self.mis not in self.accepted_mis else None

    @property
    def why_not_in_force(self) -> Literal["paused", "expired"] | None:
        """Whether a pause by the school or the end of the agreement is why it is not in force; None if neither is.

        A system of the school that the client does not accept counts as a pause, as in the school's history.
        """
        if clock.now() >= self.until:
            return "expired"
        is_paused = self.paused_at is not None or (self.accepted_mis and self.mis not in self.accepted_mis)
        return "paused" if is_paused else None


class Row(NamedTuple):
    """The columns from which `to_state` makes an `AgreementState`."""

    id: str
    scopes: frozenset[str]
    offered: frozenset[str]
    given_at: datetime
    until: datetime
    paused_at: datetime | None
    estab_id: str
    client_id: str
    estab_public_id: str
    estab_state: str
    mis: str | None
    client_version: int
    client_enabled: bool
    required_scopes: frozenset[str]
    optional_scopes: frozenset[str]
    accepted_mis: frozenset[str]
    partner_disabled_at: datetime | None
    member: str | None
    """None where the person never acted for the estab."""
    member_removed_at: datetime | None


class _StateRow(NamedTuple):
    agreement: Row | None


def state(authorisation_id: str, person_id: str | None = None) -> AgreementState | None:
    """The state of the agreement a token was issued under; None if it does not exist or was withdrawn.

    For a superseded agreement it is the state of the newest of its line. `person_id` is the token's subject; by
    default the person who gave the agreement.
    """
    row = _STATE.one(authorisation=authorisation_id, person=person_id)
    return None if row is None else _to_state_and_drop_outdated(row.agreement)


def current(estab_id: str, client_id: str) -> AgreementState | None:
    """The state of the one current agreement of an estab with a client, or None."""
    row = _CURRENT.one(by_estab=estab_id, by_client=client_id, person=None)
    return None if row is None else _to_state_and_drop_outdated(row.agreement)


def is_in_force(authorisation_id: str) -> bool:
    """Whether the agreement is in force now."""
    current_state = state(authorisation_id)
    return current_state is not None and current_state.is_in_force


named: Final = cast("Table", Authorisation.__table__).alias("named")
"""The agreement a token names, to which `join_state` joins the others."""
memberships: Final = cast("Table", Membership.__table__)
estabs: Final = cast("Table", Estab.__table__)
_newest = cast("Table", Authorisation.__table__).alias("newest")
_clients, _partners = cast("Table", Client.__table__), cast("Table", Partner.__table__)

COLUMNS: Final = (
    _newest.c.id, _newest.c.scopes, _newest.c.offered, _newest.c.given_at, _newest.c.until, _newest.c.paused_at,
    _newest.c.estab_id, _newest.c.client_id,
    estabs.c.estab_id.label("estab_public_id"), estabs.c.state.label("estab_state"), estabs.c.mis,
    _clients.c.version.label("client_version"), _clients.c.enabled.label("client_enabled"),
    _clients.c.required_scopes, _clients.c.optional_scopes, _clients.c.accepted_mis,
    _partners.c.disabled_at.label("partner_disabled_at"),
    memberships.c.person_id.label("member"), memberships.c.removed_at.label("member_removed_at"),
)  # fmt: skip
"""The columns of a `Row | None`, in a statement that selects from what is joined by `join_state`."""


def join_state(source: FromClause, person: ColumnElement[Any]) -> FromClause:
    """Join `source`, which has `named`, to the newest agreement of its line, its client, partner, estab and person.

    For callers that query something else in the same statement: one round trip (performance.md §2).
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
            memberships,
            and_(
                memberships.c.person_id == func.coalesce(person, named.c.given_by),
                memberships.c.estab_id == _newest.c.estab_id,
            ),
        )
    )


def drop_outdated_client(row: Row | None) -> None:
    """Drop the cached snapshot of the client if this row, which was just read, has another version of it.

    Every caller of a statement with `COLUMNS` calls it once, before it uses the snapshot.
    """
    if row is not None:
        registry.drop_outdated(row.client_id, row.client_version)


def _to_state_and_drop_outdated(row: Row | None) -> AgreementState | None:
    drop_outdated_client(row)
    return to_state(row)


def to_state(row: Row | None) -> AgreementState | None:
    """The state in a row, or None without one."""
    if row is None:
        return None
    return AgreementState(
        id=row.id, scopes=row.scopes, offered=row.offered, given_at=row.given_at, until=row.until,
        paused_at=row.paused_at, estab_id=row.estab_id, estab_public_id=row.estab_public_id,
        estab_state=row.estab_state, mis=row.mis, client_id=row.client_id,
        client_version=row.client_version, client_enabled=row.client_enabled and row.partner_disabled_at is None,
        client_scopes=row.required_scopes | row.optional_scopes, accepted_mis=row.accepted_mis,
        person_left=row.member is None or row.member_removed_at is not None,
    )  # fmt: skip


_SELECT_STATE = select(*COLUMNS).select_from(join_state(named, bindparam("person", type_=Text())))
_STATE: Final = Statement(_StateRow, _SELECT_STATE.where(named.c.id == bindparam("authorisation", type_=Text())))
_CURRENT: Final = Statement(
    _StateRow,
    _SELECT_STATE.where(
        named.c.estab_id == bindparam("by_estab", type_=Text()),
        named.c.client_id == bindparam("by_client", type_=Text()),
        named.c.withdrawn_at.is_(None),
        named.c.superseded_at.is_(None),
    ),
)
