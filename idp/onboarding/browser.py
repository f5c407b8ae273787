"""The cookie that ties a registration to the browser it was begun in. It signs no person in.

Its value is random; registrations store only its digest.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from flask import request

from idp.foundation import crypto, request_state, runtime
from idp.foundation.web import security

COOKIE_PATTERN = re.compile(r"[\w-]{43}", re.ASCII)
"""The form of `crypto.new_secret`; anything else is ignored, so that a guessable value is never accepted."""


@dataclass(slots=True)
class _NewCookie:
    """The cookie that the response to this request sets; None if it sets none."""

    cookie: str | None = None


def digest() -> bytes | None:
    """The digest of this browser's cookie; None where it has none."""
    value = request_state.part(_NewCookie).cookie or request.cookies.get(_cookie_name(), "")
    return crypto.digest(value) if COOKIE_PATTERN.fullmatch(value) else None


def ensure_cookie() -> bytes:
    """The digest of this browser's cookie, which is set if it has none yet."""
    known_digest = digest()
    if known_digest is not None:
        return known_digest
    secret = request_state.part(_NewCookie).cookie = crypto.new_secret()
    lifetime = timedelta(days=runtime.settings().onboarding.registration_lifetime_days)
    security.set_cookie(_cookie_name(), secret, lifetime=lifetime)
    return crypto.digest(secret)


def _cookie_name() -> str:
    return security.cookie_name(runtime.settings(), "registration")
