"""Real servers for tests: the identity provider, and programs beside it, each on a port of its own."""

import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from wsgiref.types import WSGIApplication

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from idp.app import create_app
from idp.foundation import database
from idp.foundation.load_settings import load
from tests.databases import DATABASE_SETTINGS, Databases
from tests.ports import free_port


class QuietRequestHandler(WSGIRequestHandler):
    """A request handler that writes no line for each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  Werkzeug's signature
        logging.getLogger("tests.serving").debug(message, *args)


@contextmanager
def serving(
    app: WSGIApplication, port: int, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[None]:
    """Serve `app` on `port` of this machine, in threads, until the block ends."""
    server = make_server(host, port, app, threaded=True, request_handler=QuietRequestHandler, ssl_context=tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


class ServedProvider(NamedTuple):
    """An identity provider that is served: its application, and its issuer, which is its URL."""

    app: Flask
    issuer: str


@contextmanager
def a_provider(
    databases: Databases, tls: ssl.SSLContext | None = None, *, host: str = "localhost", **overrides: dict[str, object]
) -> Iterator[ServedProvider]:
    """Serve a new identity provider until the block ends, with `tls` over https.

    Browsers keep cookies by host, whatever the port: two that one browser uses need a `host` each.
    """
    port = free_port()
    issuer = f"{'https' if tls else 'http'}://{host}:{port}"
    server = {"issuer": issuer, "port": port} | overrides.pop("server", {})
    app = create_app(load(database={"url": databases.new("served"), **DATABASE_SETTINGS}, server=server, **overrides))
    databases.prepare(app)
    try:
        with serving(app, port, tls):
            yield ServedProvider(app, issuer)
    finally:
        with app.app_context():
            database.db.engine.dispose()
