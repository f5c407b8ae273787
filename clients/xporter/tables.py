"""What is stored. Times are seconds since 1970; ids of schools are our own numbers, made when data first arrives.

A school's `version` rises with every record that is added, changed or deleted, and the record gets the number: so
"what changed since" is the records of a higher version, in its order.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

METADATA: Final = MetaData()

schools: Final = Table(
    "schools",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("estab_id", Text, nullable=False, unique=True),
    # Random, made with the row: cursors from before everything of a school was deleted do not fit the data after it.
    Column("epoch", Text, nullable=False),
    Column("mis", Text),
    Column("version", BigInteger, nullable=False),  # of the newest change
    Column("forgotten_version", BigInteger, nullable=False),  # deletions up to it are forgotten: older cursors expire
    Column("last_made_at", Float),  # when the extract was made that was applied last, by the clock of the endpoint
    Column("last_extract_at", Float),  # when it was applied, by ours
    Column("created_at", Float, nullable=False),
)

collections: Final = Table(
    "collections",
    METADATA,
    Column("school_id", ForeignKey("schools.id", ondelete="CASCADE"), nullable=False),
    Column("collection", Text, nullable=False),
    Column("total", Integer, nullable=False),  # records that are not deleted
    Column("version", BigInteger, nullable=False),  # of the newest change in it
    Column("changed_at", Float, nullable=False),
    PrimaryKeyConstraint("school_id", "collection"),
)

records: Final = Table(
    "records",
    METADATA,
    Column("school_id", ForeignKey("schools.id", ondelete="CASCADE"), nullable=False),
    Column("collection", Text, nullable=False),
    Column("id", Text, nullable=False),  # ours, random; a record that comes back after its deletion has it again
    Column("key", Text, nullable=False),  # the MIS's key; never served
    Column("data", Text),  # the members as JSON, references as our ids; null once deleted
    Column("digest", LargeBinary, nullable=False),  # of the data, to see what changed
    Column("version", BigInteger, nullable=False),
    Column("student", Text),  # the id of the pupil that the record is about, where there is one
    Column("date", Text),  # the day that it is about, likewise, as in ISO 8601
    Column("deleted_at", Float),
    PrimaryKeyConstraint("school_id", "collection", "id"),
    UniqueConstraint("school_id", "collection", "key"),
    sqlite_with_rowid=False,
)
Index("records_by_version", records.c.school_id, records.c.collection, records.c.version)
Index(
    "records_by_student", records.c.school_id, records.c.collection, records.c.student,
    sqlite_where=records.c.student.is_not(None), postgresql_where=records.c.student.is_not(None),
)  # fmt: skip
Index(
    "records_by_date", records.c.school_id, records.c.collection, records.c.date,
    sqlite_where=records.c.date.is_not(None), postgresql_where=records.c.date.is_not(None),
)  # fmt: skip

# An extract is `receiving` until its last byte is here, `checking` until it is `applied` or `refused`.
extracts: Final = Table(
    "extracts",
    METADATA,
    Column("school_id", ForeignKey("schools.id", ondelete="CASCADE"), nullable=False),
    Column("id", Text, nullable=False),  # chosen by the endpoint
    Column("state", Text, nullable=False),
    Column("mis", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("offset", BigInteger, nullable=False),  # bytes that are here
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("claimed_until", Float, nullable=False),  # a worker checks it until then
    Column("attempts", Integer, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("problems", JSON, nullable=False),
    Column("refusal", Text),  # the code of why it was refused
    Column("applied_at", Float),
    PrimaryKeyConstraint("school_id", "id"),
)
Index("extracts_by_state", extracts.c.state, extracts.c.claimed_until)

# The bytes of extracts, until they are applied or refused.
pieces: Final = Table(
    "pieces",
    METADATA,
    Column("school_id", Integer, nullable=False),
    Column("extract_id", Text, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("school_id", "extract_id", "offset"),
    ForeignKeyConstraint(["school_id", "extract_id"], ["extracts.school_id", "extracts.id"], ondelete="CASCADE"),
)

# Who read what: totals of a day, which the provider is told. No personal data; they outlive the school's data, so that
# the school sees who had read it.
reads: Final = Table(
    "reads",
    METADATA,
    Column("estab_id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("day", Text, nullable=False),  # in ISO 8601, UTC
    Column("requests", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("reported_at", Float),  # when the provider was told these totals; null after each change
    PrimaryKeyConstraint("estab_id", "client_id", "scope", "day"),
)
