"""The audit log: append-only, enforced by triggers; the worker chains entries after they were committed."""

from datetime import datetime
from typing import Any

from sqlalchemy import DDL, ForeignKey, Index, Table, event
from sqlalchemy.orm import Mapped, mapped_column

from idp.foundation.database import Base


class Entry(Base):
    """One act or change of state. It has ids only; personal details are in another table and may be erased."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_estab_at", "estab", "at"),
        Index("ix_audit_entries_at", "at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    event: Mapped[str]
    actor: Mapped[str]
    """Who did it: the id of an administrator, operator or client, or `cli`, `system`, or `stranger`."""
    estab: Mapped[str | None]
    client: Mapped[str | None]
    subject: Mapped[str | None]
    """The id of the thing that was changed."""
    facts: Mapped[dict[str, Any]]
    """Ids, codes and numbers; nothing personal."""
    details_digest: Mapped[bytes | None]
    """SHA-256 of the salted details, so that the chain verifies after they were erased."""
    position: Mapped[int | None] = mapped_column(unique=True)
    """Its place in the chain, from 1; None until the worker has sealed it."""
    chained: Mapped[bytes | None]
    """The link: an HMAC of this entry and the link before it; in a chain begun before keys, SHA-256 (`chain`)."""


class Details(Base):
    """The personal part of an entry, with its salt: erasable."""

    __tablename__ = "audit_details"

    entry_id: Mapped[int] = mapped_column(ForeignKey("audit_entries.id"), primary_key=True)
    salt: Mapped[bytes]
    said: Mapped[dict[str, Any]]


class Checkpoint(Base):
    """The signed end of the chain at some moment; the same is written to the log, which is kept on another machine."""

    __tablename__ = "audit_checkpoints"

    position: Mapped[int] = mapped_column(primary_key=True)
    chained: Mapped[bytes]
    at: Mapped[datetime]
    signature: Mapped[str]


APPEND_ONLY_TRIGGERS = {
    "sqlite": (
        """CREATE TRIGGER audit_entries_only_sealed BEFORE UPDATE ON audit_entries
        WHEN OLD.position IS NOT NULL OR OLD.chained IS NOT NULL OR NEW.position IS NULL OR NEW.chained IS NULL
          OR NEW.id IS NOT OLD.id OR NEW.at IS NOT OLD.at OR NEW.event IS NOT OLD.event OR NEW.actor IS NOT OLD.actor
          OR NEW.estab IS NOT OLD.estab OR NEW.client IS NOT OLD.client OR NEW.subject IS NOT OLD.subject
          OR NEW.facts IS NOT OLD.facts OR NEW.details_digest IS NOT OLD.details_digest
        BEGIN SELECT RAISE(ABORT, 'an audit entry is never edited'); END""",
        """CREATE TRIGGER audit_entries_kept BEFORE DELETE ON audit_entries
        BEGIN SELECT RAISE(ABORT, 'an audit entry is never deleted'); END""",
        """CREATE TRIGGER audit_checkpoints_fixed BEFORE UPDATE ON audit_checkpoints
        BEGIN SELECT RAISE(ABORT, 'an audit checkpoint is never edited'); END""",
        """CREATE TRIGGER audit_checkpoints_kept BEFORE DELETE ON audit_checkpoints
        BEGIN SELECT RAISE(ABORT, 'an audit checkpoint is never deleted'); END""",
    ),
    "postgresql": (
        """CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'the audit log is never edited and never deleted from'; END $$""",
        """CREATE TRIGGER audit_entries_only_sealed BEFORE UPDATE ON audit_entries FOR EACH ROW
        WHEN (OLD.position IS NOT NULL OR OLD.chained IS NOT NULL OR NEW.position IS NULL OR NEW.chained IS NULL
          OR ROW(NEW.id, NEW.at, NEW.event, NEW.actor, NEW.estab, NEW.client, NEW.subject, NEW.facts::text,
                 NEW.details_digest)
             IS DISTINCT FROM
             ROW(OLD.id, OLD.at, OLD.event, OLD.actor, OLD.estab, OLD.client, OLD.subject, OLD.facts::text,
                 OLD.details_digest))
        EXECUTE FUNCTION audit_refuse()""",
        """CREATE TRIGGER audit_entries_kept BEFORE DELETE OR TRUNCATE ON audit_entries
        FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
        """CREATE TRIGGER audit_checkpoints_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
        FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
    ),
}
"""The triggers that make the tables append-only, by dialect, to be created once both exist: an entry can be sealed, and
not be changed otherwise. A database administrator can remove the triggers; the chain shows what was changed then.
(`DDL` treats % as a placeholder, so there is none here.)"""


def _create_triggers_with_tables() -> None:
    """Have `create_all` create the triggers; the migration runs the same statements."""
    last = Checkpoint.__table__
    assert isinstance(last, Table)
    last.add_is_dependent_on(Entry.metadata.tables["audit_entries"])
    for dialect, statements in APPEND_ONLY_TRIGGERS.items():
        for statement in statements:
            trigger = DDL(statement)  # type: ignore[no-untyped-call]
            event.listen(last, "after_create", trigger.execute_if(dialect=dialect))


_create_triggers_with_tables()
