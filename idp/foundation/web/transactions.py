"""One transaction per request: a view that returns commits, a view that raises rolls back.

Nobody else calls `commit()`, and a test holds that.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, g
from flask.typing import ResponseReturnValue

from idp.foundation.database import db


class Application(Flask):
    """Flask, with the transaction around the view, and without what serves asynchronous views."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Run the view; what it wrote is committed before its answer is sent."""
        try:
            answer = super().dispatch_request()
            _commit()
        finally:
            _done()
        return answer

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """As it is: nothing here is asynchronous, and Flask would look at every hook of every request."""
        return func


@contextmanager
def work(app: Flask) -> Iterator[None]:
    """The same for a command or a job: its own session, committed when the block ends without raising."""
    with app.app_context():
        try:
            yield
            _commit()
        finally:
            _done()


def _commit() -> None:
    """Keep what was written, by objects and by statements."""
    here = vars(g._get_current_object())  # noqa: SLF001  opened once
    if "has_session" in here:  # writes what the ORM still holds back
        db.session.commit()
    if (connection := here.get("connection")) is not None:
        connection.commit()


def _done() -> None:
    """Give session and connection back, undoing what was not committed."""
    here = vars(g._get_current_object())  # noqa: SLF001  opened once
    if here.pop("has_session", False):
        db.session.remove()
    if (connection := here.pop("connection", None)) is not None:
        connection.close()
