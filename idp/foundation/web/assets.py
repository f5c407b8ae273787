"""Static files (styles, scripts, fonts, images), at URLs that contain their version.

WhiteNoise serves them. Browsers cache them without revalidation, because a changed file has another URL. The
version is a directory in the path, so that relative URLs in a style sheet have the same version.
"""

import hashlib
from pathlib import Path
from typing import Any

from flask import Flask, Response
from whitenoise import WhiteNoise


def configure(app: Flask) -> None:
    """Add the version to `url_for("static", filename=…)`, and serve the files there as immutable.

    Any other version, in a page from before a release, serves the current file without that header.
    """
    folder = Path(str(app.static_folder))
    current = _version(folder)
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app, root=folder, prefix=f"static/v-{current}", allow_all_origins=False,
        immutable_file_test=lambda _path, _url: True,
    )  # fmt: skip

    def serve_other_version(filename: str, version: str = "") -> Response:  # noqa: ARG001  part of the route
        return app.send_static_file(filename)

    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("version", current)

    app.view_functions["static"] = serve_other_version
    app.add_url_rule("/static/v-<version>/<path:filename>", endpoint="static")
    app.url_defaults(add_version)


def _version(folder: Path) -> str:
    """A digest of all file names, sizes and contents."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
