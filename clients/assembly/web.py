"""Shared by all pages of Assembly: cookies, CSRF, headers, one host name, and error pages."""

import logging
import secrets
from pathlib import Path

from flask import Flask, Response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect

from clients.assembly.school_account import SchoolAccountError, StartAgain
from clients.assembly.settings import Settings

csrf = CSRFProtect()


def configure(app: Flask, settings: Settings) -> None:
    """Apply the rules of this module to every request of `app`."""
    app.config.update(
        SECRET_KEY=_key(settings.data / "cookie.key"),
        SESSION_COOKIE_NAME="assembly",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",  # it must be sent with the provider's redirect to the callback
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=65_536,
    )
    csrf.init_app(app)
    policy = (
        # No form-action: signing out goes to the provider by a redirect after a form, and where it sends the browser
        # on its way back is not ours to list, while Chromium holds the policy against every redirect.
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    host = settings.url.partition("://")[2]

    @app.before_request
    def redirect_to_own_host() -> ResponseReturnValue | None:
        return None if request.host == host or request.path == "/healthz" else redirect(f"{settings.url}/", 303)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response

    @app.errorhandler(SchoolAccountError)
    def show_error(error: SchoolAccountError) -> ResponseReturnValue:
        level = logging.INFO if error.status == 200 else logging.WARNING
        app.logger.log(level, "%s: %r", type(error).__name__, " ".join(map(str, error.args)))
        return render_template("error.html", error=error), error.status

    app.register_error_handler(CSRFError, lambda _error: show_error(StartAgain("CSRF token missing or not ours")))
    app.register_error_handler(404, lambda _error: (render_template("nothing.html"), 404))


def _key(file: Path) -> bytes:
    """The key that signs our cookie; created on first use."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(secrets.token_bytes(32))
    return file.read_bytes()
