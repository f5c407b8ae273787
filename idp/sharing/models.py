"""A school's agreements."""

from datetime import datetime

from sqlalchemy import ColumnElement, ForeignKey, Index, UniqueConstraint, and_, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.estabs.models import Administrator, Estab
from idp.foundation import clock, scopes as catalogue
from idp.foundation.database import Base
from idp.partners.models import Client
from idp.schools.models import School

_CURRENT = text("withdrawn_at IS NULL AND superseded_at IS NULL")


def status_now(*, withdrawn_at: datetime | None, until: datetime, paused_at: datetime | None) -> str:
    """How the newest agreement of a school with a client stands: `active`, `paused`, `withdrawn` or `expired`, now."""
    if withdrawn_at is not None:
        return "withdrawn"
    if until <= clock.now():
        return "expired"
    return "active" if paused_at is None else "paused"


class Authorisation(Base):
    """One agreement of an estab with a client. Its scopes are never edited: a change supersedes it with a new one."""

    __tablename__ = "authorisations"
    __table_args__ = (
        Index(
            "uq_authorisations_current", "estab_id", "client_id", unique=True,
            postgresql_where=_CURRENT, sqlite_where=_CURRENT,
        ),
        Index("ix_authorisations_line", "line"),
        Index("ix_authorisations_client", "client_id", "estab_id"),
        Index("ix_authorisations_until", "until"),
        Index("ix_authorisations_client_until", "client_id", "until"),
        Index("ix_authorisations_changed", "client_id", "changed_at"),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"))
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    line: Mapped[str]
    """The id of the first agreement of an unbroken series. A change continues the line, and what was issued under
    its older agreements stays valid under the newest; withdrawing ends the line for good."""
    scopes: Mapped[frozenset[str]]
    """The scopes that the school agreed to."""
    offered: Mapped[frozenset[str]]
    """The scopes that the school was asked about. It is not asked again about those that it left out."""
    given_by: Mapped[str] = mapped_column(ForeignKey("administrators.id"))
    given_at: Mapped[datetime]
    agreement: Mapped[str]
    """The version of the data sharing agreement that was shown."""
    until: Mapped[datetime]
    paused_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None]
    superseded_at: Mapped[datetime | None]
    changed_at: Mapped[datetime | None]
    """When it was last given, paused, resumed, superseded or withdrawn, or the school named another MIS. None in a
    row that was written by a release without this column: then `given_at` counts."""

    reminded_days: Mapped[int | None]
    """The last reminder of its end that was sent to the owners: 30 or 7 days before, or 0 when it had ended."""
    considered_scopes: Mapped[frozenset[str] | None]
    """What the school may be asked for by the client without a review: what it was registered for when the school first
    agreed, and what the school has decided about since. None where an older release wrote the row: nothing is asked."""
    considered_required: Mapped[frozenset[str] | None]
    """Those of them that the client required."""
    considered_agreement: Mapped[str | None]
    """The version of the data sharing agreement that the school decided about last; None means `agreement`."""
    review_mailed_at: Mapped[datetime | None]
    """When the owners were told that a review waits, since the school decided last."""
    review_declined_at: Mapped[datetime | None]
    """When the school declined a review last."""
    moved_to: Mapped[str | None] = mapped_column(ForeignKey("estabs.id"))
    """The internal id of the successor that continues it, if it was withdrawn for that reason."""

    client: Mapped[Client] = relationship(lazy="joined", viewonly=True)
    giver: Mapped[Administrator] = relationship(viewonly=True)
    estab: Mapped[Estab] = relationship(foreign_keys=estab_id, viewonly=True)

    @property
    def state(self) -> str:
        """`active`, `paused`, `withdrawn`, `expired` or `superseded`, now."""
        if self.withdrawn_at is None and self.superseded_at is not None:
            return "superseded"
        return status_now(withdrawn_at=self.withdrawn_at, until=self.until, paused_at=self.paused_at)

    @property
    def is_unsupported(self) -> bool:
        """Whether it would be in force, but for the school's system, which the client does not accept."""
        accepted = self.client.accepted_mis
        return self.state == "active" and bool(accepted) and self.estab.mis not in accepted

    @property
    def has_choice(self) -> bool:
        """Whether the school can change what it shares: it has not expired, and something on offer is optional."""
        return self.state != "expired" and bool(self.offered & self.client.optional_scopes)

    @property
    def is_of_server(self) -> bool:
        """Whether it is of the program on the school's server, which sends data and receives none."""
        return _is_of_server(self.scopes)

    @property
    def is_withheld(self) -> bool:
        """Whether it is in force but no school data flows yet, because the school is not verified."""
        is_about_data = bool(catalogue.filter_by_kind("data", self.scopes))
        return self.state == "active" and is_about_data and not self.estab.is_verified

    @property
    def sharing_state(self) -> str:
        """`state`; but where it is in force and no data flows, `unsupported` or `waiting` (if it `is_withheld`)."""
        if self.is_unsupported:
            return "unsupported"
        return "waiting" if self.is_withheld else self.state

    @classmethod
    def current(cls, estab_id: str, client_id: str) -> ColumnElement[bool]:
        """The condition for the agreement in force or paused; a unique index ensures that there is one at most."""
        return and_(
            cls.estab_id == estab_id,
            cls.client_id == client_id,
            cls.withdrawn_at.is_(None),
            cls.superseded_at.is_(None),
        )


class Decision(Base):
    """A line of the history a school can read."""

    __tablename__ = "sharing_decisions"
    __table_args__ = (Index("ix_sharing_decisions_estab", "estab_id", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"))
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    authorisation_id: Mapped[str | None]
    at: Mapped[datetime]
    by: Mapped[str]
    """The administrator's id."""
    what: Mapped[str]
    """`given`, `refused`, `changed`, `renewed`, `review_declined`, `paused`, `resumed`, `withdrawn`, `moved`,
    `unsupported` and `supported`, by another system of the school."""
    scopes: Mapped[frozenset[str]]

    client: Mapped[Client] = relationship(lazy="joined", viewonly=True)

    @property
    def is_of_server(self) -> bool:
        """Whether it is about the program on the school's server."""
        return _is_of_server(self.scopes)


class Release(Base):
    """A closing school releases its sharing to a successor, which decides whether to continue it."""

    __tablename__ = "sharing_releases"
    __table_args__ = (UniqueConstraint("estab_id", "school_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"))
    """The internal id of the estab that closes."""
    school_id: Mapped[int] = mapped_column(ForeignKey("schools.id", ondelete="RESTRICT"), index=True)
    """Its successor in the register; it may have no estab yet."""
    released_at: Mapped[datetime]
    released_by: Mapped[str]
    """The id of an owner, or who of our staff did it."""
    used_at: Mapped[datetime | None]
    """When the successor decided; it decides once."""
    used_by: Mapped[str | None]

    estab: Mapped[Estab] = relationship(lazy="joined", viewonly=True)
    school: Mapped[School] = relationship(lazy="joined", viewonly=True)


def _is_of_server(scopes: frozenset[str]) -> bool:
    return bool(catalogue.filter_by_kind("endpoint", scopes)) and not catalogue.filter_by_kind("data", scopes)
