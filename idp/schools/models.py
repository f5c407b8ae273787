"""The register's tables and its search index. Schools are never deleted: one that leaves the register is marked."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, Text, UniqueConstraint, and_, text
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from idp.foundation.database import Base
from idp.schools import codes

Key = Text().with_variant(Text(collation="C"), "postgresql")
"""Text compared byte by byte on every database, so that an index can be used for a search by prefix."""


def begins_with(column: InstrumentedAttribute[str], letters: str) -> ColumnElement[bool]:
    """The condition that a `Key` column begins with `letters`; "~" sorts after all letters and digits."""
    return and_(column >= letters, column < f"{letters}~")


def _standing_of_row(row: DefaultExecutionContext) -> int:
    status: str = row.get_current_parameters()["status_code"]  # type: ignore[no-untyped-call]
    return codes.status_rank(status)


class School(Base):
    """An entry of a national register; `register` is `gias`, and `register_id` then its URN."""

    __tablename__ = "schools"
    __table_args__ = (
        UniqueConstraint("register", "register_id"),
        # partial: most schools never had another number, and with their NULLs the planner would not use the index
        Index(
            "ix_schools_former_dfe_number",
            "former_dfe_number",
            sqlite_where=text("former_dfe_number IS NOT NULL"),
            postgresql_where=text("former_dfe_number IS NOT NULL"),
        ),
        Index("ix_schools_in_order", "standing", "name_key", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    register: Mapped[str]
    register_id: Mapped[str]
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(Key, default="")
    """The name as `words.fold` leaves it, for putting schools in order."""
    la_code: Mapped[str]
    la_name: Mapped[str]
    establishment_number: Mapped[str]
    dfe_number: Mapped[str | None] = mapped_column(index=True)
    """LA code and number, 7 digits without a slash; not unique: a closed school and its successor may share it."""
    former_dfe_number: Mapped[str | None]
    ukprn: Mapped[str | None] = mapped_column(index=True)
    type_code: Mapped[str]
    type_name: Mapped[str]
    group_code: Mapped[str]
    group_name: Mapped[str]
    status_code: Mapped[str]
    """1 open, 2 closed, 3 open but proposed to close, 4 proposed to open."""
    status_name: Mapped[str]
    standing: Mapped[int] = mapped_column(default=_standing_of_row)
    """`codes.status_rank` of the status: the order in which schools are listed."""
    phase_code: Mapped[str]
    phase_name: Mapped[str]
    low_age: Mapped[int | None]
    high_age: Mapped[int | None]
    opened_on: Mapped[date | None]
    closed_on: Mapped[date | None]
    """May be in the future, for a school that is proposed to close."""
    street: Mapped[str]
    locality: Mapped[str]
    address3: Mapped[str]
    town: Mapped[str]
    county: Mapped[str]
    postcode: Mapped[str]
    postcode_key: Mapped[str] = mapped_column(Key, index=True)
    """The postcode in capitals without spaces."""
    website: Mapped[str]
    website_host: Mapped[str]
    telephone: Mapped[str]
    telephone_e164: Mapped[str]
    trust_code: Mapped[str]
    trust_name: Mapped[str]
    head_teacher: Mapped[str]
    """For operators who call the school; never in claims or search."""
    country: Mapped[str]
    """The nation, for its bank holidays: England, Wales, …; empty means England."""
    last_changed_on: Mapped[date | None]
    digest: Mapped[bytes]
    """Digest of the line it was read from: a line with the same digest is skipped."""
    first_seen_in: Mapped[int] = mapped_column(ForeignKey("register_imports.id"))
    last_seen_in: Mapped[int] = mapped_column(ForeignKey("register_imports.id"), index=True)
    """The import that last wrote the row. Later imports found the school unchanged, or missing."""
    left_register_on: Mapped[date | None]

    @property
    def urn(self) -> str | None:
        """The URN, for schools of the English register."""
        return self.register_id if self.register == "gias" else None

    @property
    def dfe_number_shown(self) -> str:
        """The DfE number as people write it, `312/4567`; empty where there is none."""
        return f"{self.dfe_number[:3]}/{self.dfe_number[3:]}" if self.dfe_number else ""

    @property
    def address(self) -> str:
        """The address in one line, without what the register leaves empty."""
        parts = (self.street, self.locality, self.address3, self.town, self.county, self.postcode)
        return ", ".join(part for part in parts if part)

    @property
    def website_link(self) -> str:
        """The website as an http or https URL that is safe to link to; empty if there is none."""
        if not self.website_host:
            return ""
        url = self.website if self.website.lower().startswith(("http://", "https://")) else ""
        return url if f"//{self.website_host}" in url.lower() else f"http://{self.website_host}"

    @property
    def is_open(self) -> bool:
        """Open, or open but proposed to close: both may register."""
        return self.status_code in codes.OPEN_STATUSES and self.left_register_on is None


class SchoolLink(Base):
    """How two schools of the register are connected.

    Where `is_succession`, `to_urn` follows `from_urn`, whichever of the two the file listed; other kinds
    have no direction and are only shown. Either school may be absent from the register.
    """

    __tablename__ = "school_links"
    __table_args__ = (UniqueConstraint("from_urn", "to_urn", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    from_urn: Mapped[str]
    to_urn: Mapped[str]
    kind: Mapped[str]
    """In the register's words, "Successor - merged" for instance."""
    is_succession: Mapped[bool]
    name: Mapped[str]
    """The name of the school `to_urn`, where the file gives it."""
    since: Mapped[date | None]


class RegisterImport(Base):
    """One import of the register, and what it did."""

    __tablename__ = "register_imports"

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    dated: Mapped[date | None]
    """The file's date: from its name, else its newest LastChangedDate."""
    newest_change_on: Mapped[date | None]
    imported_at: Mapped[datetime]
    rows: Mapped[int]
    added: Mapped[int]
    changed: Mapped[int]
    closed: Mapped[int]
    reopened: Mapped[int]
    left: Mapped[int]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The rest of `refresh.Summary`: `links`, `returned`, `unknown_codes`, `repairs`, `seconds`."""


class SchoolChange(Base):
    """A change of a school in an import. A timed job reports to our staff those of schools that have an account."""

    __tablename__ = "school_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("schools.id"), index=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("register_imports.id"), index=True)
    kind: Mapped[str]
    """`added`, `changed`, `closed`, `reopened`, `left`, `returned`."""
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Each field's name with what it was and what it is; without the head teacher."""
    told_at: Mapped[datetime | None] = mapped_column(index=True)
    """When it was reported to our staff."""


class SearchWord(Base):
    """A word, folded, of names or towns; `schools` is the number of schools that have it."""

    __tablename__ = "search_words"

    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(Key, unique=True)
    schools: Mapped[int] = mapped_column(default=0)


class SchoolWord(Base):
    """Which schools have a word. Without foreign keys, which would double the time of an import; see `index`."""

    __tablename__ = "school_words"
    __table_args__ = (Index("ix_school_words_school_id", "school_id"), {"sqlite_with_rowid": False})

    word_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    school_id: Mapped[int] = mapped_column(primary_key=True)


class WordTrigram(Base):
    """Which words contain a trigram: the candidates for a misspelt word."""

    __tablename__ = "word_trigrams"
    __table_args__ = (Index("ix_word_trigrams_word_id", "word_id"), {"sqlite_with_rowid": False})

    trigram: Mapped[str] = mapped_column(Key, primary_key=True)
    word_id: Mapped[int] = mapped_column(primary_key=True)
