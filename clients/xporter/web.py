"""What all routes share: the parts of the program, refusals as problem documents, and their pages."""

import logging
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

import psycopg
from flask import Flask, Request, Response, current_app, jsonify, render_template, request
from flask.globals import request_ctx
from sqlalchemy import exc
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from clients.xporter.bulk import Bulk
from clients.xporter.database import DISK_FULL_SECONDS, Database, is_disk_full
from clients.xporter.fields import Fields
from clients.xporter.keys import Keys
from clients.xporter.problems import KINDS, RETRY_SECONDS, Problem
from clients.xporter.provider import Provider
from clients.xporter.reads import Reads, Reporter
from clients.xporter.settings import Settings
from clients.xporter.snapshots import TooManySnapshots
from clients.xporter.tokens import Access, Tokens
from clients.xporter.worker import Worker

log = logging.getLogger(__name__)

DEFAULT_HEADERS: Final = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
METADATA: Final = "/.well-known/oauth-protected-resource"
_NAME: Final = "xporter"
_CODE_BY_STATUS: Final = {404: "not_found", 405: "invalid_request", 413: "too_large"}


@dataclass(frozen=True, slots=True)
class Program:
    """The parts of the program, for its views."""

    settings: Settings
    database: Database
    keys: Keys
    provider: Provider
    tokens: Tokens
    fields: Fields
    reads: Reads
    reporter: Reporter
    worker: Worker
    now: Callable[[], float]
    bulk: Bulk = field(default_factory=Bulk)

    def close(self) -> None:
        """Stop the threads, write the counts, and close the connections to the database."""
        self.worker.stop()
        self.reporter.stop()
        self.reads.close()
        self.database.close()


class Application(Flask):
    """Flask without what this program has no use for: routing by host, and views that are asynchronous.

    For a page of records both together, and default headers without `after_request`, take a tenth of its time.
    """

    host = ""
    """Where redirects of Flask's own lead to: the host of the resource identifier."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """The routes for `request`, whatever its host."""
        if request is None:
            return super().create_url_adapter(None)
        query = request.environ.get("QUERY_STRING", "")
        return MapAdapter(self.url_map, self.host, "/", "", request.scheme, request.path, request.method, query)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func` unchanged: Flask would look at every view and hook of every request."""
        return func

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond, with `DEFAULT_HEADERS` where a view has set none of the same name."""

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
            names = {name for name, _ in headers}
            headers += [header for header in DEFAULT_HEADERS if header[0] not in names]
            return start_response(status, headers, *more)

        return super().wsgi_app(environ, start)


def current_program() -> Program:
    """The parts of the program that responds to this request."""
    return cast("Program", current_app.extensions[_NAME])


def access() -> Access:
    """What this request may do. Raises `Problem`."""
    # Without the proxy `request`, which looks it up for every attribute.
    return current_program().tokens.check(request_ctx.request)


def configure(app: Application, program: Program) -> None:
    """Give the application its parts, and have it respond to refused requests with problem documents."""
    app.extensions[_NAME] = program
    app.host = urlsplit(program.settings.resource).netloc
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_error_handler(Problem, refused)
    app.register_error_handler(HTTPException, _refused_by_flask)
    for busy_kind in (TooManySnapshots, exc.TimeoutError):  # all connections were in use
        app.register_error_handler(busy_kind, lambda _: refused(busy()))
    for kind in (exc.DBAPIError, psycopg.Error, sqlite3.Error, OSError):
        app.register_error_handler(kind, _refused_by_disk)
    app.add_url_rule("/problems/<code>", "problem_page", problem_page)

    @app.before_request
    def refuse_nul() -> None:
        if "\0" in request.path or b"%00" in request.query_string:  # PostgreSQL's text type has no NUL
            raise Problem("invalid_request", "The URL has a character that is not allowed.")


def busy() -> Problem:
    """The refusal while too much is read at once."""
    return Problem("temporarily_unavailable", "Too much is read at once.", retry_after=RETRY_SECONDS)


def problem_page(code: str) -> str:
    """What a problem means, and what to do about it."""
    if code not in KINDS:
        raise Problem("not_found")
    return render_template("problem.html", code=code, kind=KINDS[code])


def refused(problem: Problem) -> Response:
    """The problem document with its status, and the headers that go with it."""
    resource = current_program().settings.resource
    response = jsonify(problem.document(resource))
    response.status_code = problem.kind.status
    response.content_type = "application/problem+json"
    if problem.kind.status in {401, 403} or (problem.kind.status == 400 and problem.scheme):
        for challenge in problem.challenges(resource + METADATA):
            response.headers.add("WWW-Authenticate", challenge)
    if (seconds := problem.members.get("retry_after")) is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def _refused_by_disk(error: Exception) -> Response:
    """503 on a full disk, from which a caller goes on later; anything else is raised again."""
    if not is_disk_full(error):
        raise error
    log.error("the disk is full: %s", type(error).__name__)
    return refused(Problem("temporarily_unavailable", retry_after=DISK_FULL_SECONDS))


def _refused_by_flask(error: HTTPException) -> Response:
    """Flask's own refusals: unknown URLs, other methods, bodies that are too large."""
    status = error.code or 500
    problem = Problem(_CODE_BY_STATUS.get(status, "invalid_request" if status < 500 else "temporarily_unavailable"))
    response = refused(problem)
    response.status_code = status
    document = problem.document(current_program().settings.resource) | {"status": status}
    response.set_data(current_app.json.dumps(document))
    if (valid := getattr(error, "valid_methods", None)) is not None:
        response.headers["Allow"] = ", ".join(sorted(valid))
    return response
