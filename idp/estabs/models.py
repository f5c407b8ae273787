"""Estabs, the administrators who act for them, and the links and codes that one person may use once."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from idp.estabs import permissions
from idp.estabs.permissions import Action
from idp.foundation import clock
from idp.foundation.database import Base
from idp.schools.models import School

ACTIVE_STATES = frozenset({"unverified", "verified"})
"""States of an estab whose people may sign in and authorise; the others are `rejected`, `suspended` and `closed`."""
FINAL_STATES = ("rejected", "closed")
"""Final states. Its school can register again, as a new estab."""
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
    state_changed_at: Mapped[datetime] = mapped_column(index=True)
    endpoint_changed_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the state of its endpoint (`xporter`) changed last; a loss counts from when it is recorded. None if it never
    had one. The column is here because a page of a client's schools reads this row in any case."""
    registered_at: Mapped[datetime]
    mis: Mapped[str | None]
    """A code of config/mis.toml; None until the school has answered."""
    second_step_required_at: Mapped[datetime | None]
    """Since when the school requires a second step of everyone who acts for it; None if it does not."""
    fictional_for: Mapped[str | None] = mapped_column(index=True)
    """The id of the partner whose fictional school this is (`estabs.fictional`); None for a real school. Never
    changed."""
    removal_mailed_at: Mapped[datetime | None]
    """When the partner of a fictional school was told that it will be removed because no one uses it."""
    closing_told: Mapped[str | None]
    """The register's status of the school, closed or about to close, that its owners were told of."""

    school: Mapped[School] = relationship(lazy="joined")

    @property
    def name(self) -> str:
        """The school's name in the register."""
        return self.school.name

    @property
    def is_fictional(self) -> bool:
        """Whether it is a school that a partner has made up to try its application."""
        return self.fictional_for is not None

    @property
    def is_verified(self) -> bool:
        """Whether partners may receive the school's data."""
        return self.state == "verified"

    @property
    def may_act(self) -> bool:
        """Whether its people may authorise at all."""
        return self.state in ACTIVE_STATES


