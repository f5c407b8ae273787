"""Endpoints of schools, and totals of who read their data."""

from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.estabs.models import Estab
from idp.foundation import clock
from idp.foundation.database import Base
from idp.partners.models import Client

LOSS_DELAY: Final = timedelta(hours=24)
"""An endpoint that has not reported for this long is lost."""
_CURRENT = text("ended_at IS NULL")


def state_of_current(heard_at: datetime, extract_at: datetime | None) -> str:
    """The state of an endpoint that has not ended."""
    if heard_at <= clock.now() - LOSS_DELAY:
        return "lost"
    return "registered" if extract_at is None else "connected"


class Endpoint(Base):
    """An agent that was connected to a school, by the key that its tokens are bound to; a school has one at a time."""

    __tablename__ = "endpoints"
    __table_args__ = (
        Index(
            "uq_endpoints_current", "estab_id", unique=True, postgresql_where=_CURRENT, sqlite_where=_CURRENT
        ),
        Index("ix_endpoints_estab", "estab_id", "registered_at"),
        Index("ix_endpoints_heard", "heard_at", postgresql_where=_CURRENT, sqlite_where=_CURRENT),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"))
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"))
    key_thumbprint: Mapped[str]
    """The thumbprint of the DPoP key that its tokens are bound to (RFC 7638)."""
    lineage: Mapped[str]
    """The lineage of the token with which it last reported."""
    registered_at: Mapped[datetime]
    registered_by: Mapped[str]
    """The id of the administrator who connected it."""
    heard_at: Mapped[datetime]

    name: Mapped[str]
    """The name of its server, as the server itself gives it."""
    mis: Mapped[str]
    agent_version: Mapped[str]
    platform: Mapped[str]
    last_extract: Mapped[dict[str, Any] | None]
    """The newest extract that XporterOnDemand has received: `id`, `sent_at` by its clock, and `records`: how many."""
    extract_at: Mapped[datetime | None]
    """When it first reported that extract, by our clock."""
    last_error: Mapped[dict[str, Any] | None]
    """The error in its newest report, with `code`, `message` and `at`; None if that reports none."""
    extract_requested_at: Mapped[datetime | None]
    """When an administrator last asked for an extract."""
    lost_at: Mapped[datetime | None]
    """When its loss was recorded, and partners were told of it if they knew it; None again when it reports."""

    ended_at: Mapped[datetime | None]
    ended_as: Mapped[str | None]
    """`replaced`, by another endpoint; or `removed`, by the agent itself, an administrator or an operator."""
    ended_by: Mapped[str | None]

    estab: Mapped[Estab] = relationship(viewonly=True)

    @property
    def state(self) -> str:
        """`registered` until an extract was received, `connected`, or `lost`; in the end `replaced` or `removed`."""
        return state_of_current(self.heard_at, self.extract_at) if self.ended_as is None else self.ended_as

    @property
    def is_known_to_partners(self) -> bool:
        """Whether the last event that partners were sent about it, before it ended, says that it is connected."""
        return self.extract_at is not None and self.lost_at is None

    @property
    def is_extract_wanted(self) -> bool:
        """Whether an administrator has asked for an extract since the last one."""
        requested = self.extract_requested_at
        return requested is not None and (self.extract_at is None or self.extract_at < requested)


class Read(Base):
    """How often a client read one area of an estab's data on one day: the newest total that was reported."""

    __tablename__ = "reads"
    __table_args__ = (Index("ix_reads_last_at", "last_at"),)

    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id"), primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger)
    records: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime]

    client: Mapped[Client] = relationship(lazy="joined", viewonly=True)
