"""Content security policy, host check, cookies, CSRF, access to routes, and safe redirects.

Routes are closed by default: a route without one of `anyone`, `person`, `own_account`, `operator`, `developer` or
`client` returns 404, and a test walks the URL map for such routes.
"""

import secrets
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Flask, Response, after_this_request, current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import CSRFProtect

from idp.foundation import request_state, runtime
from idp.foundation.errors import BadRequest, NotFound
from idp.foundation.fastpath.form_cookie import LazyCookieSessions
from idp.foundation.settings import Settings
from idp.foundation.web import form_drafts
from idp.foundation.web.middleware import SENT_HOST_KEY
from idp.foundation.web.view import View

csrf = CSRFProtect()

HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 §9.2.1)."""
FORM_TYPES: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

SIGNED_OUT: Final = "You had been signed out, so nothing was sent. "
DRAFT_SAVED: Final = "What you typed has been kept. Sign in, check it, and press the button again."
DRAFT_NOT_SAVED: Final = "Please sign in, and fill the form in again."

_SIGN_IN: Final = {
    "administrator": "signin.sign_in", "operator": "signin.operators.sign_in", "developer": "signin.developers.sign_in",
}  # fmt: skip
"""Where each kind of person signs in."""

MAX_HOST_LENGTH: Final = 255
"""Characters of an unknown host that are logged."""

OPEN_TO_FICTIONAL: Final = frozenset(
    {
        "manage.home", "manage.stop_sharing", "manage.change_sharing", "manage.pause_sharing", "manage.resume_sharing",
        "manage.download_record", "manage.system.change", "signin.schools.choose",
    }
)  # fmt: skip
"""Pages for people of fictional schools, in addition to those below `manage.sharing` and `manage.security`."""


class UnknownHost(BadRequest):
    """The request names another host than ours, through a wrong DNS entry or proxy setting."""


def anyone(view: View) -> View:
    """Open to everyone; the view itself decides what is shown."""
    return _open_to(view, "anyone")


def client(view: View) -> View:
    """For registered clients and token holders: the view authenticates them (RFC 6749 §2.3, RFC 6750)."""
    return _open_to(view, "client")


def person(view: View) -> View:
    """For a signed-in administrator who acts for one school; others sign in first, or choose the school.

    They come back to the form as they had filled it in.
    """
    return _open_to(view, "person", _require("administrator"))


def own_account(view: View) -> View:
    """For a signed-in administrator and their own account, whether or not they act for a school in this session."""
    return _open_to(view, "own_account", _require("administrator", needs_school=False))


def operator(view: View) -> View:
    """For our signed-in staff; others sign in first if staff were signed in here before, and otherwise get a 404."""
    return _open_to(view, "operator", _require("operator"))


def developer(view: View) -> View:
    """For a signed-in person of a partner; others sign in first.

    So does someone who is signed in as another kind of person: developers try schools' sign-ins in the same browser.
    """
    return _open_to(view, "developer", _require("developer"))


def _open_to(view: View, kind: str, check: Callable[[], ResponseReturnValue | None] | None = None) -> View:
    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        if check and (response := check()) is not None:
            return response
        return view(*args, **kwargs)

    guarded.open_to = kind  # type: ignore[attr-defined]
    return guarded


def _require(kind: str, *, needs_school: bool = True) -> Callable[[], ResponseReturnValue | None]:
    def check() -> ResponseReturnValue | None:
        if not current_user.is_authenticated or (kind == "developer" and current_user.kind != kind):
            last_person = runtime.ports().last_signed_in()
            if kind == "operator" and (last_person is None or last_person.kind != kind):
                raise NotFound(reason="operators only, and none is or was signed in here")
            if request.method == "POST":
                flash(SIGNED_OUT + (DRAFT_SAVED if form_drafts.save() else DRAFT_NOT_SAVED), "info")
            return redirect(url_for(_SIGN_IN[kind], next=form_drafts.form_url()), 303)
        if getattr(current_user, "kind", None) != kind:
            raise NotFound(reason=f"for {kind}s only")
        if getattr(current_user, "is_fictional", False) and not _is_open_to_fictional(request.endpoint or ""):
            raise NotFound(reason="closed to people of fictional schools")
        if needs_school and kind == "administrator" and current_user.estab_id is None:
            if request.method == "POST":
                form_drafts.save()
            return redirect(url_for("signin.schools.choose", next=form_drafts.form_url()), 303)
        return None

    return check


def _is_open_to_fictional(endpoint: str) -> bool:
    """Whether people of fictional schools may use this page: those on which they decide about sharing.

    The pages that send a message to someone, or lead to another school or account, are closed to them.
    """
    return endpoint in OPEN_TO_FICTIONAL or endpoint.startswith(("manage.sharing.", "manage.security."))


def csrf_exempt(view: View) -> None:
    """Exempt a view from the CSRF token: its callers are not authenticated by a cookie (protocol.md §3.9)."""
    _csrf_exempt_views.add(view)


_csrf_exempt_views: Final[set[View]] = set()


def local_path(path: str | None, otherwise: str = "/") -> str:
    """`path` if it is on this host, else `otherwise`; every redirect to a given path uses it (security.md S7)."""
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")):
        return otherwise
    if not path.isprintable() or " " in path or "\\" in path:
        return otherwise
    parts = urlsplit(path)
    return otherwise if parts.scheme or parts.netloc else path


def allow_form_redirects() -> None:
    """Leave `form-action` out of the policy of this page, because its form can redirect to a partner.

    Chromium applies `form-action` to every redirect after a submission. We know a partner's first URL only: its
    callback may redirect to another host or to an app's own scheme, which no list of ours can name, and the person
    would be stuck there (security.md S50). Injected forms are still prevented: pages are escaped throughout, scripts
    need a nonce, and `base-uri` is 'none'.
    """
    request_state.current().allows_form_redirects = True


def keep_opener() -> None:
    """Let this response keep its `window.opener`.

    A partner may open our page in a popup. If one response on the way, redirects included, has
    `Cross-Origin-Opener-Policy: same-origin`, the browser severs the popup from its opener for good, and the callback
    cannot report to the page that waits for it.
    """
    request_state.current().keeps_opener = True


def nonce() -> str:
    """The CSP nonce of this response."""
    state = request_state.current()
    if state.csp_nonce is None:
        state.csp_nonce = secrets.token_urlsafe(16)
    return state.csp_nonce


def cookie_name(settings: Settings, name: str) -> str:
    """The name with the prefix `__Host-` under https: only this host can then have set the cookie.

    Without https, as on a developer's machine, it has a prefix of our own: browsers keep cookies by host whatever the
    port, so that a plain `session` would replace that of another program on localhost.
    """
    return f"__Host-{name}" if settings.server.is_https else f"idaas-{name}"


def set_cookie(name: str, value: str, *, lifetime: timedelta | None = None) -> None:
    """Set a cookie with the response, for `lifetime` or until the browser is closed; `name` includes its prefix.

    An empty value deletes it. Scripts cannot read it, and other sites' forms do not send it (security.md rule 7).
    """
    max_age = 0 if not value else None if lifetime is None else int(lifetime.total_seconds())

    @after_this_request
    def add_cookie(response: Response) -> Response:
        response.set_cookie(
            name, value, path="/", httponly=True, samesite="Lax", secure=runtime.settings().server.is_https,
            max_age=max_age,
        )  # fmt: skip
        return response


def sent_no_cookies() -> bool:
    """Whether the browser sent no cookie at all: it rejects them, or they were deleted since the page was loaded."""
    return not request.cookies


def configure(app: Flask, settings: Settings) -> None:
    """Apply the rules of this module to every request of `app`."""
    app.config.update(
        SECRET_KEY=settings.secrets.session,
        SESSION_COOKIE_NAME=cookie_name(settings, "form"),
        SESSION_COOKIE_SECURE=settings.server.is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=settings.server.max_body,
        MAX_FORM_PARTS=500,
        WTF_CSRF_TIME_LIMIT=None,  # valid as long as the browser session it is bound to
        WTF_CSRF_CHECK_DEFAULT=False,  # `_guard_request` checks it, after the route
        WTF_CSRF_SSL_STRICT=False,  # it requires a Referer, which our referrer policy forbids
    )
    csrf.init_app(app)
    app.before_request(_guard_request)
    app.after_request(_set_policies)
    app.session_interface = LazyCookieSessions()


def _guard_request() -> None:
    """Check host, path, access to the route, and CSRF token before any view runs."""
    current, app = request._get_current_object(), current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    environ, path, host = current.environ, current.path, runtime.settings().server.host_name
    if environ.get("HTTP_HOST") != host and current.host != host and path not in HEALTH_PATHS:
        raise UnknownHost(
            reason=f"Host: {environ.get(SENT_HOST_KEY, '')[:MAX_HOST_LENGTH]!r} was sent, {host!r} is expected"
        )
    # No route has control characters, and PostgreSQL rejects NUL in a parameter.
    if not path.isprintable() and any(char < " " or char == "\x7f" for char in path):
        raise NotFound(reason="a control character in the path")
    is_safe = current.method in SAFE_METHODS
    # Views check which button was pressed; only a POST has had its CSRF token checked by then.
    if is_safe and environ.get("CONTENT_TYPE") and current.mimetype in FORM_TYPES and (current.form or current.files):
        raise BadRequest(reason="a form that was not posted")
    view = None if current.url_rule is None else app.view_functions[current.url_rule.endpoint]
    if view is None or current.url_rule.endpoint == "static":
        return
    if not hasattr(view, "open_to"):
        raise NotFound(reason=f"{current.endpoint} does not declare who may call it")
    if not is_safe and view not in _csrf_exempt_views:
        csrf.protect()
        form_drafts.discard()


def _set_policies(response: Response) -> Response:
    """Set the content security policy of a page, and the opener policy."""
    is_page = (response.content_type or "").startswith("text/html") and response.status_code not in range(300, 400)
    if is_page and "Content-Security-Policy" not in response.headers:
        response.headers["Content-Security-Policy"] = _page_policy()
    if request_state.current().keeps_opener:
        response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return response


def _page_policy() -> str:
    forms = "" if request_state.current().allows_form_redirects else "form-action 'self'; "
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce()}'; style-src 'self'; img-src 'self' data:; "
        f"font-src 'self'; connect-src 'self'; manifest-src 'self'; {forms}base-uri 'none'; frame-ancestors 'none'"
    )
