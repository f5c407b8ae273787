"""Public documents as ready bytes, answered before Flask wakes: every host of every partner fetches our keys.

A view hands over what it has just answered (`keep`); until that is too old, the same path is answered from here,
with `304` for those who have it already. Nothing personal ever passes: the answer is the same for everybody.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, current_app
from werkzeug.http import parse_etags

from idp.foundation.web import door

StartResponse = Callable[..., Callable[[bytes], object]]


@dataclass(frozen=True, slots=True)
class Document:
    """An answer that is good for everybody until `until`, by the monotonic clock."""

    body: bytes
    etag: str
    headers: list[tuple[str, str]]
    until: float


def keep(path: str, response: Response, *, seconds: float) -> None:
    """Answer `path` with the same from now on, for so many seconds; with none, nothing is kept."""
    if seconds > 0:
        etag, _ = response.get_etag()
        told = door.dressed(response.headers, current_app.extensions["idp.headers"])
        headers = [(name, value) for name, value in told if name != "Content-Length"]
        shelf: dict[str, Document] = current_app.extensions["idp.ready"]
        shelf[path] = Document(response.get_data(), etag or "", headers, time.monotonic() + seconds)


def configure(app: Flask) -> None:
    """Put the shelf in front of `app`; to be called after `security`, whose host it asks for."""
    shelf: dict[str, Document] = {}
    app.extensions["idp.ready"] = shelf
    host, behind = app.extensions["idp.host"], app.wsgi_app

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        found = shelf.get(environ["PATH_INFO"])
        if (
            found is None
            or environ["REQUEST_METHOD"] != "GET"
            or environ.get("HTTP_HOST") != host
            or time.monotonic() >= found.until
        ):
            return behind(environ, start_response)
        if (known := environ.get("HTTP_IF_NONE_MATCH")) and parse_etags(known).contains_weak(found.etag):
            start_response("304 NOT MODIFIED", found.headers)
            return []
        start_response("200 OK", [*found.headers, ("Content-Length", str(len(found.body)))])
        return [found.body]

    app.wsgi_app = answer  # type: ignore[method-assign]
