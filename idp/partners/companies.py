"""Look a partner up by its id, with its applications."""

from sqlalchemy import select

from idp.foundation.database import session
from idp.partners.models import Client, Partner
from idp.partners.registry import UnknownPartner, is_plausible_id


def by_id(partner_id: str) -> Partner:
    """The partner with this id. Raises `UnknownPartner`."""
    row = session().get(Partner, partner_id) if is_plausible_id(partner_id) else None
    if row is None:
        raise UnknownPartner(reason=f"partner {partner_id[:100]!r}")
    return row


def applications_of(partner_id: str) -> list[Client]:
    """The applications of a partner, by name, without those that were removed."""
    statement = select(Client).where(Client.partner_id == partner_id, Client.removed_at.is_(None))
    return list(session().scalars(statement.order_by(Client.client_name, Client.id)))
