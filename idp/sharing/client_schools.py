"""The schools that authorised a client, and how each stands: what a partner's program may know of them.

One row for a school: its newest agreement with the client, also one that has ended. Superseded ones are left out.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import aliased

from idp.estabs.models import ACTIVE_STATES, Estab
from idp.foundation import clock, scopes
from idp.foundation.database import connection, session
from idp.foundation.queries import one_of
from idp.partners import registry
from idp.partners.snapshots import AnyClient, Snapshot
from idp.schools import entries
from idp.schools.entries import Entry
from idp.schools.models import RegisterImport, School
from idp.sharing import reviews
from idp.sharing.agreement_state import AgreementState
from idp.sharing.models import Authorisation, status_now
from idp.sharing.reviews import Review

MAX_SCANNED: Final = 1_000
"""How many agreements of the client are read for one page, so that a page on which few schools match costs no more."""
MAX_CHANGED: Final = 500
"""If at most this many rows of each kind changed, schools are found by those rows; else all are read in order."""


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

    @property
    def is_everything(self) -> bool:
        """Whether every school is wanted, so that a page is full before many rows have been looked at."""
        return self == _EVERYTHING


_EVERYTHING: Final = Selection()


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
    """The columns of `Estab` that decide how a school stands."""

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
    """The school's entry in the national register."""
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
    """The Estab ID of the successor that continues it."""
    changed_at: datetime
    """The last change of the agreement, of the state of the estab or of its endpoint, or of the school's entry in the
    register."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the schools, in order."""

    schools: Sequence[ClientSchool]
    continues_after: str | None
    """The internal id of the estab after which the next page begins; None on the last page. A page that is not full may
    have one, because only `MAX_SCANNED` agreements are read for it."""


def find(client: Snapshot, estab_id: str) -> ClientSchool | None:
    """The school with this Estab ID; None if it has not authorised the client."""
    schools = _read(client, _FIRST.where(Estab.estab_id == estab_id), limit=1)
    return schools[0] if schools else None


def page(client: Snapshot, selection: Selection, *, after: str | None = None, limit: int) -> Page:
    """At most `limit` schools in a fixed order, beginning after the estab with the internal id `after`."""
    statement, last = _FIRST if after is None else _FOLLOWING, None
    if conditions := _conditions(selection):
        statement = statement.where(*conditions)
    if selection.estab is None and not selection.is_everything:
        changed = None if selection.changed_since is None else _changed(selection.changed_since, client.id)
        if changed is None:
            last = _last_scanned(client.id, after)
        else:
            left = sorted(estab_id for estab_id in changed if after is None or estab_id > after)
            if not left:
                return Page([], None)
            last = left[MAX_SCANNED - 1] if len(left) > MAX_SCANNED else None
            statement = statement.where(one_of(Authorisation.estab_id, left[:MAX_SCANNED]))
        if last is not None:
            statement = statement.where(Authorisation.estab_id <= last, Estab.id <= last)
    matches = _read(client, statement, after=after, limit=limit + 1)
    schools = matches[:limit]
    return Page(schools, schools[-1].estab.id if len(matches) > limit else last)


def _last_scanned(client_id: str, after: str | None) -> str | None:
    """The estab of the last agreement that a page looks at; None where that is all of them."""
    following = select(Authorisation.estab_id).where(Authorisation.client_id == client_id)
    if after is not None:
        following = following.where(Authorisation.estab_id > after)
    return session().scalar(following.order_by(Authorisation.estab_id).offset(MAX_SCANNED - 1).limit(1))


def _read(client: Snapshot, statement: Select[Any], **values: Any) -> list[ClientSchool]:
    """The schools of the rows of a statement like `_FIRST`."""
    parsed = [_parse(row) for row in connection().execute(statement, {"client": client.id, **values})]
    continued_as = _estab_ids({agreement.moved_to for agreement, *_ in parsed if agreement.moved_to is not None})
    return [_to_school(client, *row, continued_as) for row in parsed]


def _parse(row: Sequence[Any]) -> tuple[Agreement, Account, Entry, datetime]:
    """A row of `_newest`; the last value is when the school's entry was imported."""
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
        .offset(0)  # keeps PostgreSQL from joining all agreements of the client
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


