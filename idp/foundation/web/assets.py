"""The files that belong to pages (styles, scripts, letters, pictures), under addresses that name their version.

A browser keeps such a file for a year without asking again: what has changed has another address. The version stands
before the file's own path, so that what a style sheet names beside itself is of the same version. They are few and
small, and are served from memory.
"""

import hashlib
import mimetypes
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, abort, request

FOREVER: Final = "public, max-age=31536000, immutable"
"""A year (RFC 9111 §5.2.2.1, RFC 8246)."""
TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
"""What browsers insist on; the system's own list may know better, or nothing."""


def configure(app: Flask) -> None:
    """Have `url_for("static", filename=…)` name the version of all of them, and serve them for good there."""
    files = _read(Path(str(app.static_folder)))
    current = _version(files)

    def served(filename: str, version: str | None = None) -> Response:
        """A file. Under another version's address, of a page from before a release, there is this one's for now."""
        if (content := files.get(filename)) is None:
            abort(404)
        response = Response(content, mimetype=_type(filename))
        response.set_etag(current)
        response.headers["Cache-Control"] = FOREVER if version == current else "no-cache"
        response.make_conditional(request)
        return response

    def named(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("version", current)

    app.view_functions["static"] = served
    app.add_url_rule("/static/v-<version>/<path:filename>", endpoint="static")
    app.url_defaults(named)


def _read(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, by its path there."""
    found = sorted(each for each in folder.rglob("*") if each.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}


def _version(files: dict[str, bytes]) -> str:
    """Of every file's name and content."""
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def _type(filename: str) -> str:
    return TYPES.get(Path(filename).suffix) or mimetypes.guess_type(filename)[0] or "application/octet-stream"
