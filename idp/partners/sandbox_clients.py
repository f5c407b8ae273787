"""Sandbox applications that are removed, by their partner or because no one uses them (`developers.unused`)."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, or_, select, update

from idp.foundation import clock
from idp.foundation.database import lock, session
from idp.foundation.errors import NotFound
from idp.partners import registry
from idp.partners.models import Client, ClientEvent, ClientMilestone, ClientSecret


class UnknownSandboxApplication(NotFound):
    """The partner has no such sandbox application."""

    code, title = "unknown_application", "There is no such application"
    message = "Your company has no sandbox application with this client id."


def of_partner(partner_id: str) -> list[Client]:
    """The sandbox applications of a partner, the oldest first."""
    mine = Client.partner_id == partner_id, Client.is_sandbox, Client.removed_at.is_(None)
    return list(session().scalars(select(Client).where(*mine).order_by(Client.created_at, Client.id)))


def remove(partner_id: str, client_id: str, *, by: str) -> Client:
    """Remove a sandbox application: it is disabled for good, and its secrets and its log are deleted.

    Raises `UnknownSandboxApplication`, also for live ones, which only our staff disable.
    """
    found = session().get(Client, client_id) if registry.is_plausible_id(client_id) else None
    client = lock(Client, found.id) if found is not None else None
    if client is None or client.partner_id != partner_id or not client.is_sandbox or client.removed_at is not None:
        raise UnknownSandboxApplication(reason=f"{client_id[:100]!r} of {partner_id}")
    registry.disable(client.id, by=by)
    client.removed_at = clock.now()
    for model in (ClientSecret, ClientEvent, ClientMilestone):
        session().execute(delete(model).where(model.client_id == client.id))
    session().flush()
    return client


def mark_unused(since: datetime, *, mailed_before: datetime, limit: int) -> list[str]:
    """Mark, as mailed about now, the next that were not used since; but those mailed about after `mailed_before`."""
    mailed = or_(Client.removal_mailed_at.is_(None), Client.removal_mailed_at < mailed_before)
    due = *_unused(since), mailed
    batch = select(Client.id).where(*due).order_by(Client.id).limit(limit).scalar_subquery()
    statement = update(Client).where(*due, Client.id.in_(batch)).values(removal_mailed_at=clock.now())
    return list(session().scalars(statement.returning(Client.id).execution_options(synchronize_session=False)))


def unused(since: datetime, *, mailed_until: datetime, limit: int) -> list[Client]:
    """The next that were not used since, and that their partner was mailed about by then."""
    due = *_unused(since), Client.removal_mailed_at <= mailed_until
    return list(session().scalars(select(Client).where(*due).order_by(Client.id).limit(limit)))


def _unused(since: datetime) -> tuple[ColumnElement[bool], ...]:
    used = select(ClientMilestone.client_id).where(ClientMilestone.last_at > since)
    return Client.is_sandbox.is_(True), Client.removed_at.is_(None), Client.updated_at <= since, Client.id.not_in(used)
