"""The outermost WSGI middleware: scheme, host, IP address and id of a request; default headers of a response.

The default headers are the same in nearly every response, so they are added here, once.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit
from wsgiref.types import StartResponse

from flask import Flask, request

from idp.foundation.default_headers import Headers, default_headers, with_default_headers
from idp.foundation.settings import Settings

UNKNOWN_HOST: Final = "unknown.invalid"
"""Replaces any other host than ours, because Flask fails on host names that it cannot parse."""
REQUEST_ID_KEY: Final = "idp.request_id"
SENT_HOST_KEY: Final = "idp.sent_host"
"""The environment key of the host that a request for another host named, for the log."""
STARTED_KEY: Final = "idp.began"
"""The environment key of the monotonic time at which the request began."""

_FORWARDED_FOR: Final = re.compile(r'(?i)(?:^|;)\s*for="?([^";]+)')
"""The parameter `for` (RFC 7239 §4)."""


def request_id() -> str:
    """The id of the current request, for its log lines and for error pages, which people quote to us."""
    return str(request.environ.get(REQUEST_ID_KEY, ""))


def address_in(entry: str) -> str | None:
    """The IP address in an entry of `X-Forwarded-For`, or in `for=` of `Forwarded`; None if there is none.

    `192.0.2.1:4711` and `[2001:db8::1]:4711` are addresses with the client's port, which is dropped.
    """
    text = entry.strip()
    if (match := _FORWARDED_FOR.search(text)) is not None:
        text = match[1]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _behind_proxies(wrapped: Any, hops: int, header: str) -> Any:
    """Set the remote address to the one that the outermost of our `hops` proxies reports."""
    name = f"HTTP_{header.upper().replace('-', '_')}"

    def middleware(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        entries = environ.get(name, "").split(",")
        if len(entries) >= hops and (address := address_in(entries[-hops])) is not None:
            environ["REMOTE_ADDR"] = address
        response: Iterable[bytes] = wrapped(environ, start_response)
        return response

    return middleware


def _normalise_host(host: str) -> str:
    """A `Host` header in lower case and without the name's trailing dot, as names are compared (RFC 3986 §6.2.2.1)."""
    name, colon, port = host.lower().partition(":")
    return name.removesuffix(".") + colon + port


def configure(app: Flask, settings: Settings) -> None:
    """Wrap `app`: scheme and IP address as the settings define them, a request id, and the default headers."""
    wrapped: Any = app.wsgi_app
    if hops := settings.server.trusted_proxies:
        wrapped = _behind_proxies(wrapped, hops, settings.server.proxy_header)
    scheme = urlsplit(settings.server.issuer).scheme
    hosts = {settings.server.host_name, settings.server.host_name + (":443" if settings.server.is_https else ":80")}
    defaults = default_headers(settings)

    def middleware(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        request_id = secrets.token_hex(8)
        environ["wsgi.url_scheme"], environ[REQUEST_ID_KEY], environ[STARTED_KEY] = scheme, request_id, time.monotonic()
        if (host := environ.get("HTTP_HOST", "")) not in hosts:
            environ[SENT_HOST_KEY] = host
            environ["HTTP_HOST"] = settings.server.host_name if _normalise_host(host) in hosts else UNKNOWN_HOST

        def start(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], object]:
            return start_response(
                status, [*with_default_headers(headers, defaults), ("X-Request-ID", request_id)], exc_info
            )

        response: Iterable[bytes] = wrapped(environ, start)
        return response

    app.wsgi_app = middleware  # type: ignore[method-assign]
