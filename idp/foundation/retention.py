"""How long rows are kept. A package declares it for each of its tables in its `retention` module; the worker deletes.

`idp/worker.py` collects the declarations, `jobs/cleaning` carries them out, and a test asks for one for every table.
"""

from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

from idp.foundation.database import Base

Period = Literal[
    "expired", "counters", "registrations", "outbox", "outbox_failed", "sessions", "sign_ins",
    "client_events", "register_changes", "revoked", "invitations",
]  # fmt: skip
"""A setting of `[retention]`, in days."""


@dataclass(frozen=True, slots=True)
class DeleteAfter:
    """Rows are deleted so long after `column`, which wants an index; only those of which `only` holds."""

    column: InstrumentedAttribute[Any]
    period: Period
    only: ColumnElement[bool] | None = None

    @property
    def model(self) -> type[Base]:
        """The table's."""
        return cast("type[Base]", self.column.class_)


@dataclass(frozen=True, slots=True)
class KeepNewest:
    """Of the rows of which `only` holds, the newest `most` by `column` are kept; with `per`, of each value of that.

    For what strangers, or one person alone, could make without end (docs/storage.md).
    """

    column: InstrumentedAttribute[Any]
    most: int
    only: ColumnElement[bool] | None = None
    per: InstrumentedAttribute[Any] | None = None

    @property
    def model(self) -> type[Base]:
        """The table's."""
        return cast("type[Base]", self.column.class_)


@dataclass(frozen=True, slots=True)
class KeepAll:
    """The worker deletes no row, for this reason."""

    model: type[Base]
    reason: str


Rule = DeleteAfter | KeepNewest | KeepAll
