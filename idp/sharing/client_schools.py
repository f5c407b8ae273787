"""The schools that authorised a client, and how each stands: what a partner's program may know of them.

One row for a school: its newest agreement with the client, also one that has ended. Superseded agreements are none.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, func, select, tuple_, union
from sqlalchemy.orm import aliased

from idp.estabs.models import ACTIVE_STATES, Estab
from idp.foundation import clock, scopes
from idp.foundation.database import session
from idp.partners import registry
from idp.partners.snapshots import AnyClient, Snapshot
from idp.schools import entries
from idp.schools.entries import Entry
from idp.schools.models import RegisterImport, School
from idp.sharing import reviews
from idp.sharing.live import State
from idp.sharing.models import Authorisation, status_now
from idp.sharing.reviews import Review


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of a client's schools are wanted; by default all."""

    status: str | None = None
    """`active`, `paused`, `expired` or `withdrawn`."""
    verification: str | None = None
    """A state of an estab."""
    changed_since: datetime | None = None
    estab: str | None = None
    """The Estab ID of the only one."""
    further: tuple[ColumnElement[bool], ...] = ()
    """Further conditions on the rows of `Authorisation` and `Estab`."""


class Agreement(NamedTuple):
    """The columns of `Authorisation` that decide how a school stands: to load whole objects takes much longer."""

    id: str
    estab_id: str
    scopes: frozenset[str]
    offered: frozenset[str]
    given_at: datetime
    agreement: str
    until: datetime
    paused_at: datetime | None
    withdrawn_at: datetime | None
    changed_at: datetime | None
    considered_scopes: frozenset[str] | None
    considered_required: frozenset[str] | None
    considered_agreement: str | None
    review_declined_at: datetime | None
    moved_to: str | None


class Account(NamedTuple):
    """The columns of `Estab` that decide it, too."""

    id: str
    estab_id: str
    state: str
    state_changed_at: datetime
    endpoint_changed_at: datetime | None
    mis: str | None


_AGREEMENT: Final = tuple(getattr(Authorisation, name) for name in Agreement._fields)
_ACCOUNT: Final = tuple(getattr(Estab, name) for name in Account._fields)


@dataclass(frozen=True, slots=True)
class ClientSchool:
    """A school and its newest agreement with a client."""

    estab: Account
    agreement: Agreement
    entry: Entry
    """What the national register says of it."""
    status: str
    """`active`, `paused`, `expired` or `withdrawn`, now."""
    granted: frozenset[str]
    """The scopes that a token would get now; those about a person, as long as the person acts for the school."""
    withheld: frozenset[str]
    """What the school agreed to, and no token gets now."""
    review: Review | None
    """What the client asks for in addition, until the school has decided."""
    mis_accepted: bool
    """Whether the client works with the school's system."""
    continues_as: str | None
    """The Estab ID of the following school that goes on with it."""
    changed_at: datetime
    """The last change of the agreement, of the state of the estab or of its endpoint, or of the school's entry in the
    register."""


def page(client: Snapshot, selection: Selection, *, after: str | None = None, limit: int) -> list[ClientSchool]:
    """At most `limit` schools in a fixed order, beginning behind the estab with the internal id `after`."""
    statement = _NEWEST.where(Authorisation.client_id == client.id, *_conditions(selection, client.id))
    if after is not None:
        # The second says the same to PostgreSQL, which otherwise reads the estabs from the first one on.
        statement = statement.where(Authorisation.estab_id > after, Estab.id > after)
    rows = session().execute(statement.order_by(Authorisation.estab_id).limit(limit)).all()
    parsed = [_parse(row) for row in rows]
    continued_as = _estab_ids({agreement.moved_to for agreement, *_ in parsed if agreement.moved_to is not None})
    return [_to_school(client, *row, continued_as) for row in parsed]


def _parse(row: Sequence[Any]) -> tuple[Agreement, Account, Entry, datetime]:
    """A row of `_NEWEST`; the last value is when the school's entry was imported."""
    end = len(_AGREEMENT) + len(_ACCOUNT)
    return Agreement(*row[: len(_AGREEMENT)]), Account(*row[len(_AGREEMENT) : end]), Entry(*row[end:-1]), row[-1]


def _newest() -> Select[Any]:
    """The newest agreement of each estab with each client, the estab, the school, and when its entry was imported."""
    newer = aliased(Authorisation)
    is_followed = (
        select(newer.id)
        .where(
            newer.estab_id == Authorisation.estab_id,
            newer.client_id == Authorisation.client_id,
            newer.superseded_at.is_(None),
            tuple_(newer.given_at, newer.id) > tuple_(Authorisation.given_at, Authorisation.id),
        )
        .exists()
    )
    return (
        select(*_AGREEMENT, *_ACCOUNT, *entries.COLUMNS, RegisterImport.imported_at)
        .select_from(Authorisation)
        .join(Authorisation.estab)
        .join(Estab.school)
        .join(RegisterImport, RegisterImport.id == School.last_seen_in)
        .where(Authorisation.superseded_at.is_(None), ~is_followed)
    )


