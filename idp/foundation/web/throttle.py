"""Rate limits per IP address, by Flask-Limiter: in memory on one process, in Redis on several.

Attempts at a password or code are counted per account in the database, by `signin`, because they must count in every
process and survive a restart. The limits here only keep one IP address from crowding out others.
"""

import logging
import secrets
import time
from collections.abc import Callable
from functools import lru_cache, wraps
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

from idp.foundation import runtime
from idp.foundation.fastpath import hooks
from idp.foundation.runtime import PerApplication
from idp.foundation.settings import Settings
from idp.foundation.web.counts import InMemoryCounts
from idp.foundation.web.view import View

IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that are its network; its user can choose the others freely (RFC 7421)."""


def caller_key() -> str:
    """The key under which requests are counted: the IPv4 address, or the /64 prefix of the IPv6 address."""
    return network_of(request.remote_addr or "")


@lru_cache(maxsize=1024)
def network_of(text: str, *, ipv4_prefix: int = 32, ipv6_prefix: int = IPV6_PREFIX) -> str:
    """The network of the address `text` in CIDR notation; the address itself where the prefix is all of its bits.

    The default prefixes are those of `caller_key`. An IPv4-mapped IPv6 address counts as its IPv4 address.
    """
    try:
        address = ip_address(text)
    except ValueError:  # a Unix socket, for instance
        return text
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    prefix = ipv6_prefix if isinstance(address, IPv6Address) else ipv4_prefix
    return str(address) if prefix == address.max_prefixlen else str(ip_network((address, prefix), strict=False))


REDIS_TIMEOUT_SECONDS: Final = 0.5
"""Redis usually responds within a millisecond; if it hangs, requests must not wait for it. Tried twice."""

limiter = Limiter(key_func=caller_key, headers_enabled=False)
"""`@limiter.limit(at_most(60, "minute"))` on a view; beyond the limit the response is a 429 with `Retry-After`."""

_COUNT_BY_RESPONSE: Final = PerApplication[list[hooks.After]]()
"""Flask-Limiter's hooks that count a call by its response."""

_COUNTS: Final = PerApplication(lambda: FixedWindowRateLimiter(InMemoryCounts()))
"""The counts of `rate_limit`."""


def at_most(times: int, per: str) -> Callable[[], str]:
    """A limit in Flask-Limiter's notation, multiplied by the setting `throttle.factor`: `at_most(60, "minute")`."""
    return lambda: f"{times * runtime.settings().throttle.factor} per {per}"


def configure(app: Flask, settings: Settings) -> None:
    """Set up the limiter for `app`."""
    in_memory = settings.throttle.storage.startswith("memory")
    if not in_memory:
        from redis.backoff import NoBackoff  # importing takes 0.1 s, so only if it is used
        from redis.retry import Retry

        options = {
            "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
            "socket_timeout": REDIS_TIMEOUT_SECONDS,
            "retry": Retry(NoBackoff(), 1),
        }
        app.config["RATELIMIT_STORAGE_OPTIONS"] = options
    limiter.logger.addFilter(_raise_level)
    app.config.update(
        RATELIMIT_STORAGE_URI=settings.throttle.storage,
        RATELIMIT_STRATEGY="moving-window",
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=not in_memory,
        RATELIMIT_SWALLOW_ERRORS=not in_memory,  # without Redis each process counts for itself
    )
    limiter.init_app(app)
    # Limits are on views, where the decorator checks them; those counted by response have `count_by_response`.
    _COUNT_BY_RESPONSE.set(app, hooks.remove(app, limiter))


def _raise_level(record: logging.LogRecord) -> bool:
    """Log Flask-Limiter's warning that Redis is unreachable as an error: an operator has to act."""
    if record.levelno == logging.WARNING:
        record.levelno, record.levelname = logging.ERROR, "ERROR"
    return True


def count_by_response(response: Response) -> Response:
    """Count a call by its response, where its limit has a `deduct_when`; an `after_request` hook of its blueprint."""
    for hook in _COUNT_BY_RESPONSE.get():
        response = hook(response)
    return response


def count(times: int, *key: str) -> None:
    """Count a call under `key` in this process. Raises `TooManyRequests` beyond `times` a minute."""
    limit = _per_minute(int(times * runtime.settings().throttle.factor))
    counts = _COUNTS.get()
    if not counts.hit(limit, *key):
        seconds = int(counts.get_window_stats(limit, *key).reset_time - time.time())
        raise TooManyRequests(retry_after=seconds + 1 + secrets.randbelow(30))


@lru_cache
def _per_minute(times: int) -> RateLimitItemPerMinute:
    return RateLimitItemPerMinute(times)


def rate_limit(times: int) -> Callable[[View], View]:
    """Limit an endpoint for programs to `times` a minute from one IP address, counted in this process.

    It uses `limits`, the library below Flask-Limiter: that took at most 6 % of such a request, and Flask-Limiter 15 to
    30 %. Beyond the limit the response is a 429 with a random `Retry-After`, so that clients do not retry at the same
    moment. Each process counts for itself, even if `throttle.storage` is Redis.
    """

    def decorator(view: View) -> View:
        @wraps(view)
        def limited(*args: Any, **kwargs: Any) -> ResponseReturnValue:
            count(times, view.__name__, caller_key())
            return view(*args, **kwargs)

        return limited

    return decorator