class Administrator(Base):
    """A person who acts for one or several estabs; the OpenID subject. The id is never reused.

    `Membership` has the estabs and the person's role in each.
    """

    __tablename__ = "administrators"
    __table_args__ = (Index("ix_administrators_address", "email_folded"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    first_estab_id: Mapped[str] = mapped_column("estab_id", ForeignKey("estabs.id"), index=True)
    """Written for the previous release, which reads it; not read by this one (decision 53)."""
    name: Mapped[str]
    email: Mapped[str]
    """As typed; verified before the account exists."""
    email_folded: Mapped[str]
    sign_in_email: Mapped[str | None] = mapped_column(unique=True)
    """The folded address, for the one account that may sign in by it: a person who registered two schools with one
    address signs in to the second account with its username."""
    username: Mapped[str] = mapped_column(unique=True)
    """Folded. The first owner's is the Estab ID."""
    mobile: Mapped[str]
    """E.164."""
    mobile_confirmed_at: Mapped[datetime | None]
    mobile_changed_at: Mapped[datetime | None]
    """When this number replaced another; a day later it can be used to reset the password."""
    first_role: Mapped[str] = mapped_column("role")
    """Written for the previous release, as `first_estab_id` is."""
    password_hash: Mapped[str | None]
    password_is_ours: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether it is a passphrase that we generated, which may be typed with spaces for hyphens, and with capitals."""
    password_changed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
    """When they stopped acting for their last estab; all memberships of a removed person are removed."""

    memberships: Mapped[list["Membership"]] = relationship(
        primaryjoin="and_(Administrator.id == Membership.person_id, Membership.removed_at.is_(None))",
        order_by="(Membership.added_at, Membership.estab_id)",
        viewonly=True,
    )
    """The memberships in force, oldest first."""

    @property
    def may_sign_in(self) -> bool:
        """Whether the account of at least one of their schools is open."""
        return any(membership.estab.may_act for membership in self.memberships)

    @property
    def has_verified_school(self) -> bool:
        """Whether one of their schools is verified, so that its owners may help them (`signin.colleagues`)."""
        return any(membership.estab.is_verified for membership in self.memberships)

    @property
    def name_in_mails(self) -> str | None:
        """Their name once a school of theirs is verified, else None: until then it may hold an attacker's message."""
        return self.name if self.has_verified_school else None

    @property
    def described_in_mails(self) -> str:
        """How mails to others refer to them: by `name_in_mails`, or by username if that is None."""
        return self.name_in_mails or f"the person with the username {self.username}"

    @property
    def sole_estab_id(self) -> str | None:
        """The internal id of the one estab they act for, None where there are several.

        For audit entries and messages about the person, such as a change of password, that concern no school.
        """
        estab_ids = [membership.estab_id for membership in self.memberships]
        return estab_ids[0] if len(estab_ids) == 1 else None


class Membership(Base):
    """A person acting for one estab, in a role.

    There is at most one for a person and an estab; a person who is added again gets the same row.
    """

    __tablename__ = "memberships"

    person_id: Mapped[str] = mapped_column(ForeignKey("administrators.id"), primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"), primary_key=True, index=True)
    """The estab's internal id, not its Estab ID."""
    role: Mapped[str]
    added_at: Mapped[datetime]
    signed_in_at: Mapped[datetime | None]
    """When they last signed in for this estab, or changed to it."""
    removed_at: Mapped[datetime | None]

    person: Mapped[Administrator] = relationship(lazy="joined")
    estab: Mapped[Estab] = relationship(lazy="joined")

    def may(self, action: Action) -> bool:
        """Whether the person may do this for the estab, according to this row, which may be out of date."""
        return self.removed_at is None and self.estab.may_act and permissions.may(self.role, action)

    @property
    def is_owner(self) -> bool:
        """Whether the person is an owner of the school's account."""
        return permissions.is_owner(self.role)

    @property
    def role_title(self) -> str:
        """The role as pages name it."""
        return permissions.TITLES[self.role]


class PersonInvitation(Base):
    """An owner's invitation of a person to act for an estab; accepted by the link in a mail."""

    __tablename__ = "person_invitations"

    id: Mapped[str] = mapped_column(primary_key=True)
    estab_id: Mapped[str] = mapped_column(ForeignKey("estabs.id"), index=True)
    """The estab's internal id."""
    name: Mapped[str]
    """As the owner typed it; the person may correct it."""
    email: Mapped[str]
    email_folded: Mapped[str]
    role: Mapped[str]
    invited_by: Mapped[str] = mapped_column(ForeignKey("administrators.id"))
    """The owner who sent the newest link. The invitation is cancelled when they stop being an owner."""
    digest: Mapped[bytes] = mapped_column(unique=True)
    """The digest of the newest link's secret; earlier links do not work."""
    sent: Mapped[int]
    """How many links were mailed."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    accepted_by: Mapped[str | None]
    """The id of the person who accepted it."""
    cancelled_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    """When the person was reminded that the newest link expires."""

    estab: Mapped[Estab] = relationship(lazy="joined")
    inviter: Mapped[Administrator] = relationship(lazy="joined")

    @property
    def is_expired(self) -> bool:
        """Whether it has expired; a new link can still be sent."""
        return self.expires_at <= clock.now()


class PersonalSecret(Base):
    """A single-use link or code for one person (an administrator or an operator) and one purpose."""

    __tablename__ = "personal_secrets"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    """`welcome`, `reset`, `email`, `mobile`, `mobile_change`, `lost_factor`, `factor_recovery`, `undo_changes`,
    `operator_set_up`."""
    person_id: Mapped[str] = mapped_column(index=True)
    value: Mapped[str | None]
    """The value that it confirms, such as a mobile number; sealed if it is a secret itself."""
    tries: Mapped[int]
    """How often a code has been tried; after too many attempts it no longer works."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    superseded_at: Mapped[datetime | None]
