"""Policies of pages, hosts, cookies, CSRF, who may call a route, and where a person may be sent.

Closed unless opened: a route without one of `anyone`, `person`, `operator` or `client` answers 404, and a
test walks the URL map for such routes.
"""

import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import CSRFProtect

from idp.foundation import request_state, runtime
from idp.foundation.errors import BadRequest, NotFound
from idp.foundation.fastpath.form_cookie import LazyCookieSessions
from idp.foundation.settings import Settings
from idp.foundation.web import form_drafts
from idp.foundation.web.middleware import SENT_HOST

csrf = CSRFProtect()

HEALTH: Final = frozenset({"/healthz", "/readyz"})
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that decide nothing (RFC 9110 §9.2.1)."""
FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

SIGNED_OUT: Final = "You had been signed out, so nothing was sent. "
DRAFT_SAVED: Final = "What you typed has been kept. Sign in, check it, and press the button again."
DRAFT_NOT_SAVED: Final = "Please sign in, and fill the form in again."

MAX_HOST: Final = 255
"""Characters of a foreign host that the log shows."""

View = Callable[..., ResponseReturnValue]


class UnknownHost(BadRequest):
    """The request names another host than ours, by a DNS entry or a proxy that is not set up as it should be."""


def anyone(view: View) -> View:
    """Open to everyone; the view itself decides what they get."""
    return _opened(view, "anyone")


def client(view: View) -> View:
    """For registered clients and token holders: the view authenticates them (RFC 6749 §2.3, RFC 6750)."""
    return _opened(view, "client")


def person(view: View) -> View:
    """For a signed-in administrator; others sign in first and come back, to the form as they had filled it in."""
    return _opened(view, "person", _must_be("administrator"))


def operator(view: View) -> View:
    """For our signed-in staff, who likewise come back; to others the page does not exist."""
    return _opened(view, "operator", _must_be("operator"))


def _opened(view: View, who: str, check: Callable[[], ResponseReturnValue | None] | None = None) -> View:
    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        if check and (instead := check()) is not None:
            return instead
        return view(*args, **kwargs)

    guarded.open_to = who  # type: ignore[attr-defined]
    return guarded


def _must_be(kind: str) -> Callable[[], ResponseReturnValue | None]:
    def check() -> ResponseReturnValue | None:
        if not current_user.is_authenticated:
            last = runtime.ports().last_signed_in()
            if kind == "operator" and (last is None or last.kind != kind):
                raise NotFound(because="operators only, and none is or was signed in here")
            if request.method == "POST":
                flash(SIGNED_OUT + (DRAFT_SAVED if form_drafts.save() else DRAFT_NOT_SAVED), "info")
            sign_in = "signin.operators.sign_in" if kind == "operator" else "signin.sign_in"
            return redirect(url_for(sign_in, next=form_drafts.form_address()), 303)
        if getattr(current_user, "kind", None) != kind:
            raise NotFound(because=f"for {kind}s only")
        return None

    return check


def csrf_exempt(view: View) -> None:
    """Exempt a view from the CSRF token: its caller has no cookie that a forgery could use (protocol.md §3.9)."""
    _exempt.add(view)


_exempt: Final[set[View]] = set()


def local_path(path: str | None, otherwise: str = "/") -> str:
    """`path` if it stays on this host, else `otherwise`: the one place that decides (security.md S7)."""
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")):
        return otherwise
    if not path.isprintable() or " " in path or "\\" in path:
        return otherwise
    parts = urlsplit(path)
    return otherwise if parts.scheme or parts.netloc else path


def let_forms_leave() -> None:
    """Leave `form-action` out of the policy of this page, whose form can lead to a partner.

    Chromium holds `form-action` against every redirect after a submission. We know a partner's first address and never
    the next: its callback may go on to another host or to an app's own scheme, which no list of ours can name, and the
    person would be stranded there (security.md S50). What remains against a form that is not ours: pages are escaped
    throughout, scripts need a nonce, and `base-uri` is 'none'.
    """
    request_state.current().lets_forms_leave = True


def keep_opener() -> None:
    """Let this answer stay in touch with the window that opened it.

    A partner may open us in a window of its own. Where one answer on the way says `Cross-Origin-Opener-Policy:
    same-origin`, redirects included, the browser cuts the tie for good, and the callback cannot report to the page that
    waits for it.
    """
    request_state.current().keeps_opener = True


def nonce() -> str:
    """This answer's CSP nonce."""
    state = request_state.current()
    if state.csp_nonce is None:
        state.csp_nonce = secrets.token_urlsafe(16)
    return state.csp_nonce


