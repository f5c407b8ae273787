"""The service without one of its fast paths, for `bench.fastpaths`: the library's own way takes its place.

`BENCH_WITHOUT` names the fast path; empty is the service as it is. Each function below changes the modules before the
application is built, and may return what is to be done with the application.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Final
from unittest.mock import patch

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from psycopg import RawCursor
from sqlalchemy import Connection

from idp.app import create_app
from idp.foundation.fastpath import hooks, libpq, request_line, response_cache, statements
from idp.foundation.web import admission, security

Change = Callable[[], Callable[[Flask], object] | None]


def _statements() -> None:
    """SQLAlchemy executes every statement."""
    patch.object(statements, "_has_listeners", lambda _connection: True).start()


def _prepared() -> None:
    """A cursor of psycopg runs the statements."""

    def run(connection: Connection, sql: str, values: Sequence[Any]) -> tuple[Sequence[Any] | None, int]:
        with RawCursor(connection.connection.driver_connection) as cursor:  # type: ignore[arg-type]
            cursor.execute(sql.encode(), values)
            return cursor.fetchone() if cursor.description else None, cursor.rowcount

    patch.object(libpq, "run", run).start()


def _hooks() -> None:
    """Flask-Limiter and Flask-Login keep their hooks around every request."""
    patch.object(hooks, "remove", lambda _app, _owner: []).start()


def _response_cache() -> None:
    """Every request for a public document goes through Flask."""
    patch.object(response_cache, "store").start()


def _form_cookie() -> None:
    """Flask reads its session cookie for every request, and asks after each whether to set it."""
    patch.object(security, "LazyCookieSessions", SecureCookieSessionInterface).start()


def _request_line() -> Callable[[Flask], object]:
    """Structlog formats the line of each request."""
    return lambda _app: request_line.configure(is_json=False)


CHANGES: Final[dict[str, Change]] = {
    "statements": _statements, "prepared statements": _prepared, "hooks": _hooks, "response cache": _response_cache,
    "form cookie": _form_cookie, "request line": _request_line,
}  # fmt: skip
"""By the fast path's name."""


def built() -> Flask:
    """The application without the fast path that the environment names."""
    name = os.environ.get("BENCH_WITHOUT", "")
    finish = CHANGES[name]() if name else None
    app = create_app()
    if finish is not None:
        finish(app)
    admission.prepare(app)
    return app


application = built() if "BENCH_WITHOUT" in os.environ else None
