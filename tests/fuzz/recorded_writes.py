"""Which tables requests have changed, to check that refused ones change nothing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

_WRITES = re.compile(
    r'\s*(?:WITH\b.*?\)\s*)?(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(\w+)', re.IGNORECASE | re.DOTALL
)


class WriteRecorder:
    """Records writes of one process: `tables` has those that were committed."""

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self._pending: list[str] = []

    def record_statement(self, connection: Connection, _cursor: Any, statement: str, *_more: Any) -> None:
        """Record the table of a statement."""
        if match := _WRITES.match(statement):
            is_autocommit = connection.get_execution_options().get("autocommit")
            self.tables.add(match[1]) if is_autocommit else self._pending.append(match[1])

    def keep_pending(self, _connection: Connection) -> None:
        """Keep what is pending."""
        self.tables.update(item for item in self._pending if item)
        self._pending.clear()

    def forget_pending(self, _connection: Connection) -> None:
        """Forget what is pending."""
        self._pending.clear()

    def begin_savepoint(self, _connection: Connection, _name: str) -> None:
        """Begin a savepoint."""
        self._pending.append("")

    def roll_back_savepoint(self, *_arguments: Any) -> None:
        """Forget what was written since the savepoint."""
        while self._pending and self._pending.pop():
            pass


@contextmanager
def recorded_writes(engine: Engine) -> Iterator[WriteRecorder]:
    """Record writes until the block ends."""
    recorder = WriteRecorder()
    listeners = {
        "before_cursor_execute": recorder.record_statement, "commit": recorder.keep_pending,
        "rollback": recorder.forget_pending,
        "savepoint": recorder.begin_savepoint, "rollback_savepoint": recorder.roll_back_savepoint,
    }  # fmt: skip
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    try:
        yield recorder
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)
