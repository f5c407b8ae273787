"""Limits on how often an address may call, by Flask-Limiter: in memory on one process, Redis on several.

Guesses at a password or code are counted per account in the database, by `signin`, because they must
count wherever they land and survive a restart. What is here only keeps one address from crowding out others.
"""

from collections.abc import Callable

from flask import Flask, current_app
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from idp.foundation.settings import Settings

limiter = Limiter(key_func=get_remote_address, headers_enabled=False)
"""`@limiter.limit(at_most(60, "minute"))` on a view; going beyond it is a 429 with `Retry-After`."""


def at_most(times: int, per: str) -> Callable[[], str]:
    """A limit in Flask-Limiter's words, widened by the settings' factor: `at_most(60, "minute")`."""
    return lambda: f"{times * current_app.extensions['idp.throttle_factor']} per {per}"


def configure(app: Flask, settings: Settings) -> None:
    """Set up the limiter for `app`."""
    in_memory = settings.throttle.storage.startswith("memory")
    app.extensions["idp.throttle_factor"] = settings.throttle.factor
    app.config.update(
        RATELIMIT_STORAGE_URI=settings.throttle.storage,
        RATELIMIT_STRATEGY="moving-window",
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=not in_memory,
        RATELIMIT_SWALLOW_ERRORS=not in_memory,  # Redis away: limits by address open, guesses still count
    )
    limiter.init_app(app)
    # Our limits stand on views, where the decorator checks them. Its hook would look for others at every request.
    app.before_request_funcs[None] = [
        hook for hook in app.before_request_funcs[None] if getattr(hook, "__self__", None) is not limiter
    ]
