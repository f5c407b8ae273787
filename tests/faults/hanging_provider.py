"""The identity provider, which hangs while it redeems a code: just before the COMMIT, or just after it.

`python -m tests.faults.hanging_provider before|after FILE` creates FILE when it has reached that point.
"""

import sqlite3
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
from flask import has_request_context, request
from sqlalchemy import event
from werkzeug.serving import make_server

from idp.app import create_app
from idp.foundation import runtime
from idp.foundation.database import db

TOKEN = "/oauth/token"


def main(moment: str, reached: Path) -> None:
    """Serve until killed."""
    app = create_app()

    def hang() -> None:
        reached.touch()
        threading.Event().wait()

    def hang_before_commit(*_: object) -> None:
        if has_request_context() and request.path == TOKEN:
            hang()

    def hang_after(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        response = wrapped_app(environ, start)
        if environ["PATH_INFO"] == TOKEN:
            hang()
        return response

    wrapped_app = app.wsgi_app
    if moment == "after":
        app.wsgi_app = hang_after  # type: ignore[assignment,method-assign]
    else:
        with app.app_context():
            _call_before_commit(hang_before_commit)
    make_server("127.0.0.1", runtime.for_app(app).settings.server.port, app, threaded=True).serve_forever()


def _call_before_commit(before_commit: Any) -> None:
    """Have the database's driver call `before_commit`, so that every kind of commit calls it."""
    if db.engine.dialect.name == "sqlite":

        @event.listens_for(db.engine, "connect")
        def _connected(connection: sqlite3.Connection, _record: object) -> None:
            connection.set_trace_callback(lambda statement: before_commit() if statement.startswith("COMMIT") else None)

        return
    commit = psycopg.Connection.commit

    def commit_after_hook(self: psycopg.Connection[Any]) -> None:
        before_commit()
        commit(self)

    psycopg.Connection.commit = commit_after_hook  # type: ignore[method-assign]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
