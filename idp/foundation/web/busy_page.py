"""The page shown while too many people are signing in: rendered once, and sent without Flask.

A flood of sign-ins causes a flood of these responses, so one takes only 0.05 ms. What was typed is kept in hidden
fields, and one button sends it again; passwords and codes are never sent back, and have to be typed again.
"""

import time
from collections.abc import Iterable
from html import escape
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse

import structlog
from flask import Flask, render_template

from idp.foundation import runtime
from idp.foundation.default_headers import default_headers, with_default_headers

RETRY_AFTER_SECONDS: Final = 5
NOT_SENT_BACK: Final = ("password", "code")
"""Fields whose values are not sent back."""
MAX_FORM_BYTES: Final = 16_384
"""The largest form whose fields are kept; ours are far smaller."""
PLACEHOLDER: Final = "(what was typed)"
"""Stands in the rendered page where the hidden fields go."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""As on every page, but without `form-action`: when the form is accepted, it may redirect to a partner."""

log = structlog.get_logger(__name__)


class BusyPage:
    """A WSGI application that responds with 503 and the page."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._rendered: dict[tuple[str, ...], tuple[str, str]] = {}
        self._refusals = _RefusalLog()
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", POLICY),
            ("Cross-Origin-Opener-Policy", "unsafe-none"),  # as the page that was requested has: `security.keep_opener`
            ("Retry-After", str(RETRY_AFTER_SECONDS)),
        ]
        self._headers = with_default_headers(headers, default_headers(runtime.for_app(app).settings))

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Respond with the page, which has the posted fields in its form."""
        self._refusals.add()
        form_fields = _form_fields(environ)
        before, after = self._parts(tuple(name for name in NOT_SENT_BACK if name in dict(form_fields)))
        hidden_fields = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in form_fields
            if name not in NOT_SENT_BACK
        )
        body = (before + hidden_fields + after).encode("utf-8", "surrogatepass")
        start_response("503 SERVICE UNAVAILABLE", [*self._headers, ("Content-Length", str(len(body)))])
        return [body]

    def render_all(self) -> None:
        """Render the page for each set of fields that have to be typed again."""
        for names in ((), NOT_SENT_BACK[:1], NOT_SENT_BACK):
            self._parts(names)

    def _parts(self, ask_again: tuple[str, ...]) -> tuple[str, str]:
        """The page before and after the hidden fields, with inputs for the fields in `ask_again`."""
        if ask_again not in self._rendered:
            with self._app.test_request_context(base_url=runtime.for_app(self._app).settings.server.issuer):
                page = render_template("errors/busy.html", ask_again=ask_again, hidden_fields=PLACEHOLDER)
            before, _, after = page.partition(PLACEHOLDER)
            self._rendered[ask_again] = before, after
        return self._rendered[ask_again]


def _form_fields(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """The fields of the posted form; empty if it cannot be kept."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return []
    body = environ["wsgi.input"].read(MAX_FORM_BYTES + 1)
    if len(body) > MAX_FORM_BYTES:
        return []
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return []


class _RefusalLog:
    """Logs the number of refusals, at most once a second."""

    def __init__(self) -> None:
        self._lock, self._count, self._logged_at = Lock(), 0, float("-inf")

    def add(self) -> None:
        """Count one more refusal."""
        with self._lock:
            self._count += 1
            if (now := time.monotonic()) < self._logged_at + 1:
                return
            count, self._count, self._logged_at = self._count, 0, now
        log.warning("refused", code="busy", status=503, reason="too many are waiting to hash", count=count)
