"""A partner's endpoint for events, served on this machine, which verifies tokens as RFC 8935 requires."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet
from joserfc.util import urlsafe_b64decode

Response = int | tuple[int, dict[str, str]]


@dataclass
class Endpoint:
    """The events received, in order. `respond` returns another status than 202 by the claims, which are then not
    stored.
    """

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    """The claims of the tokens that were accepted."""
    respond: Callable[[dict[str, Any]], Response] = lambda _claims: 202
    connections: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of every response."""
    closes: bool = False
    """Whether it closes the connection after each response without a `Connection: close` header."""

    def claims(self, keys: dict[str, Any]) -> dict[str, Any]:
        """The claims of the last token, verified with the keys that we publish."""
        return verify_event(self.requests[-1]["token"], keys)[1]


def verify_event(token: str, keys: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims, after verifying the signature."""
    decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=["RS256", "ES256"])
    return decoded.header, decoded.claims


def names(claims: list[dict[str, Any]]) -> list[str]:
    """The last part of the type of each event."""
    return [uri.rpartition("/")[2] for claim in claims for uri in claim["events"]]


@contextmanager
def an_endpoint() -> Iterator[Endpoint]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            endpoint.connections += 1
            super().setup()

        def do_POST(self) -> None:
            token = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
            claims = json.loads(urlsafe_b64decode(token.split(".")[1].encode("ascii")))
            endpoint.requests.append({"token": token, "headers": dict(self.headers), "path": self.path})
            response = endpoint.respond(claims)
            status, document = response if isinstance(response, tuple) else (response, None)
            if status == 202:
                endpoint.accepted.append(claims)
            body = json.dumps(document).encode() if document is not None else b""
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **endpoint.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = self.close_connection or endpoint.closes

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/events")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
