"""The cookie that ties a registration to the browser it was begun in. It signs no person in.

Random, and known to us by its digest alone; registrations keep that digest.
"""

import re

from flask import after_this_request, g, request
from flask.wrappers import Response

from idp.foundation import crypto, runtime
from idp.foundation.web import security

DAY = 86_400
SHAPE = re.compile(r"[\w-]{43}", re.ASCII)
"""Of `crypto.new_secret`: nothing shorter, which could be guessed, is accepted."""


def here() -> bytes | None:
    """The digest of this browser's cookie; None where it has none."""
    value = g.get("registration_cookie") or request.cookies.get(_name(), "")
    return crypto.digest(value) if SHAPE.fullmatch(value) else None


def ensure_cookie() -> bytes:
    """The digest of this browser's cookie, which is set if it has none yet."""
    digest = here()
    if digest is not None:
        return digest
    g.registration_cookie = crypto.new_secret()
    after_this_request(_give)
    return crypto.digest(g.registration_cookie)


def _give(response: Response) -> Response:
    settings = runtime.settings()
    response.set_cookie(
        _name(), g.registration_cookie, max_age=settings.onboarding.registration_lifetime_days * DAY, path="/",
        secure=settings.server.is_https, httponly=True, samesite="Lax",
    )  # fmt: skip
    return response


def _name() -> str:
    return security.cookie_name(runtime.settings(), "registration")
