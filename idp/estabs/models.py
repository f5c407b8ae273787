"""Estabs, the administrators who act for them, and the links and codes that one person may use once."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.foundation.database import Base
from idp.schools.models import School

ACTIVE_STATES = frozenset({"unverified", "verified"})
"""States of an estab whose people may sign in and authorise; the others are `rejected`, `suspended` and `closed`."""
FINAL_STATES = ("rejected", "closed")
"""States that an estab never leaves: its school registers anew."""
_NOT_FINAL = text("state NOT IN ('rejected', 'closed')")


class Estab(Base):
    """A school that has registered with us."""

    __tablename__ = "estabs"
    __table_args__ = (
        # A school registers once, even if several people complete the form at the same moment
        Index("uq_estabs_live_school", "school_id", unique=True, postgresql_where=_NOT_FINAL, sqlite_where=_NOT_FINAL),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(unique=True)
    """Its DfE number where no other estab has it, otherwise E and six digits; never changed, never reused."""
    school_id: Mapped[int] = mapped_column(ForeignKey("schools.id", ondelete="RESTRICT"), index=True)
    state: Mapped[str]
    state_changed_at: Mapped[datetime]
    registered_at: Mapped[datetime]
    mis: Mapped[str | None]
    """A code of config/mis.toml; None until the school has answered."""

    school: Mapped[School] = relationship(lazy="joined")

    @property
    def name(self) -> str:
        """The school's name in the register."""
        return self.school.name

    @property
    def is_verified(self) -> bool:
        """Whether partners may receive the school's data."""
        return self.state == "verified"

    @property
    def may_act(self) -> bool:
        """Whether its people may authorise at all."""
        return self.state in ACTIVE_STATES


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
    mobile_changed_at: Mapped[datetime | None]
    """When this number took the place of another; a day later it can reset the password."""
    role: Mapped[str]
    password_hash: Mapped[str | None]
    password_is_ours: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether it is a passphrase that we generated, which may be typed with blanks for hyphens, and with capitals."""
    password_changed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]

    estab: Mapped[Estab] = relationship(lazy="joined")

    @property
    def name_in_mails(self) -> str | None:
        """Their name once the school is verified, else None: until then it may hold an attacker's message."""
        return self.name if self.estab.is_verified else None

    @property
    def may_authorise(self) -> bool:
        """Owners and admins may authorise; viewers may only look."""
        return self.removed_at is None and self.role in {"owner", "admin"} and self.estab.may_act


class PersonalSecret(Base):
    """A single-use link or code for one person (an administrator or an operator) and one purpose."""

    __tablename__ = "personal_secrets"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    """`welcome`, `reset`, `email`, `mobile`, `mobile_change`, `lost_factor`, `factor_recovery`, `undo_changes`,
    `operator_set_up`."""
    person_id: Mapped[str] = mapped_column(index=True)
    value: Mapped[str | None]
    """What it confirms, such as the mobile number; sealed where it is a secret itself."""
    tries: Mapped[int]
    """How often a code has been tried; after too many tries it no longer works."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    superseded_at: Mapped[datetime | None]