_FIRST: Final = (
    _newest()
    .where(Authorisation.client_id == bindparam("client", type_=Text()))
    .order_by(Authorisation.estab_id)
    .limit(bindparam("limit", type_=Integer()))
)
"""Built once: that takes longer than running it for one school."""

_AFTER: Final = bindparam("after", type_=Text())
_FOLLOWING: Final = _FIRST.where(Authorisation.estab_id > _AFTER, Estab.id > _AFTER)
"""The second condition is equivalent; without it PostgreSQL reads the estabs from the first one on."""


def _conditions(selection: Selection) -> Sequence[ColumnElement[bool]]:
    conditions = list(selection.further)
    if selection.estab is not None:
        conditions.append(Estab.estab_id == selection.estab)
    if selection.verification is not None:
        conditions.append(Estab.state == selection.verification)
    if selection.status is not None:
        conditions.append(has_status(selection.status))
    if selection.changed_since is not None:
        conditions.append(_has_changed(selection.changed_since))
    return conditions


def _has_changed(since: datetime) -> ColumnElement[bool]:
    """The condition for rows of `_newest` of which anything has changed, as in `ClientSchool.changed_at`."""
    return or_(
        func.coalesce(Authorisation.changed_at, Authorisation.given_at) >= since,
        Authorisation.until.between(since, clock.now()),
        Estab.state_changed_at >= since,
        Estab.endpoint_changed_at >= since,
        RegisterImport.imported_at >= since,
    )


def _changed(since: datetime, client_id: str) -> set[str] | None:
    """The internal ids of some estabs, among them all in which anything has changed; None if they are too many.

    Each part reads an index of its own, and no more than `MAX_CHANGED` rows of it.
    """
    imported = _imported(since)
    if len(imported) > MAX_CHANGED:
        return None
    client_estabs = select(Authorisation.estab_id).where(Authorisation.client_id == client_id)
    parts: list[Select[Any]] = [
        client_estabs.where(Authorisation.changed_at >= since),
        client_estabs.where(Authorisation.changed_at.is_(None)),
        client_estabs.where(Authorisation.until.between(since, clock.now())),
        select(Estab.id).where(Estab.state_changed_at >= since),
        select(Estab.id).where(Estab.endpoint_changed_at >= since),
    ]
    if imported:
        parts.append(select(Estab.id).where(Estab.school_id.in_(imported)))
    limited = [part.limit(MAX_CHANGED + 1).subquery() for part in parts]
    rows = session().execute(union_all(*(select(literal(number), part) for number, part in enumerate(limited)))).all()
    if any(count > MAX_CHANGED for count in Counter(number for number, _ in rows).values()):
        return None
    return {estab_id for _, estab_id in rows}


def _imported(since: datetime) -> Sequence[int]:
    """The internal ids of schools whose entry was imported anew: all, or one more than `MAX_CHANGED`."""
    # A query of its own: PostgreSQL assumes that a subquery matches every school, and would read them all.
    first_import = session().scalar(select(func.min(RegisterImport.id)).where(RegisterImport.imported_at >= since))
    if first_import is None:
        return ()
    imported = select(School.id).where(School.last_seen_in >= first_import)
    return session().scalars(imported.limit(MAX_CHANGED + 1)).all()


def has_status(status: str) -> ColumnElement[bool]:
    """The condition for agreements in this state, as `status_now` defines it."""
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
    state = AgreementState(
        id=agreement.id, scopes=agreement.scopes, offered=agreement.offered, given_at=agreement.given_at,
        until=agreement.until, paused_at=agreement.paused_at, estab_id=estab.id, estab_public_id=estab.estab_id,
        estab_state=estab.state, mis=estab.mis, client_id=client.id, client_version=client.version,
        client_enabled=True, client_scopes=client.required_scopes | client.optional_scopes,
        accepted_mis=client.accepted_mis, person_left=False,
    )  # fmt: skip
    agreed = scopes.known(agreement.scopes & state.client_scopes)
    granted = state.allowed(agreed) if agreement.withdrawn_at is None else frozenset()
    return granted, agreed - granted
