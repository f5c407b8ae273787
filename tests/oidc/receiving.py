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
    """The requests received. `statuses` are the next ones; then it responds with 200."""

    uri: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    everything: list[dict[str, str]] = field(default_factory=list)
    """Method and path of all requests, whatever they were for."""

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
    def note() -> None:
        receiver.everything.append({"method": request.method, "path": request.path})

    @app.post(path)
    def take() -> Response:
        receiver.requests.append(
            {"form": request.form.to_dict(), "type": request.mimetype, "query": request.query_string,
             "headers": dict(request.headers), "tls": _spoken(request.environ.get("werkzeug.socket"))}
        )  # fmt: skip
        return Response(status=receiver.statuses.pop(0) if receiver.statuses else 200)

    with serving(app, port, tls):
        yield receiver


def _spoken(connection: Any) -> str | None:
    """The version of TLS, if it was used."""
    return connection.version() if isinstance(connection, ssl.SSLSocket) else None
