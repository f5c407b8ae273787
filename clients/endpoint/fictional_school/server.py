"""Serve the fictional school by the APIs of Arbor and iSAMS: a page at a time, with a limit on requests.

Both require credentials: Arbor a username and a password (HTTP Basic), iSAMS a token for a client id and secret (client
credentials). The response to a request beyond the limit is 429 with Retry-After.
"""

import json
import secrets
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

USERNAME, PASSWORD = "xporter", "fictional-password"  # of a school that does not exist
TOKEN_SECONDS = 3600


@lru_cache(maxsize=32)
def _load(file: Path, _changed_at: int) -> list[Any]:
    """The items in an exported file, read again when it has changed."""
    return list(json.loads(file.read_text("utf-8")))


@dataclass
class Limits:
    """At most `requests` are served within `seconds`; requests for the lists in `failing` get an error."""

    requests: int = 100
    seconds: float = 5.0
    failing: dict[str, int] = field(default_factory=dict)
    """The status of the error, by the name of the list, which is the last part of the path."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    served_at: list[float] = field(default_factory=list)

    def count_or_wait_seconds(self) -> float:
        """Seconds until another request may be served; if 0, this one is counted."""
        now = time.monotonic()
        with self.lock:
            self.served_at = [moment for moment in self.served_at if now - moment < self.seconds]
            if len(self.served_at) >= self.requests:
                return self.seconds - (now - self.served_at[0])
            self.served_at.append(now)
            return 0


class _Handler(BaseHTTPRequestHandler):
    folder: Path
    limits: Limits
    tokens: set[str]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # the name is http.server's
        """Respond with a page of what was exported."""
        parts = urlsplit(self.path)
        mis, _, name = {"rest-v2": "arbor/", "api": "isams/"}.get(parts.path.split("/")[1], "").partition("/")
        name = parts.path.rsplit("/", 1)[-1]
        file = self.folder / mis / f"{name}.json"
        if not mis or not name.replace("-", "").isalnum() or not file.is_file():
            self._respond(404, {"error": "not found"})
        elif not self._is_signed_in(mis):
            self._respond(401, {"error": "unauthorized"})
        elif (seconds := self.limits.count_or_wait_seconds()) > 0:
            self._respond(429, {"error": "too many requests"}, {"Retry-After": str(int(seconds) + 1)})
        elif name in self.limits.failing:
            self._respond(self.limits.failing[name], {"error": "it is broken"})
        else:
            self._respond(200, self._page(mis, name, _load(file, file.stat().st_mtime_ns), parse_qs(parts.query)))

    def do_POST(self) -> None:
        """Respond with a token for iSAMS' API (OAuth 2.0 client credentials)."""
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        if urlsplit(self.path).path != "/auth/connect/token":
            self._respond(404, {"error": "not found"})
        elif (form.get("client_id"), form.get("client_secret")) != ([USERNAME], [PASSWORD]):
            self._respond(400, {"error": "invalid_client"})
        else:
            token = secrets.token_urlsafe(16)
            self.tokens.add(token)
            self._respond(200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS})

    def _is_signed_in(self, mis: str) -> bool:
        authorization = self.headers.get("Authorization", "")
        if mis == "arbor":
            return authorization == f"Basic {b64encode(f'{USERNAME}:{PASSWORD}'.encode()).decode()}"
        return authorization.removeprefix("Bearer ") in self.tokens

    @staticmethod
    def _page(mis: str, name: str, items: list[Any], query: dict[str, list[str]]) -> dict[str, Any]:
        size_parameter = "page-size" if mis == "arbor" else "pageSize"
        size, number = int(query.get(size_parameter, ["100"])[0]), int(query.get("page", ["1"])[0])
        page = items[(number - 1) * size : number * size]
        if mis == "arbor":
            return {"status": {"success": True}, name: page}
        counts = {"count": len(page), "page": number, "pageSize": size, "totalCount": len(items)}
        return {name: page, **counts, "totalPages": -(-len(items) // size)}

    def _respond(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's signature
        """Write no log."""


def make_server(folder: Path, port: int, limits: Limits | None = None) -> ThreadingHTTPServer:
    """A server on this machine for what was exported into the folder; the caller starts it."""
    attributes = {"folder": folder, "limits": limits or Limits(), "tokens": set()}
    return ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), attributes))


@contextmanager
def serving(folder: Path, limits: Limits | None = None) -> Iterator[str]:
    """Serve on a free port until the block ends; yields the URL."""
    server = make_server(folder, 0, limits)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
