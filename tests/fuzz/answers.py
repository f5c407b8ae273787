"""What every answer has to be, whatever was asked."""

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

HOUSE = {
    "X-Frame-Options": {"DENY"}, "X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"no-referrer"},
    "Cross-Origin-Opener-Policy": {"same-origin", "unsafe-none"}, "Permissions-Policy": None,
    "Content-Security-Policy": None, "Cache-Control": None,
}  # fmt: skip
"""Headers that every answer has, once; and what they may say, where that is always the same (security.md B14-B16)."""
_DESCRIPTION = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
"""RFC 6749 §5.2."""


def check(answer: Any, registered: Collection[str] = (), secrets: Collection[str] = ()) -> None:
    """No trouble of ours, no way out but a registered one, a body of its type, and nobody else's secrets."""
    assert answer.status_code < 500, (answer.status_code, answer.text)
    if (location := answer.headers.get("Location")) is not None:
        _goes_where_it_may(location, registered)
    _has_its_headers(answer.headers)
    if challenge := answer.headers.get("WWW-Authenticate"):
        for described in re.findall(r'error_description="([^"]*)"', challenge):
            assert _DESCRIPTION.fullmatch(described), challenge
    _is_what_it_says(answer)
    text = f"{answer.headers}\n{answer.text}"
    assert not [secret for secret in secrets if secret in text], text


def _has_its_headers(headers: Any) -> None:
    assert "X-Evil" not in headers
    for name, may in HOUSE.items():
        values = headers.getlist(name)
        assert len(values) == 1, (name, values)
        assert may is None or values[0] in may, (name, values)
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers.get("Access-Control-Allow-Origin", "*") == "*"
    assert "Access-Control-Allow-Credentials" not in headers
    for cookie in headers.getlist("Set-Cookie"):
        assert "; HttpOnly" in cookie, cookie
        assert "; SameSite=Lax" in cookie, cookie


def _goes_where_it_may(location: str, registered: Collection[str]) -> None:
    assert location.isprintable(), location
    address, _, query = location.partition("?")
    parts = urlsplit(location)
    if parts.scheme or parts.netloc or location.startswith(("//", "/\\")):
        assert address in registered or location.startswith(ISSUER + "/"), location
    for name, value in parse_qsl(query):
        assert name != "error_description" or _DESCRIPTION.fullmatch(value), location


def _is_what_it_says(answer: Any) -> None:
    if answer.mimetype in {"application/json", "application/problem+json"}:
        if answer.data:  # none to HEAD
            body = json.loads(answer.data, parse_constant=_is_no_json)
            if isinstance(body, dict) and "error" in body:
                assert _DESCRIPTION.fullmatch(body.get("error_description", "")), body
    elif answer.mimetype == "text/html":
        assert CANARY not in answer.text, answer.text
    else:
        other_types = {"application/jwt", "text/css", "text/csv"}
        assert not answer.data or answer.mimetype in other_types, (answer.mimetype, answer.data)


def _is_no_json(constant: str) -> None:
    raise AssertionError(constant)


class Heard(logging.Handler):
    """Everything that the process would write to its log, as it would be written."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def check(self, secrets: Collection[str]) -> None:
        """Since it was last asked, no fault of ours has been logged, and none of `secrets`."""
        lines, self.lines = self.lines, []
        assert not [line for line in lines if "Traceback" in line], lines
        leaking = [line for line in lines for secret in secrets if secret in line]
        assert not leaking, leaking


@contextmanager
def listening() -> Iterator[Heard]:
    """Hear the whole log, of everything that happens."""
    root = logging.getLogger()
    [ours] = [
        handler for handler in root.handlers if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter)
    ]
    heard, level = Heard(ours.formatter), root.level
    root.addHandler(heard)
    root.removeHandler(ours)
    root.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.setLevel(level)
        root.addHandler(ours)
        root.removeHandler(heard)