def cookie_name(settings: Settings, name: str) -> str:
    """`__Host-` before the name wherever the browser accepts it: only this host can then have set it."""
    return f"__Host-{name}" if settings.server.is_https else name


def sent_no_cookies() -> bool:
    """Whether the browser sent no cookie at all: it keeps none, or they were deleted since the page came."""
    return not request.cookies


def configure(app: Flask, settings: Settings) -> None:
    """Put the rules of this module around every request of `app`."""
    app.config.update(
        SECRET_KEY=settings.secrets.session,
        SESSION_COOKIE_NAME=cookie_name(settings, "form"),
        SESSION_COOKIE_SECURE=settings.server.is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=settings.server.max_body,
        MAX_FORM_PARTS=500,
        WTF_CSRF_TIME_LIMIT=None,  # it lives as long as the browser session it is bound to
        WTF_CSRF_CHECK_DEFAULT=False,  # `_guard_request` does, after the route was looked at
        WTF_CSRF_SSL_STRICT=False,  # it asks for a Referer, and our own policy is to send none
    )
    csrf.init_app(app)
    app.before_request(_guard_request)
    app.after_request(_policies)
    app.session_interface = LazyCookieSessions()


def _guard_request() -> None:
    """The rules that hold before any view: our host, a readable path, a route that was opened, no forgery."""
    asked, app = request._get_current_object(), current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    environ, path, host = asked.environ, asked.path, runtime.settings().server.host_name
    if environ.get("HTTP_HOST") != host and asked.host != host and path not in HEALTH:
        raise UnknownHost(because=f"Host: {environ.get(SENT_HOST, '')[:MAX_HOST]!r} was sent, {host!r} is expected")
    # No address of ours has control characters, and PostgreSQL cannot even be asked about a NUL.
    if not path.isprintable() and any(char < " " or char == "\x7f" for char in path):
        raise NotFound(because="a control character in the path")
    is_safe = asked.method in SAFE
    # Views ask which button was pressed; only a POST has shown a token against forgery by then.
    if is_safe and environ.get("CONTENT_TYPE") and asked.mimetype in FORMS and (asked.form or asked.files):
        raise BadRequest(because="a form that was not posted")
    view = None if asked.url_rule is None else app.view_functions[asked.url_rule.endpoint]
    if view is None or asked.url_rule.endpoint == "static":
        return
    if not hasattr(view, "open_to"):
        raise NotFound(because=f"{asked.endpoint} does not say who may call it")
    if not is_safe and view not in _exempt:
        csrf.protect()
        form_drafts.discard()


def _policies(response: Response) -> Response:
    """What a page may load, where its forms may lead, and who may hold its window."""
    is_page = (response.content_type or "").startswith("text/html") and response.status_code not in range(300, 400)
    if is_page and "Content-Security-Policy" not in response.headers:
        response.headers["Content-Security-Policy"] = _page_policy()
    if request_state.current().keeps_opener:
        response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return response


def _page_policy() -> str:
    forms = "" if request_state.current().lets_forms_leave else "form-action 'self'; "
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce()}'; style-src 'self'; img-src 'self' data:; "
        f"font-src 'self'; connect-src 'self'; manifest-src 'self'; {forms}base-uri 'none'; frame-ancestors 'none'"
    )
