"""Estabs and the administrators who act for them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.foundation.database import Base
from idp.schools.models import School

STATES = ("unverified", "verified", "rejected", "suspended", "closed")
ROLES = ("owner", "admin", "viewer")


class Estab(Base):
    """A school that has registered with us."""

    __tablename__ = "estabs"

    id: Mapped[str] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(unique=True)
    """Its DfE number where nobody else has it, otherwise E and six digits; settled once, never reused."""
    school_id: Mapped[int] = mapped_column(ForeignKey("schools.id", ondelete="RESTRICT"), index=True)
    state: Mapped[str]
    state_changed_at: Mapped[datetime]
    registered_at: Mapped[datetime]
    mis: Mapped[str | None]
    """A code of config/mis.toml; None until asked."""

    school: Mapped[School] = relationship(lazy="joined")

    @property
    def name(self) -> str:
        """The school's name in the register."""
        return self.school.name

    @property
    def is_verified(self) -> bool:
        """Whether school data may flow."""
        return self.state == "verified"

    @property
    def may_act(self) -> bool:
        """Whether its people may authorise at all."""
        return self.state in {"unverified", "verified"}


class Administrator(Base):
    """A person who acts for one estab; the OpenID subject. The id is never reused."""

    __tablename__ = "administrators"
    __table_args__ = (Index("ix_administrators_address", "email_folded"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"), index=True)
    """The estab's internal id, not its Estab ID."""
    name: Mapped[str]
    email: Mapped[str]
    """As typed; verified before the account exists."""
    email_folded: Mapped[str]
    sign_in_email: Mapped[str | None] = mapped_column(unique=True)
    """The folded address, for the one account that may sign in by it: someone who acts for two schools signs
    in to the second with its username."""
    username: Mapped[str] = mapped_column(unique=True)
    """Folded. The first owner's is the Estab ID."""
    mobile: Mapped[str]
    """E.164."""
    mobile_confirmed_at: Mapped[datetime | None]
    role: Mapped[str]
    password_hash: Mapped[str | None]
    password_changed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]

    estab: Mapped[Estab] = relationship(lazy="joined")

    @property
    def may_authorise(self) -> bool:
        """Owners and admins decide; viewers look."""
        return self.removed_at is None and self.role in {"owner", "admin"} and self.estab.may_act
