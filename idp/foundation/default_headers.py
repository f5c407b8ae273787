"""The headers that nearly every response has, added once by the outermost middleware.

They are added outside of Flask, because the response cache and the refusals of `admission` need them too.
"""

from collections.abc import Iterable
from typing import Final

from idp.foundation.settings import Settings

Headers = list[tuple[str, str]]

_EVERY_RESPONSE: Final = (
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_HSTS: Final = ("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
_OPENER_POLICY: Final = ("Cross-Origin-Opener-Policy", "same-origin")
_NO_CONTENT: Final = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
_NO_STORE: Final = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))
"""RFC 6749 §5.1 requires it for tokens; no other response of ours may be stored either."""


def default_headers(settings: Settings) -> Headers:
    """The headers that every response has; over https `Strict-Transport-Security` is one of them."""
    return [*_EVERY_RESPONSE, _HSTS] if settings.server.is_https else [*_EVERY_RESPONSE]


def with_default_headers(headers: Iterable[tuple[str, str]], every_response: Headers) -> Headers:
    """`headers` and the defaults, without those policies and that `Cache-Control` which the response sets itself."""
    combined = [*headers, *every_response]
    names = {name.lower() for name, _ in combined}
    if "content-security-policy" not in names:
        combined.append(_NO_CONTENT)
    if "cross-origin-opener-policy" not in names:
        combined.append(_OPENER_POLICY)
    if "cache-control" not in names:
        combined += _NO_STORE
    return combined
