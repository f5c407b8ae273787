"""One transaction per request: a view that returns commits, a view that raises rolls back.

Nothing else calls `commit()`, which a test checks. Where a view wants no transaction (`database.autocommit`), each
statement that ran is kept, whatever comes after it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, Request
from flask.typing import ResponseReturnValue
from werkzeug.routing import MapAdapter

from idp.foundation import request_state, runtime
from idp.foundation.database import db, done


class Application(Flask):
    """Flask, with the transaction around the view, and without what serves other hosts and asynchronous views."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Run the view; what it wrote is committed before its answer is sent."""
        try:
            answer = super().dispatch_request()
            _commit()
        finally:
            done()
        return answer

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """The routes as seen by `request`, whose host our own rule judges: Flask would take it apart first."""
        if request is None:
            return super().create_url_adapter(None)
        host, query = runtime.of(self).settings.server.host_name, request.environ.get("QUERY_STRING", "")
        return MapAdapter(self.url_map, host, "/", "", request.scheme, request.path, request.method, query)

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
            done()


def _commit() -> None:
    """Keep what was written, by objects and by statements."""
    state = request_state.current()
    if state.has_session:  # writes what the ORM still holds back
        db.session.commit()
    if state.connection is not None:
        state.connection.commit()
