"""One transaction per request: a view that returns commits, a view that raises rolls back.

Nobody else calls `commit()`, and a test holds that.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask.typing import ResponseReturnValue

from idp.foundation.database import connected, db, give_back, session


class Application(Flask):
    """Flask, with the transaction around the view, and without what serves asynchronous views."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Run the view; what it wrote is committed before its answer is sent."""
        with _one():
            return super().dispatch_request()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """As it is: nothing here is asynchronous, and Flask would look at every hook of every request."""
        return func


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
        if db.session.registry.has():  # writes what the ORM still holds back
            session().commit()
        if (connection := connected()) is not None:
            connection.commit()
    finally:
        db.session.remove()
        give_back()
