"""Checks that hold for every response of the service, and for its log."""

import json
import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import structlog

from tests.fuzz.hostile import CANARY
from tests.oidc.support import ISSUER

DEFAULT_HEADERS = {
    "X-Frame-Options": {"DENY"}, "X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"no-referrer"},
    "Cross-Origin-Opener-Policy": {"same-origin", "unsafe-none"}, "Permissions-Policy": None,
    "Content-Security-Policy": None, "Cache-Control": None,
}  # fmt: skip
"""Headers that every response has exactly once, with the values that are allowed (security.md B14-B16); None: any."""
_DESCRIPTION = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
"""The characters of an `error_description` (RFC 6749 §5.2)."""


def check(response: Any, registered: Collection[str] = (), secrets: Collection[str] = ()) -> None:
    """Check a response: no 5xx, redirects only to us or a `registered` URI, a body of its type, and none of the
    `secrets`.
    """
    assert response.status_code < 500, (response.status_code, response.text)
    if (location := response.headers.get("Location")) is not None:
        _check_location(location, registered)
    _check_headers(response.headers)
    if challenge := response.headers.get("WWW-Authenticate"):
        for described in re.findall(r'error_description="([^"]*)"', challenge):
            assert _DESCRIPTION.fullmatch(described), challenge
    _check_body(response)
    text = f"{response.headers}\n{response.text}"
    assert not [secret for secret in secrets if secret in text], text


def _check_headers(headers: Any) -> None:
    assert "X-Evil" not in headers
    for name, allowed in DEFAULT_HEADERS.items():
        values = headers.getlist(name)
        assert len(values) == 1, (name, values)
        assert allowed is None or values[0] in allowed, (name, values)
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers.get("Access-Control-Allow-Origin", "*") == "*"
    assert "Access-Control-Allow-Credentials" not in headers
    for cookie in headers.getlist("Set-Cookie"):
        assert "; HttpOnly" in cookie, cookie
        assert "; SameSite=Lax" in cookie, cookie


def _check_location(location: str, registered: Collection[str]) -> None:
    assert location.isprintable(), location
    uri, _, query = location.partition("?")
    parts = urlsplit(location)
    if parts.scheme or parts.netloc or location.startswith(("//", "/\\")):
        assert uri in registered or location.startswith(ISSUER + "/"), location
    for name, value in parse_qsl(query):
        assert name != "error_description" or _DESCRIPTION.fullmatch(value), location


def _check_body(response: Any) -> None:
    if response.mimetype in {"application/json", "application/problem+json"}:
        if response.data:  # no body in a response to HEAD
            body = json.loads(response.data, parse_constant=_reject_constant)
            if isinstance(body, dict) and "error" in body:
                assert _DESCRIPTION.fullmatch(body.get("error_description", "")), body
    elif response.mimetype == "text/html":
        assert CANARY not in response.text, response.text
    else:
        other_types = {"application/jwt", "text/css", "text/csv"}
        assert not response.data or response.mimetype in other_types, (response.mimetype, response.data)


def _reject_constant(constant: str) -> None:
    raise AssertionError(constant)


class LogRecorder(logging.Handler):
    """Records the lines that the process would write to its log."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def check(self, secrets: Collection[str]) -> None:
        """Check that since the last call no traceback has been logged, and none of the `secrets`."""
        lines, self.lines = self.lines, []
        assert not [line for line in lines if "Traceback" in line], lines
        leaking = [line for line in lines for secret in secrets if secret in line]
        assert not leaking, leaking


@contextmanager
def recorded_log() -> Iterator[LogRecorder]:
    """Record the whole log, from DEBUG upwards, in place of our handler."""
    root = logging.getLogger()
    [ours] = [
        handler for handler in root.handlers if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter)
    ]
    recorder, level = LogRecorder(ours.formatter), root.level
    root.addHandler(recorder)
    root.removeHandler(ours)
    root.setLevel(logging.DEBUG)
    try:
        yield recorder
    finally:
        root.setLevel(level)
        root.addHandler(ours)
        root.removeHandler(recorder)
