"""A response cache for public documents, such as our keys, which every host of every partner fetches.

A view stores its response (`store`). Until it is too old, the same path is served from the cache without Flask, with
304 where `If-None-Match` names it. Only responses that are the same for all clients may be stored.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from wsgiref.types import StartResponse

from flask import Flask, Response
from werkzeug.http import parse_etags

from idp.foundation import runtime
from idp.foundation.default_headers import default_headers, with_default_headers
from idp.foundation.runtime import PerApplication
from idp.foundation.settings import Settings


@dataclass(frozen=True, slots=True)
class Document:
    """A response that is the same for all clients, fresh until `until` by the monotonic clock."""

    body: bytes
    etag: str
    headers: list[tuple[str, str]]
    until: float


CACHE: Final = PerApplication[dict[str, Document]](dict)
"""By path."""


def store(path: str, response: Response, *, seconds: float) -> None:
    """Store the response to `path` for this number of seconds; 0 stores nothing."""
    if seconds > 0:
        etag, _ = response.get_etag()
        complete = with_default_headers(response.headers, default_headers(runtime.settings()))
        headers = [(name, value) for name, value in complete if name != "Content-Length"]
        CACHE.get()[path] = Document(response.get_data(), etag or "", headers, time.monotonic() + seconds)


def configure(app: Flask, settings: Settings) -> None:
    """Put the cache in front of `app`."""
    cache, host, application = CACHE.for_app(app), settings.server.host_name, app.wsgi_app

    def serve_cached(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        cached = cache.get(environ["PATH_INFO"])
        if (
            cached is None
            or environ["REQUEST_METHOD"] != "GET"
            or environ.get("HTTP_HOST") != host
            or "HTTP_IF_MATCH" in environ  # Flask compares it
            or time.monotonic() >= cached.until
        ):
            return application(environ, start_response)
        if (etags := environ.get("HTTP_IF_NONE_MATCH")) and parse_etags(etags).contains_weak(cached.etag):
            start_response("304 NOT MODIFIED", cached.headers)
            return []
        start_response("200 OK", [*cached.headers, ("Content-Length", str(len(cached.body)))])
        return [cached.body]

    app.wsgi_app = serve_cached  # type: ignore[method-assign]
