"""The ring is a process's, and a test's keys must not outlive it."""

from contextlib import contextmanager

import pytest
from sqlalchemy import event

from idp.foundation.database import db
from idp.keys import ring


@pytest.fixture(autouse=True)
def _fresh(app):
    with app.app_context():
        ring.forget()
    yield
    with app.app_context():
        ring.forget()


@pytest.fixture
def statements(app):
    """`with statements() as asked:` collects the SQL that the block sends."""

    @contextmanager
    def collected():
        asked = []

        def note(_connection, _cursor, statement, *_):
            asked.append(statement)

        with app.app_context():
            engine = db.engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield asked
        finally:
            event.remove(engine, "before_cursor_execute", note)

    return collected
