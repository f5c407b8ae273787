"""Sandbox applications that are removed, by their partner or by `developers.unused_sandboxes`."""

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


def list_for_partner(partner_id: str) -> list[Client]:
    """The sandbox applications of a partner, the oldest first."""
    conditions = Client.partner_id == partner_id, Client.is_sandbox, Client.removed_at.is_(None)
    return list(session().scalars(select(Client).where(*conditions).order_by(Client.created_at, Client.id)))


def remove(partner_id: str, client_id: str, *, by: str) -> Client:
    """Remove a sandbox application: it is disabled for good, and its secrets and its log are deleted.

    Raises `UnknownSandboxApplication`, also for live ones, which only our staff disable.
    """
    existing = session().get(Client, client_id) if registry.is_plausible_id(client_id) else None
    client = lock(Client, existing.id) if existing is not None else None
    if client is None or client.partner_id != partner_id or not client.is_sandbox or client.removed_at is not None:
        raise UnknownSandboxApplication(reason=f"{client_id[:100]!r} of {partner_id}")
    registry.disable(client.id, by=by)
    client.removed_at = clock.now()
    for model in (ClientSecret, ClientEvent, ClientMilestone):
        session().execute(delete(model).where(model.client_id == client.id))
    session().flush()
    return client


def partners_with_unused(since: datetime, *, after: str, limit: int) -> list[str]:
    """The next partners, after the id `after`, to be mailed about applications that were not used since `since`."""
    statement = select(Client.partner_id).where(*_unused(since), _not_mailed(since), Client.partner_id > after)
    return list(session().scalars(statement.distinct().order_by(Client.partner_id).limit(limit)))


def mark_unused(partner_id: str, since: datetime) -> list[str]:
    """Mark that a mail is sent now about the partner's applications not used since `since`; returns their names."""
    due = Client.partner_id == partner_id, *_unused(since), _not_mailed(since)
    statement = update(Client).where(*due).values(removal_mailed_at=clock.now()).returning(Client.client_name)
    return sorted(session().scalars(statement.execution_options(synchronize_session=False)))


def list_unused(since: datetime, *, mailed_until: datetime, after: str, limit: int) -> list[str]:
    """The ids of the next applications, after `after`, unused since `since` and mailed about by `mailed_until`."""
    statement = select(Client.id).where(*_unused(since), *_mailed(since, mailed_until), Client.id > after)
    return list(session().scalars(statement.order_by(Client.id).limit(limit)))


def find_unused(client_id: str, since: datetime, *, mailed_until: datetime) -> Client | None:
    """The application, locked, if `list_unused` would still include it; else None."""
    lock(Client, client_id)
    statement = select(Client).where(Client.id == client_id, *_unused(since), *_mailed(since, mailed_until))
    return session().scalar(statement)


def _unused(since: datetime) -> tuple[ColumnElement[bool], ...]:
    used = select(ClientMilestone.client_id).where(ClientMilestone.last_at > since)
    return Client.is_sandbox.is_(True), Client.removed_at.is_(None), Client.updated_at <= since, Client.id.not_in(used)


def _not_mailed(since: datetime) -> ColumnElement[bool]:
    """A mail from before that time may have been followed by a use, so it does not count."""
    return or_(Client.removal_mailed_at.is_(None), Client.removal_mailed_at <= since)


def _mailed(since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    return Client.removal_mailed_at > since, Client.removal_mailed_at <= until
