"""One transaction per request: a view that returns commits, a view that raises rolls back.

Nothing else calls `commit()`, which a test checks. A route marked by `autocommit` has no transaction: each statement
is committed as it runs.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeVar

from flask import Flask, Request, request
from flask.typing import ResponseReturnValue
from werkzeug.routing import MapAdapter

from idp.foundation import request_state, runtime
from idp.foundation.database import close, db

ViewT = TypeVar("ViewT", bound=Callable[..., Any])
_AUTOCOMMIT: Final = "runs_in_autocommit"

TransactionFactory = Callable[[], AbstractContextManager[Any]]
"""Begins a transaction: `partial(transaction, app)`."""


def autocommit(view: ViewT) -> ViewT:
    """Run each statement of the view in a transaction of its own.

    For routes that only read, or whose changes are single independent statements: one round trip for each
    statement, where BEGIN and COMMIT would make it three.
    """
    setattr(view, _AUTOCOMMIT, True)
    return view


class Application(Flask):
    """Flask, with the transaction around the view, and without routing by host and asynchronous views."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Run the view, and commit before the response is sent."""
        view = self.view_functions.get(request.endpoint or "")
        request_state.current().autocommit = hasattr(view, _AUTOCOMMIT)
        try:
            response = super().dispatch_request()
            _commit()
        finally:
            close()
        return response

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """The routes for `request`, without Flask's parsing of its host, which `security` checks."""
        if request is None:
            return super().create_url_adapter(None)
        host, query = runtime.for_app(self).settings.server.host_name, request.environ.get("QUERY_STRING", "")
        return MapAdapter(self.url_map, host, "/", "", request.scheme, request.path, request.method, query)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` unchanged: no view is asynchronous, and Flask would inspect every hook of every request."""
        return func


@contextmanager
def transaction(app: Flask) -> Iterator[None]:
    """A transaction for a command or a job: committed when the block ends, rolled back when it raises."""
    with app.app_context():
        try:
            yield
            _commit()
        finally:
            close()


def _commit() -> None:
    """Commit what the ORM's session and the statements wrote."""
    state = request_state.current()
    if state.before_commit is not None:
        if state.has_session:  # pending objects first, because `before_commit` locks a row that is locked last
            db.session.flush()
        state.before_commit()
    if state.has_session:
        db.session.commit()
    if state.connection is not None:
        state.connection.commit()
