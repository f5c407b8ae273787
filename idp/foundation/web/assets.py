"""The files that belong to pages (styles, scripts, letters, pictures), under addresses that name their version.

WhiteNoise serves them. A browser keeps such a file without asking again: what has changed has another address. The
version stands before the file's own path, so that what a style sheet names beside itself is of the same version.
"""

import hashlib
from pathlib import Path
from typing import Any

from flask import Flask, Response
from whitenoise import WhiteNoise


def configure(app: Flask) -> None:
    """Have `url_for("static", filename=…)` name the version of all files, and serve them from there for good.

    Under any other version, of a page from before a release, there is this one's file for now.
    """
    folder = Path(str(app.static_folder))
    current = _version(folder)
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app, root=folder, prefix=f"static/v-{current}", allow_all_origins=False,
        immutable_file_test=lambda _path, _url: True,
    )  # fmt: skip

    def of_another_version(filename: str, version: str = "") -> Response:  # noqa: ARG001  the route's
        return app.send_static_file(filename)

    def name_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("version", current)

    app.view_functions["static"] = of_another_version
    app.add_url_rule("/static/v-<version>/<path:filename>", endpoint="static")
    app.url_defaults(name_version)


def _version(folder: Path) -> str:
    """Of every file's name and content."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
