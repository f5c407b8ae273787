"""Fixtures for the key ring, which is cached by the process and so must be dropped before and after each test."""

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
    """`with statements() as sent:` collects the SQL statements that the block sends."""

    @contextmanager
    def collected():
        sent = []

        def note(_connection, _cursor, statement, *_):
            sent.append(statement)

        with app.app_context():
            engine = db.engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(engine, "before_cursor_execute", note)

    return collected
