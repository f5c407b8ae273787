"""The processing record: who receives what of a school's data, since when, under what agreement.

For the school's own record of processing activities (UK GDPR, Article 30).
"""

from datetime import datetime

from sqlalchemy import select

from idp.foundation import clock, scopes
from idp.foundation.database import session
from idp.foundation.spreadsheets import to_csv
from idp.sharing import authorise
from idp.sharing.models import Authorisation

COLUMNS = (
    "Recipient", "Service", "Purpose", "Categories of data", "Fields", "Special category data", "Authorised by",
    "Since", "Until", "State", "Agreement", "Agreement version", "Privacy notice",
)  # fmt: skip


def rows(estab_id: str) -> list[dict[str, str]]:
    """A row of `COLUMNS` for each service the school has not stopped sharing with, by name.

    The connection of the school's server has no row: the services that read its data have theirs.
    "Since" is when the school first agreed, though it has changed or renewed that.
    """
    receivers = [agreement for agreement in authorise.current(estab_id) if not agreement.is_of_server]
    current = sorted(receivers, key=lambda row: (row.client.partner_name, row.client.client_name))
    first = select(Authorisation.id, Authorisation.given_at).where(Authorisation.id.in_([row.line for row in current]))
    since = {row.id: row.given_at for row in session().execute(first)}
    return [_row(row, since.get(row.line, row.given_at)) for row in current]


def as_csv(estab_id: str) -> str:
    """The rows as CSV (RFC 4180), for a spreadsheet."""
    return to_csv(COLUMNS, [list(row.values()) for row in rows(estab_id)])


def _row(agreement: Authorisation, since: datetime) -> dict[str, str]:
    client, areas = agreement.client, scopes.in_order(agreement.scopes)
    special = [area.title for area in areas if area.special_category]
    cells = (
        client.partner_name, client.client_name, client.purpose, "; ".join(area.title for area in areas),
        "; ".join(field for area in areas for field in area.fields), "; ".join(special) or "none",
        agreement.giver.name, _day(since), _day(agreement.until), agreement.state,
        client.agreement_uri, agreement.agreement, client.policy_uri,
    )  # fmt: skip
    return dict(zip(COLUMNS, cells, strict=True))


def _day(when: datetime) -> str:
    """The date in British time, as in the school's receipts."""
    return when.astimezone(clock.LONDON).date().isoformat()
