"""The register as we keep it. Never deleted from: a school that leaves it is marked."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base


class School(Base):
    """An entry of a national register; `register` is `gias`, and `register_id` then its URN."""

    __tablename__ = "schools"
    __table_args__ = (UniqueConstraint("register", "register_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    register: Mapped[str]
    register_id: Mapped[str]
    name: Mapped[str]
    la_code: Mapped[str]
    la_name: Mapped[str]
    establishment_number: Mapped[str]
    dfe_number: Mapped[str | None] = mapped_column(index=True)
    """LA code and number, 7 digits without a slash; not unique: a closed school and its successor may share it."""
    former_dfe_number: Mapped[str | None] = mapped_column(index=True)
    ukprn: Mapped[str | None] = mapped_column(index=True)
    type_code: Mapped[str]
    type_name: Mapped[str]
    group_code: Mapped[str]
    group_name: Mapped[str]
    status_code: Mapped[str]
    """1 open, 2 closed, 3 open but proposed to close, 4 proposed to open."""
    status_name: Mapped[str]
    phase_code: Mapped[str]
    phase_name: Mapped[str]
    low_age: Mapped[int | None]
    high_age: Mapped[int | None]
    opened_on: Mapped[date | None]
    closed_on: Mapped[date | None]
    street: Mapped[str]
    locality: Mapped[str]
    address3: Mapped[str]
    town: Mapped[str]
    county: Mapped[str]
    postcode: Mapped[str]
    postcode_key: Mapped[str] = mapped_column(index=True)
    """The postcode in capitals without spaces."""
    website: Mapped[str]
    website_host: Mapped[str]
    telephone: Mapped[str]
    telephone_e164: Mapped[str]
    trust_code: Mapped[str]
    trust_name: Mapped[str]
    head_teacher: Mapped[str]
    """For operators and their call; never in claims or search."""
    country: Mapped[str]
    """The nation, for its bank holidays: England, Wales, …; empty means England."""
    last_changed_on: Mapped[date | None]
    digest: Mapped[bytes]
    first_seen_in: Mapped[int] = mapped_column(ForeignKey("register_imports.id"))
    last_seen_in: Mapped[int] = mapped_column(ForeignKey("register_imports.id"))
    left_register_on: Mapped[date | None]

    @property
    def urn(self) -> str | None:
        """The URN, for schools of the English register."""
        return self.register_id if self.register == "gias" else None

    @property
    def is_open(self) -> bool:
        """Open, or open but proposed to close: both may register."""
        return self.status_code in {"1", "3"} and self.left_register_on is None


class SchoolLink(Base):
    """What `to_urn` is to `from_urn` in the register's links file."""

    __tablename__ = "school_links"
    __table_args__ = (Index("ix_school_links_pair", "from_urn", "to_urn"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    from_urn: Mapped[str] = mapped_column(index=True)
    to_urn: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    name: Mapped[str]
    since: Mapped[date | None]


class RegisterImport(Base):
    """One import of the register, and what it did."""

    __tablename__ = "register_imports"

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    dated: Mapped[date | None]
    """The file's date: from its name, else its newest LastChangedDate."""
    imported_at: Mapped[datetime]
    rows: Mapped[int]
    added: Mapped[int]
    changed: Mapped[int]
    closed: Mapped[int]
    reopened: Mapped[int]
    left: Mapped[int]


class SchoolChange(Base):
    """Something about a school changed with an import; the daily job reads these and tells whom it concerns."""

    __tablename__ = "school_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("schools.id"), index=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("register_imports.id"))
    kind: Mapped[str]
    """`added`, `changed`, `closed`, `reopened`, `left`, `returned`."""
    told_at: Mapped[datetime | None]
