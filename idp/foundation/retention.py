"""How long rows are kept. A package declares it for each of its tables in its `retention` module; the worker deletes.

`idp/worker.py` collects the declarations, `jobs/cleaning` carries them out, and a test requires one for every table.
"""

from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

from idp.foundation.database import Base

Period = Literal[
    "expired", "counters", "registrations", "outbox", "outbox_failed", "sessions", "sign_ins",
    "client_events", "register_changes", "revoked", "invitations", "partner_events", "reads",
]  # fmt: skip
"""A setting of `[retention]`, in days."""


@dataclass(frozen=True, slots=True)
class DeleteAfter:
    """Rows are deleted `period` after the time in `column`, which needs an index; with `only`, just those rows."""

    column: InstrumentedAttribute[Any]
    period: Period
    only: ColumnElement[bool] | None = None

    @property
    def model(self) -> type[Base]:
        """The model of the table."""
        return cast("type[Base]", self.column.class_)


@dataclass(frozen=True, slots=True)
class KeepNewest:
    """The newest `limit` rows by `column` are kept: for each value of `per`, and of those rows that meet `only`.

    For rows that strangers, or one person alone, could create without end (docs/storage.md).
    """

    column: InstrumentedAttribute[Any]
    limit: int
    only: ColumnElement[bool] | None = None
    per: InstrumentedAttribute[Any] | None = None

    @property
    def model(self) -> type[Base]:
        """The model of the table."""
        return cast("type[Base]", self.column.class_)


@dataclass(frozen=True, slots=True)
class KeepAll:
    """The worker deletes no row, for this reason."""

    model: type[Base]
    reason: str


Rule = DeleteAfter | KeepNewest | KeepAll
