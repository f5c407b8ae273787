"""Secrets with which the console signs in at a sandbox application, for minutes, next to the application's own."""

from datetime import timedelta
from typing import Final

from sqlalchemy import delete

from idp.audit import events, log
from idp.foundation import clock, crypto
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.partners import registry
from idp.partners.models import ClientSecret

CALLBACK: Final = "/developers/try-it/callback"
"""The path at which the console receives people back from a sign-in that it walks through."""
LIFETIME: Final = timedelta(minutes=30)
"""As long as a person may take to sign in."""


def add(client_id: str, secret: str, *, by: str) -> None:
    """Let a sandbox application use this secret too, for `LIFETIME`. Raises `NotFound` for live ones."""
    client, now = registry.find(client_id), clock.now()
    if not client.is_sandbox:
        raise NotFound(reason=f"{client_id} is not a sandbox application")
    for row in registry.secrets_of(client_id):
        if row.expires_at is not None and row.expires_at <= min(now, row.created_at + LIFETIME):
            session().delete(row)  # of a sign-in that was not finished
    session().add(
        ClientSecret(
            digest=crypto.digest(secret), client_id=client_id, sealed=registry.seal_hmac_key(client, secret),
            created_at=now, expires_at=now + LIFETIME, reminded_at=now,
        )
    )  # fmt: skip
    registry.bump_version(client)
    log.record(events.TRIAL_SECRET_MADE, by=by, client=client_id, subject=client_id)


def remove(client_id: str, secret: str) -> None:
    """Delete a secret that `add` added."""
    session().execute(
        delete(ClientSecret).where(ClientSecret.client_id == client_id, ClientSecret.digest == crypto.digest(secret))
    )
    registry.bump_version(registry.find(client_id))
