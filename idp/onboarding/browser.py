"""The cookie that ties a registration to the browser it was begun in. It signs no person in.

Its value is random; registrations store only its digest.
"""

import re

from flask import after_this_request, g, request
from flask.wrappers import Response

from idp.foundation import crypto, runtime
from idp.foundation.web import security

DAY_SECONDS = 86_400
COOKIE_PATTERN = re.compile(r"[\w-]{43}", re.ASCII)
"""The form of `crypto.new_secret`; anything else is ignored, so that a guessable value is never accepted."""


def digest() -> bytes | None:
    """The digest of this browser's cookie; None where it has none."""
    value = g.get("registration_cookie") or request.cookies.get(_cookie_name(), "")
    return crypto.digest(value) if COOKIE_PATTERN.fullmatch(value) else None


def ensure_cookie() -> bytes:
    """The digest of this browser's cookie, which is set if it has none yet."""
    known_digest = digest()
    if known_digest is not None:
        return known_digest
    g.registration_cookie = crypto.new_secret()
    after_this_request(_set_cookie)
    return crypto.digest(g.registration_cookie)


def _set_cookie(response: Response) -> Response:
    settings = runtime.settings()
    response.set_cookie(
        _cookie_name(), g.registration_cookie, max_age=settings.onboarding.registration_lifetime_days * DAY_SECONDS,
        path="/", secure=settings.server.is_https, httponly=True, samesite="Lax",
    )  # fmt: skip
    return response


def _cookie_name() -> str:
    return security.cookie_name(runtime.settings(), "registration")
