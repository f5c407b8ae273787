"""The identity provider, which stops for ever in the middle of redeeming a code: just before its COMMIT, or just after.

`python -m tests.faults.halting before|after FILE` makes FILE when it has come to that point.
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


def main(where: str, reached: Path) -> None:
    """Serve until killed."""
    app = create_app()

    def halt() -> None:
        reached.touch()
        threading.Event().wait()

    def halt_before_commit(*_: object) -> None:
        if has_request_context() and request.path == TOKEN:
            halt()

    def halt_after(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        answer = inside(environ, start)
        if environ["PATH_INFO"] == TOKEN:
            halt()
        return answer

    inside = app.wsgi_app
    if where == "after":
        app.wsgi_app = halt_after  # type: ignore[assignment,method-assign]
    else:
        with app.app_context():
            _watch(halt_before_commit)
    make_server("127.0.0.1", runtime.of(app).settings.server.port, app, threaded=True).serve_forever()


def _watch(committing: Any) -> None:
    """Have `committing` called by the driver itself, so that no way to commit goes past it."""
    if db.engine.dialect.name == "sqlite":

        @event.listens_for(db.engine, "connect")
        def _connected(connection: sqlite3.Connection, _record: object) -> None:
            connection.set_trace_callback(lambda said: committing() if said.startswith("COMMIT") else None)

        return
    commit = psycopg.Connection.commit

    def halting(self: psycopg.Connection[Any]) -> None:
        committing()
        commit(self)

    psycopg.Connection.commit = halting  # type: ignore[method-assign]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
