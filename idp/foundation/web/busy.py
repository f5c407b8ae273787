"""The page for those who come while too many are signing in: made once, filled in by each, answered without Flask.

A flood of sign-ins is a flood of these answers, so one takes a twentieth of a millisecond. What was typed is kept in
the form, and one button sends it again; passwords and codes are never sent back, and are typed again.
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
from idp.foundation.fastpath.default_headers import default_headers, with_default_headers

RETRY_AFTER: Final = 5
"""Seconds."""
TYPED_AGAIN: Final = ("password", "code")
"""Fields whose values are not sent back."""
LONGEST: Final = 16_384
"""Bytes of a form that is kept; none of ours comes near it."""
KEPT: Final = "(what was typed)"
"""Stands in the page where the hidden fields go."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""As on every page, without `form-action`: once the form goes through, its answer may lead on to a partner."""

log = structlog.get_logger(__name__)


class Page:
    """A WSGI application that answers 503."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._made: dict[tuple[str, ...], tuple[str, str]] = {}
        self._refused = _Counter()
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", POLICY),
            ("Cross-Origin-Opener-Policy", "unsafe-none"),  # as the page it stands for: `security.keep_opener`
            ("Retry-After", str(RETRY_AFTER)),
        ]
        self._headers = with_default_headers(headers, default_headers(runtime.of(app).settings))

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """The page, with the fields of the form in it."""
        self._refused.one_more()
        typed = _typed(environ)
        before, after = self._halves(tuple(name for name in TYPED_AGAIN if name in dict(typed)))
        kept = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in typed
            if name not in TYPED_AGAIN
        )
        body = (before + kept + after).encode("utf-8", "surrogatepass")
        start_response("503 SERVICE UNAVAILABLE", [*self._headers, ("Content-Length", str(len(body)))])
        return [body]

    def make(self) -> None:
        """Render it, once for each set of fields that have to be typed again."""
        for asked in ((), TYPED_AGAIN[:1], TYPED_AGAIN):
            self._halves(asked)

    def _halves(self, asked: tuple[str, ...]) -> tuple[str, str]:
        """The page before and after the fields that are kept, when those of `asked` have to be typed again."""
        if asked not in self._made:
            with self._app.test_request_context(base_url=runtime.of(self._app).settings.server.issuer):
                before, _, after = render_template("errors/busy.html", asked=asked, kept=KEPT).partition(KEPT)
            self._made[asked] = before, after
        return self._made[asked]


def _typed(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """The fields of the form that was posted; nothing where it cannot be kept."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return []
    body = environ["wsgi.input"].read(LONGEST + 1)
    if len(body) > LONGEST:
        return []
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return []


class _Counter:
    """Writes one line a second to the log, with how many were refused in it."""

    def __init__(self) -> None:
        self._lock, self._count, self._written = Lock(), 0, float("-inf")

    def one_more(self) -> None:
        with self._lock:
            self._count += 1
            if (now := time.monotonic()) < self._written + 1:
                return
            count, self._count, self._written = self._count, 0, now
        log.warning("refused", code="busy", status=503, because="too many are waiting to hash", count=count)
