"""The cookie that ties a registration to the browser it was begun in. It signs no person in.

Its value is random; registrations store only its digest.
"""

import re
from dataclasses import dataclass
from functools import partial

from flask import after_this_request, request
from flask.wrappers import Response

from idp.foundation import crypto, request_state, runtime
from idp.foundation.web import security

DAY_SECONDS = 86_400
COOKIE_PATTERN = re.compile(r"[\w-]{43}", re.ASCII)
"""The form of `crypto.new_secret`; anything else is ignored, so that a guessable value is never accepted."""


@dataclass(slots=True)
class _Given:
    """The cookie that this browser is being given with the answer to this request; None where it has one."""

    cookie: str | None = None


def digest() -> bytes | None:
    """The digest of this browser's cookie; None where it has none."""
    value = request_state.part(_Given).cookie or request.cookies.get(_cookie_name(), "")
    return crypto.digest(value) if COOKIE_PATTERN.fullmatch(value) else None


def ensure_cookie() -> bytes:
    """The digest of this browser's cookie, which is set if it has none yet."""
    known_digest = digest()
    if known_digest is not None:
        return known_digest
    secret = request_state.part(_Given).cookie = crypto.new_secret()
    after_this_request(partial(_set_cookie, secret))
    return crypto.digest(secret)


def _set_cookie(secret: str, response: Response) -> Response:
    settings = runtime.settings()
    response.set_cookie(
        _cookie_name(), secret, max_age=settings.onboarding.registration_lifetime_days * DAY_SECONDS, path="/",
        secure=settings.server.is_https, httponly=True, samesite="Lax",
    )  # fmt: skip
    return response


def _cookie_name() -> str:
    return security.cookie_name(runtime.settings(), "registration")
