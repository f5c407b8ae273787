"""Shared by all pages: cookies, CSRF, headers, one host name, error pages, and who is signed in."""

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

from flask import Flask, Response, current_app, g, redirect, render_template, request, session
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect

from clients.assembly import accounts, mail, sign_ins
from clients.assembly.accounts import WRONG_PASSWORD, Account, InvalidInput
from clients.assembly.background import Background
from clients.assembly.database import Database
from clients.assembly.errors import ProviderError, SignInNotFound
from clients.assembly.keys import Keys
from clients.assembly.provider import Provider
from clients.assembly.settings import Settings
from clients.assembly.sign_ins import SignIn

CONTENT_SECURITY_POLICY = (
    # Without form-action, which Chromium applies to every redirect after a form is sent: signing out is a form that
    # redirects to the provider, and we cannot list the URLs to which the provider redirects.
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
MACHINE_PATHS = frozenset({"/healthz", "/jwks.json", "/events", "/backchannel-logout"})
"""The paths that programs call, by any host name of this machine; people are redirected to the one in the settings."""

csrf = CSRFProtect()


@dataclass(frozen=True, slots=True)
class Program:
    """The parts of one application that its pages use."""

    settings: Settings
    database: Database
    keys: Keys
    provider: Provider
    background: Background


def current_program() -> Program:
    """The program that handles this request."""
    return cast("Program", current_app.extensions["assembly"])


def current_sign_in() -> SignIn | None:
    """The sign-in of this browser, queried once per request."""
    if "sign_in" not in g:
        g.sign_in = sign_ins.find(current_program().database, session.get("handle"))
    return cast("SignIn | None", g.sign_in)


def current_account() -> Account | None:
    """The account of this browser, if it is signed in by password."""
    sign_in = current_sign_in()
    return accounts.find(current_program().database, sign_in.account_id) if sign_in and sign_in.account_id else None


def sign_in_by_password(account: Account) -> None:
    """Sign this browser in, under a new handle.

    Raises `InvalidInput` if the password was changed since it was verified.
    """
    handle = sign_ins.add_by_password(current_program().database, account, instead_of=session.get("handle"))
    if handle is None:
        raise InvalidInput(email=WRONG_PASSWORD)
    _set_handle(handle)


def sign_in_by_school_account(sign_in: SignIn) -> None:
    """Sign this browser in, under a new handle; a person signed in by password stays so."""
    _set_handle(sign_ins.add_by_school_account(current_program().database, sign_in, instead_of=session.get("handle")))


def _set_handle(handle: str) -> None:
    session["handle"] = handle
    g.pop("sign_in", None)


def end_sign_in() -> None:
    """Sign this browser out here."""
    if handle := session.pop("handle", None):
        sign_ins.end(current_program().database, handle)
    g.pop("sign_in", None)


def browser() -> str:
    """A random name of this browser, with which it can complete only sign-ins that it began itself."""
    return cast("str", session.setdefault("browser", secrets.token_urlsafe(16)))


def configure(app: Flask, program: Program) -> None:
    """Apply the rules of this module to every request of `app`."""
    settings = program.settings
    application_key = settings.application.key
    app.extensions["assembly"] = program
    app.config.update(
        SECRET_KEY=_cookie_key(settings.data_folder / f"{application_key}.cookie.key"),
        SESSION_COOKIE_NAME=application_key,  # browsers keep cookies by host, whatever the port
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",  # it must be sent with the provider's redirect to the callback
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=65_536,
    )
    csrf.init_app(app)
    app.add_template_filter(_format_time, "format_time")
    support = {"telephone": mail.SUPPORT_TELEPHONE, "email": mail.SUPPORT_EMAIL}
    app.context_processor(lambda: {
        "application": settings.application, "support": support, "sign_in": current_sign_in(),
        "account": current_account(),
    })  # fmt: skip
    host = settings.url.partition("://")[2]

    @app.before_request
    def redirect_to_own_host() -> ResponseReturnValue | None:
        return None if request.host == host or request.path in MACHINE_PATHS else redirect(f"{settings.url}/", 303)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.errorhandler(ProviderError)
    def show_error(error: ProviderError) -> ResponseReturnValue:
        level = logging.INFO if error.status == 200 else logging.WARNING
        app.logger.log(level, "%s: %r", type(error).__name__, " ".join(map(str, error.args)))
        return render_template("error.html", error=error), error.status

    app.register_error_handler(CSRFError, lambda _error: show_error(SignInNotFound("CSRF token missing or not ours")))
    app.register_error_handler(404, lambda _error: (render_template("not_found.html"), 404))


def _cookie_key(file: Path) -> bytes:
    """The key that signs our cookie; created on first use."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(secrets.token_bytes(32))
    return file.read_bytes()


def _format_time(moment: float | str) -> str:
    """A time in seconds since 1970, or as a string of RFC 3339, in British time: "2 March 2026 at 09:30"."""
    zone = ZoneInfo("Europe/London")
    local_time = (
        datetime.fromisoformat(moment).astimezone(zone)
        if isinstance(moment, str)
        else datetime.fromtimestamp(moment, zone)
    )
    return f"{local_time.day} {local_time:%B %Y at %H:%M}"
