"""One transaction per request: a view that returns commits, a view that raises rolls back.

Nothing else calls `commit()`, which a test checks. A route marked by `autocommit` has no transaction: each statement
that ran is kept, whatever comes after it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from flask import Flask, Request, request
from flask.typing import ResponseReturnValue
from werkzeug.routing import MapAdapter

from idp.foundation import request_state, runtime
from idp.foundation.database import db, done

ViewT = TypeVar("ViewT", bound=Callable[..., Any])
_AUTOCOMMIT: Final = "runs_in_autocommit"


def autocommit(view: ViewT) -> ViewT:
    """Run each statement of the view in a transaction of its own.

    For routes that only read, or whose changes are single statements that stand by themselves: one round trip for each
    statement, where BEGIN and COMMIT would make it three.
    """
    setattr(view, _AUTOCOMMIT, True)
    return view


class Application(Flask):
    """Flask, with the transaction around the view, and without what serves other hosts and asynchronous views."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Run the view; what it wrote is committed before its answer is sent."""
        view = self.view_functions.get(request.endpoint or "")
        request_state.current().autocommit = hasattr(view, _AUTOCOMMIT)
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
