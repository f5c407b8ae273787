"""Remind a partner, once each, that a client's former secret or an initial access token expires soon.

The mail goes to the company's contact, who is named by our staff. A conditional UPDATE decides between two workers. A
reminder that cannot be written is logged, and not retried.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import select, update

from idp.foundation import clock, dates
from idp.foundation.database import row_isolated, session
from idp.outbox import post
from idp.partners.models import Client, ClientSecret, InitialAccessToken, Partner

LEAD_TIME: Final = timedelta(days=2)
"""How long before the expiry the reminder is sent."""


def remind_due() -> None:
    """Send the reminders that are due."""
    _remind_of_secrets()
    _remind_of_initial_tokens()


def _remind_of_secrets() -> None:
    now = clock.now()
    clients = (
        select(Client.id)
        .join(Partner, Partner.id == Client.partner_id)
        .where(
            Client.enabled, Partner.disabled_at.is_(None), Client.token_endpoint_auth_method.startswith("client_secret")
        )
    )
    due = (
        ClientSecret.reminded_at.is_(None), ClientSecret.expires_at > now, ClientSecret.expires_at <= now + LEAD_TIME,
        ClientSecret.client_id.in_(clients),
    )  # fmt: skip
    statement = update(ClientSecret).where(*due).values(reminded_at=now)
    columns = ClientSecret.client_id, ClientSecret.created_at, ClientSecret.expires_at
    reminded = session().execute(statement.returning(*columns).execution_options(synchronize_session=False))
    for client_id, created_at, expires_at in reminded.all():
        assert expires_at is not None  # a condition of the statement
        with row_isolated("client secret", client_id):
            client = session().get_one(Client, client_id)
            post.email(
                "client_secret_expires", to=client.partner.contact_email, expires=expires_at, client=client_id,
                partner=client.partner.name, application=client.client_name, client_id=client_id,
                made=dates.day(created_at), until=dates.day_and_time(expires_at),
            )  # fmt: skip


def _remind_of_initial_tokens() -> None:
    """A reminder is sent `LEAD_TIME` before the expiry, but not before half of the token's lifetime is over."""
    now = clock.now()
    enabled = select(Partner.id).where(Partner.disabled_at.is_(None))
    due = (
        InitialAccessToken.reminded_at.is_(None), InitialAccessToken.revoked_at.is_(None),
        InitialAccessToken.used < InitialAccessToken.most, InitialAccessToken.expires_at > now,
        InitialAccessToken.expires_at <= now + LEAD_TIME, InitialAccessToken.partner_id.in_(enabled),
    )  # fmt: skip
    for row in session().scalars(select(InitialAccessToken).where(*due)).all():
        if now < row.expires_at - (row.expires_at - row.created_at) / 2:
            continue
        statement = update(InitialAccessToken).where(InitialAccessToken.id == row.id, *due).values(reminded_at=now)
        result = session().execute(statement.returning(InitialAccessToken.most - InitialAccessToken.used))
        remaining = result.scalar_one_or_none()
        if remaining is None:
            continue
        with row_isolated("initial access token", row.id):
            post.email(
                "initial_token_expires", to=row.partner.contact_email, expires=row.expires_at,
                partner=row.partner.name, token_id=row.id, left=remaining, until=dates.day_and_time(row.expires_at),
            )  # fmt: skip
