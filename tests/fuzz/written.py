"""Which tables requests wrote to, and kept: what is refused must have changed nothing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

_WRITES = re.compile(
    r'\s*(?:WITH\b.*?\)\s*)?(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(\w+)', re.IGNORECASE | re.DOTALL
)


class Written:
    """What one process writes: `tables`, once it is committed."""

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self._pending: list[str] = []

    def hears(self, connection: Connection, _cursor: Any, statement: str, *_more: Any) -> None:
        """A statement runs."""
        if match := _WRITES.match(statement):
            at_once = connection.get_execution_options().get("autocommit")
            at_once = at_once or connection.get_isolation_level() == "AUTOCOMMIT"
            self.tables.add(match[1]) if at_once else self._pending.append(match[1])

    def commits(self, _connection: Connection) -> None:
        """What is pending stays."""
        self.tables.update(item for item in self._pending if item)
        self._pending.clear()

    def undoes(self, _connection: Connection) -> None:
        """What is pending is gone."""
        self._pending.clear()

    def begins_nested(self, _connection: Connection, _name: str) -> None:
        """What follows may be undone by itself."""
        self._pending.append("")

    def undoes_nested(self, *_facts: Any) -> None:
        """What followed is undone."""
        while self._pending and self._pending.pop():
            pass


@contextmanager
def watching(engine: Engine) -> Iterator[Written]:
    """Hear what is written until the block ends."""
    written = Written()
    listeners = {
        "before_cursor_execute": written.hears, "commit": written.commits, "rollback": written.undoes,
        "savepoint": written.begins_nested, "rollback_savepoint": written.undoes_nested,
    }  # fmt: skip
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    try:
        yield written
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)
