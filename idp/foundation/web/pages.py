"""Pages: variables for every template, and error pages.

Every error is converted once: to a page for people, to a problem document (RFC 9457) for programs.
"""

from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import AnonymousUserMixin, current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, DBAPIError, TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from idp.foundation import dates, request_state, runtime
from idp.foundation.errors import BadRequest, Busy, NotFound, Refusal
from idp.foundation.settings import Settings
from idp.foundation.web import contact_fields, form_drafts, middleware, security
from idp.foundation.web.brand import stylesheet

log = structlog.get_logger(__name__)

STATUS_TEXTS = {
    400: ("We could not read that request", "Please go back and try again."),
    405: ("This page cannot be opened like that", "Please go back and follow the link or press the button there."),
    413: ("That is too large", "What was sent is larger than we accept."),
    414: ("That address is too long", "Please go back and follow the link again."),
    415: ("We could not read that request", "It was sent in a form that we do not accept."),
    429: ("Too many attempts", "This has been tried too often. Please wait a little and try again."),
}

NO_COOKIES = (
    "Your browser sent no cookies with that. We need them to know that it is still you: please allow cookies for this "
    "site in your browser's settings"
)
PAGE_TOO_OLD = "This page had been open for a long time"


class FormExpired(Refusal):
    """The form's CSRF token is no longer valid: the page was open too long, or the person was signed out."""

    code, status, title = "form_expired", 400, "This page has been open too long"
    message = (
        "To keep your account safe, the form on it no longer works. Nothing was changed. Please open the page again."
    )


class CookiesNeeded(Refusal):
    """The browser rejects cookies, or they were deleted while the page was open: no form can be accepted."""

    code, status, title = "cookies_needed", 400, "Your browser sent us no cookies"
    message = (
        "Nothing was changed. We need cookies to know that it is still you. Please allow cookies for this site in your "
        "browser's settings, or ask the person who looks after your computer, and open the page again."
    )


def greeting(name: str) -> str:
    """How a mail begins: "Dear Jo Bloggs"; "Hello" to a person whose name it may not say."""
    return f"Dear {name}" if name else "Hello"


def configure(app: Flask, settings: Settings) -> None:
    """Register the template variables and the error handlers."""
    brand = stylesheet(settings.service.colour)
    app.jinja_env.filters.update(
        day=dates.day, moment=dates.day_and_time, greeting=greeting, phone_number=contact_fields.readable_phone_number
    )

    @app.context_processor
    def template_variables() -> dict[str, Any]:
        signed_in, state = current_user.is_authenticated, request_state.current()
        return {
            "service": settings.service, "csp_nonce": security.nonce(),
            "nav": runtime.ports().navigation() if signed_in else [],
            "shows_draft": state.draft is not None, "back_to": state.secret_page_back_to,
        }  # fmt: skip

    @app.get("/brand.css")
    @security.anyone
    def brand_css() -> Response:
        """The brand colour's shades, derived from the settings."""
        response = Response(brand, mimetype="text/css")
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    app.register_error_handler(Refusal, refusal)
    app.register_error_handler(CSRFError, lambda _error: form_expired())
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(DBAPIError, _database_error)
    app.register_error_handler(PoolTimeout, _database_error)
    app.register_error_handler(Exception, _unexpected)


def refusal(error: Refusal) -> ResponseReturnValue:
    """The response to a refusal, for a person or a program."""
    level = "warning" if error.status >= 500 else "info"
    getattr(log, level)("refused", code=error.code, status=error.status, reason=error.reason)
    response = _error_response(error.status, error.code, error.title, error.message, error.next_steps)
    if (seconds := getattr(error, "retry_after", None)) is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def form_expired() -> ResponseReturnValue:
    """Redirect to the page of a form whose CSRF token has expired; show an error if that page is unknown."""
    if (redirection := form_drafts.save_and_redirect()) is not None:
        return redirection
    rule = request.url_rule
    url = form_drafts.request_url() if rule and "GET" in (rule.methods or ()) else None
    steps = (("Open the page again", url),) if url else ()
    if security.sent_no_cookies():
        return refusal(CookiesNeeded(reason="no cookies", next_steps=steps))
    return refusal(FormExpired(reason="CSRF token missing or not ours", next_steps=steps))


def form_expired_reason(to_do: str) -> str:
    """The reason for a form that is shown again filled in, ending with what to do now."""
    return f"{NO_COOKIES}, and {to_do}." if security.sent_no_cookies() else f"{PAGE_TOO_OLD}. Please {to_do}."


def http_error(error: HTTPException) -> ResponseReturnValue:
    """The response to errors that Flask raises: a wrong method, too large a body, too many requests."""
    status = error.code or 500
    if error.response is not None or status < 400:
        return error
    original = getattr(error, "original_exception", None)
    if isinstance(original, DBAPIError | PoolTimeout):  # rendering another error page failed
        return _database_error(original)
    if status == HTTPStatus.NOT_FOUND:
        return refusal(NotFound(reason="no such route"))
    title, message = STATUS_TEXTS.get(status, (HTTPStatus(status).phrase, "Please go back and try again."))
    response = _error_response(status, HTTPStatus(status).phrase.lower().replace(" ", "_"), title, message, ())
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After"}:
            response.headers[name] = value
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        response.headers.setdefault("Retry-After", "60")
    return response


def _database_error(error: Exception) -> ResponseReturnValue:
    """The database is unreachable or rejects the statement: say that it is temporary (security.md §6.1).

    A value that it cannot store, such as a text with U+0000 on PostgreSQL, was sent to us, and cannot succeed later.
    """
    if isinstance(error, DataError):
        log.warning("database", error=type(error).__name__, exc_info=error)
        return refusal(BadRequest(reason="a value that the database cannot store"))
    log.error("database", error=type(error).__name__, exc_info=error)
    return refusal(
        Busy("We cannot reach our records just now. Nothing was changed.", reason="database", retry_after=10)
    )


def _unexpected(error: Exception) -> ResponseReturnValue:
    log.error("unforeseen", error=type(error).__name__, exc_info=error)
    message = "Nothing you typed was wrong, and we have a record of what happened. Please try again in a few minutes."
    return _error_response(500, "server_error", "Sorry, something broke on our side", message, ())


def _error_response(
    status: int, code: str, title: str, message: str, next_steps: tuple[tuple[str, str], ...]
) -> Response:
    if _wants_json():
        problem = jsonify(type="about:blank", title=title, status=status, detail=message, code=code)
        problem.status_code, problem.mimetype = status, "application/problem+json"
        return problem
    page = _page(
        status=status,
        code=code,
        title=title,
        message=message,
        next_steps=next_steps,
        request_id=middleware.request_id(),
    )
    return make_response(page, status)


def _page(**context: object) -> str:
    """The page of an error; without the signed-in person if the database is unreachable."""
    try:
        return render_template("errors/page.html", **context)
    except (DBAPIError, PoolTimeout):
        request_state.set_user(AnonymousUserMixin())
        return render_template("errors/page.html", **context)


def _wants_json() -> bool:
    preferred = request.accept_mimetypes.best_match(["text/html", "application/json"], default="text/html")
    return request.path.endswith(".json") or preferred == "application/json"
