"""Well-known URIs (RFC 8615): where a password is changed, and the contact for security reports."""

from datetime import UTC, datetime, time, timedelta
from typing import Final

from flask import Blueprint, Response, redirect, url_for
from flask.typing import ResponseReturnValue

from idp.foundation import clock, runtime
from idp.foundation.errors import NotFound
from idp.foundation.web import security

SECURITY_TXT_DAYS: Final = 180
"""How long the file is valid, from the day of the request; RFC 9116 §2.5.5 recommends less than a year."""

bp = Blueprint("well_known", __name__)


@bp.get("/.well-known/change-password")
@security.anyone
def change_password() -> ResponseReturnValue:
    """Redirect to the page where a password is changed (W3C, A Well-Known URL for Changing Passwords)."""
    return redirect(url_for("manage.own.change_password"), 303)


@bp.get("/.well-known/security.txt")
@security.anyone
def security_txt() -> Response:
    """The contact for security reports (RFC 9116), if the settings have one."""
    service = runtime.settings().service
    if not service.security_contact:
        raise NotFound(reason="service.security_contact is not set")
    last_day = clock.now().date() + timedelta(days=SECURITY_TXT_DAYS)
    lines = [
        f"Contact: {service.security_contact}",
        f"Expires: {datetime.combine(last_day, time(), UTC):%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en",
        f"Canonical: {runtime.url(url_for('well_known.security_txt'))}",
    ]
    if service.security_policy_url:
        lines.append(f"Policy: {service.security_policy_url}")
    return Response("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
