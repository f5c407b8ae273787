"""One transaction per request: a view that returns commits, a view that raises rolls back.

Nobody else calls `commit()`, and a test holds that.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from flask.typing import ResponseReturnValue

from idp.foundation.database import db, session


class Application(Flask):
    """Flask, with the transaction around the view and nothing else."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Run the view; what it wrote is committed before its answer is sent."""
        with _one():
            return super().dispatch_request()


@contextmanager
def work(app: Flask) -> Iterator[None]:
    """The same for a command or a job: its own session, committed when the block ends without raising."""
    with app.app_context(), _one():
        yield


@contextmanager
def _one() -> Iterator[None]:
    try:
        yield
    except BaseException:
        if db.session.registry.has():
            session().rollback()
        raise
    else:
        if db.session.registry.has():  # a view that asked the database nothing has nothing to commit
            session().commit()
    finally:
        db.session.remove()
