"""A client's back-channel logout endpoint, served on this machine."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, request

from tests.ports import free_port
from tests.serving import serving


@dataclass
class Receiver:
    """A client's logout endpoint, and the requests that it received."""

    uri: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """The statuses of the next responses; after them each is 200."""
    all_requests: list[dict[str, str]] = field(default_factory=list)
    """Method and path of each request to the server, also those to other paths."""

    @property
    def tokens(self) -> list[str]:
        """The logout tokens, in the order they came."""
        return [request["form"]["logout_token"] for request in self.requests]


@contextmanager
def a_receiver(path: str = "/backchannel", tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Serve until the block ends; with `tls` over https, as localhost."""
    port, app = free_port(), Flask("receiver")
    receiver = Receiver(f"https://localhost:{port}{path}" if tls else f"http://127.0.0.1:{port}{path}")

    @app.before_request
    def record_request() -> None:
        receiver.all_requests.append({"method": request.method, "path": request.path})

    @app.post(path)
    def receive_logout_token() -> Response:
        receiver.requests.append(
            {"form": request.form.to_dict(), "type": request.mimetype, "query": request.query_string,
             "headers": dict(request.headers), "tls": _tls_version(request.environ.get("werkzeug.socket"))}
        )  # fmt: skip
        return Response(status=receiver.statuses.pop(0) if receiver.statuses else 200)

    with serving(app, port, tls):
        yield receiver


def _tls_version(connection: Any) -> str | None:
    """The version of TLS of the connection; None without TLS."""
    return connection.version() if isinstance(connection, ssl.SSLSocket) else None
