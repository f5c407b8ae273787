"""Limits on how often an address may call, by Flask-Limiter: in memory on one process, Redis on several.

Guesses at a password or code are counted per account in the database, by `signin`, because they must
count wherever they land and survive a restart. What is here only keeps one address from crowding out others.
"""

import logging
import secrets
import time
from collections.abc import Callable
from functools import lru_cache, wraps
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

from idp.foundation import runtime
from idp.foundation.fastpath import hooks
from idp.foundation.runtime import PerApplication
from idp.foundation.settings import Settings

View = Callable[..., ResponseReturnValue]

HOSTS: Final = 64
"""Bits of an IPv6 address that its holder chooses freely: every network has 64 of them (RFC 7421)."""


def caller() -> str:
    """What calls are counted under: an IPv4 address; of an IPv6 address, the network in which it may be any."""
    return _network(request.remote_addr or "")


@lru_cache(maxsize=1024)
def _network(given: str) -> str:
    try:
        address = ip_address(given)
    except ValueError:  # a socket of the machine itself, say
        return given
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Address(int(address) >> HOSTS << HOSTS))


REDIS_TIMEOUT_SECONDS: Final = 0.5
"""Redis usually answers within a millisecond; if it hangs, requests must not wait for it. Tried twice."""

limiter = Limiter(key_func=caller, headers_enabled=False)
"""`@limiter.limit(at_most(60, "minute"))` on a view; going beyond it is a 429 with `Retry-After`."""

_COUNT_BY_RESPONSE: Final = PerApplication[list[hooks.After]]()
"""Flask-Limiter's hooks that count a call by its response."""

_COUNTS: Final = PerApplication(lambda: FixedWindowRateLimiter(MemoryStorage()))
"""The counts of `rate_limit`."""


def at_most(times: int, per: str) -> Callable[[], str]:
    """A limit in Flask-Limiter's words, widened by the settings' factor: `at_most(60, "minute")`."""
    return lambda: f"{times * runtime.settings().throttle.factor} per {per}"


def configure(app: Flask, settings: Settings) -> None:
    """Set up the limiter for `app`."""
    in_memory = settings.throttle.storage.startswith("memory")
    if not in_memory:
        from redis.backoff import NoBackoff  # a tenth of a second that only those who have it spend
        from redis.retry import Retry

        limits = {
            "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
            "socket_timeout": REDIS_TIMEOUT_SECONDS,
            "retry": Retry(NoBackoff(), 1),
        }
        app.config["RATELIMIT_STORAGE_OPTIONS"] = limits
    limiter.logger.addFilter(_alarm)
    app.config.update(
        RATELIMIT_STORAGE_URI=settings.throttle.storage,
        RATELIMIT_STRATEGY="moving-window",
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=not in_memory,
        RATELIMIT_SWALLOW_ERRORS=not in_memory,  # Redis away: each process counts alone, guesses count in the database
    )
    limiter.init_app(app)
    # Our limits stand on views, where the decorator checks them; what counts by its answer has `count_by_response`.
    _COUNT_BY_RESPONSE.set(app, hooks.remove(app, limiter))


def _alarm(record: logging.LogRecord) -> bool:
    """Log Flask-Limiter's warning that Redis is away as an error: an operator has to act."""
    if record.levelno == logging.WARNING:
        record.levelno, record.levelname = logging.ERROR, "ERROR"
    return True


def count_by_response(response: Response) -> Response:
    """Count a call by its response, where its limit has a `deduct_when`; an `after_request` hook of its blueprint."""
    for hook in _COUNT_BY_RESPONSE.get():
        response = hook(response)
    return response


def rate_limit(times: int) -> Callable[[View], View]:
    """Limit an endpoint for programs to `times` a minute from one address, counted in this process.

    By `limits`, which Flask-Limiter is made of: by itself it took at most 6 % of such a request, and Flask-Limiter 15
    to 30 %. Beyond the limit the response is a 429 with a random `Retry-After`, so that callers do not come back at the
    same moment. With several processes each counts for itself, also where `throttle.storage` is Redis.
    """

    def limited(view: View) -> View:
        @wraps(view)
        def counted(*args: Any, **kwargs: Any) -> ResponseReturnValue:
            most = RateLimitItemPerMinute(int(times * runtime.settings().throttle.factor))
            counts, counted_under = _COUNTS.get(), (view.__name__, caller())
            if not counts.hit(most, *counted_under):
                seconds = int(counts.get_window_stats(most, *counted_under).reset_time - time.time())
                raise TooManyRequests(retry_after=seconds + 1 + secrets.randbelow(30))
            return view(*args, **kwargs)

        return counted

    return limited
