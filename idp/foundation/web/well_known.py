"""Addresses that others expect at every site: where a password is changed, and whom to tell of a weakness."""

from datetime import UTC, datetime, time, timedelta
from typing import Final

from flask import Blueprint, Response, redirect, url_for
from flask.typing import ResponseReturnValue

from idp.foundation import clock, runtime
from idp.foundation.errors import NotFound
from idp.foundation.web import security

SECURITY_TXT_DAYS: Final = 180
"""RFC 9116 §2.5.5 wants less than a year. It is counted from the day it is asked for: the settings are what is true."""

bp = Blueprint("well_known", __name__)


@bp.get("/.well-known/change-password")
@security.anyone
def change_password() -> ResponseReturnValue:
    """Where password managers send people (W3C, A Well-Known URL for Changing Passwords): the school's desk."""
    return redirect(url_for("manage.home"), 303)


@bp.get("/.well-known/security.txt")
@security.anyone
def security_txt() -> Response:
    """Whom to tell of a weakness (RFC 9116), where the settings name somebody."""
    service = runtime.settings().service
    if not service.security_contact:
        raise NotFound(because="service.security_contact is not set")
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