_NEWEST: Final = _newest()
"""Built once: that takes longer than running it for one school."""


def _conditions(selection: Selection, client_id: str) -> Sequence[ColumnElement[bool]]:
    conditions = list(selection.further)
    if selection.estab is not None:
        conditions.append(Estab.estab_id == selection.estab)
    if selection.verification is not None:
        conditions.append(Estab.state == selection.verification)
    if selection.status is not None:
        conditions.append(has_status(selection.status))
    if selection.changed_since is not None:
        conditions.append(Authorisation.estab_id.in_(_changed_since(selection.changed_since, client_id)))
    return conditions


def _changed_since(since: datetime, client_id: str) -> CompoundSelect[str]:
    """The internal ids of estabs of which anything has changed: each part is found by an index of its own.

    The imports are read before: of a subquery PostgreSQL assumes that every school is from one of them, and reads all.
    """
    client_estabs = select(Authorisation.estab_id).where(Authorisation.client_id == client_id)
    parts = [
        client_estabs.where(Authorisation.changed_at >= since),
        client_estabs.where(Authorisation.changed_at.is_(None), Authorisation.given_at >= since),
        client_estabs.where(Authorisation.until >= since, Authorisation.until <= clock.now()),
        select(Estab.id).where(Estab.state_changed_at >= since),
        select(Estab.id).where(Estab.endpoint_changed_at >= since),
    ]
    first_import = session().scalar(select(func.min(RegisterImport.id)).where(RegisterImport.imported_at >= since))
    if first_import is not None:
        parts.append(select(Estab.id).join(Estab.school).where(School.last_seen_in >= first_import))
    return union(*parts)


def has_status(status: str) -> ColumnElement[bool]:
    """The condition for agreements in this state, as `status_now` has it."""
    is_open, is_over = Authorisation.withdrawn_at.is_(None), Authorisation.until <= clock.now()
    if status == "withdrawn":
        return ~is_open
    if status == "expired":
        return and_(is_open, is_over)
    is_paused = Authorisation.paused_at.is_not(None)
    return and_(is_open, ~is_over, is_paused if status == "paused" else ~is_paused)


def _to_school(
    client: Snapshot, agreement: Agreement, estab: Account, entry: Entry, imported_at: datetime,
    continued_as: Mapping[str, str],
) -> ClientSchool:  # fmt: skip
    granted, withheld = _scopes_now(client, agreement, estab)
    status = status_now(withdrawn_at=agreement.withdrawn_at, until=agreement.until, paused_at=agreement.paused_at)
    may_be_reviewed = status in {"active", "paused"} and estab.state in ACTIVE_STATES
    ends = [agreement.until] if agreement.until <= clock.now() else []
    changed = agreement.changed_at or agreement.given_at
    endpoint_changed = estab.endpoint_changed_at or estab.state_changed_at
    return ClientSchool(
        estab=estab, agreement=agreement, entry=entry, status=status, granted=granted, withheld=withheld,
        review=_review(client, agreement) if may_be_reviewed else None,
        mis_accepted=registry.accepts_mis(client, estab.mis),
        continues_as=None if agreement.moved_to is None else continued_as[agreement.moved_to],
        changed_at=max(changed, estab.state_changed_at, endpoint_changed, imported_at, *ends),
    )  # fmt: skip


def _review(client: Snapshot, agreement: Agreement) -> Review | None:
    return reviews.difference(
        client, agreed=agreement.scopes, considered=agreement.considered_scopes,
        considered_required=agreement.considered_required,
        version=agreement.considered_agreement or agreement.agreement,
    )  # fmt: skip


def _estab_ids(internal_ids: Collection[str]) -> dict[str, str]:
    """The Estab IDs of estabs by their internal ids."""
    if not internal_ids:
        return {}
    rows = session().execute(select(Estab.id, Estab.estab_id).where(Estab.id.in_(internal_ids)))
    return {row.id: row.estab_id for row in rows}


def scopes_now(client: AnyClient, agreement: Authorisation) -> tuple[frozenset[str], frozenset[str]]:
    """The scopes that a token for the school would get now, and those agreed to that are withheld.

    Those about a person are counted as if the person still acted for the school.
    """
    return _scopes_now(client, agreement, agreement.estab)


def _scopes_now(
    client: AnyClient, agreement: Authorisation | Agreement, estab: Estab | Account
) -> tuple[frozenset[str], frozenset[str]]:
    state = State(
        id=agreement.id, scopes=agreement.scopes, offered=agreement.offered, given_at=agreement.given_at,
        until=agreement.until, paused_at=agreement.paused_at, estab_id=estab.id, estab_public_id=estab.estab_id,
        estab_state=estab.state, mis=estab.mis, client_id=client.id, client_version=client.version,
        client_enabled=True, client_scopes=client.required_scopes | client.optional_scopes,
        accepted_mis=client.accepted_mis, person_left=False,
    )  # fmt: skip
    agreed = scopes.known(agreement.scopes & state.client_scopes)
    granted = state.allowed(agreed) if agreement.withdrawn_at is None else frozenset()
    return granted, agreed - granted
