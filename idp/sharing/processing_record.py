"""The processing record: who receives what of a school's data, since when, under what agreement.

For the school's own record of processing activities (UK GDPR, Article 30).
"""

import csv
import io
from datetime import datetime

from sqlalchemy import select

from idp.foundation import clock, scopes
from idp.foundation.database import session
from idp.sharing import authorise
from idp.sharing.models import Authorisation

COLUMNS = (
    "Recipient", "Service", "Purpose", "Categories of data", "Fields", "Special category data", "Authorised by",
    "Since", "Until", "State", "Agreement", "Agreement version", "Privacy notice",
)  # fmt: skip


def rows(estab_id: str) -> list[dict[str, str]]:
    """A row of `COLUMNS` for each service the school has not stopped sharing with, by name.

    The server's connection is none of them: what its program sends is read by services, each with its own row.
    "Since" is when the school first agreed, though it has changed or renewed that.
    """
    receivers = [agreed for agreed in authorise.current(estab_id) if not agreed.is_of_server]
    current = sorted(receivers, key=lambda row: (row.client.partner_name, row.client.client_name))
    first = select(Authorisation.id, Authorisation.given_at).where(Authorisation.id.in_([row.line for row in current]))
    since = {row.id: row.given_at for row in session().execute(first)}
    return [_row(row, since.get(row.line, row.given_at)) for row in current]


def as_csv(estab_id: str) -> str:
    """The same as CSV (RFC 4180), for a spreadsheet: no cell can be taken for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_inert(row[name]) for name in COLUMNS] for row in rows(estab_id))
    return text.getvalue()


def _row(agreed: Authorisation, since: datetime) -> dict[str, str]:
    client, areas = agreed.client, scopes.in_order(agreed.scopes)
    special = [area.title for area in areas if area.special_category]
    cells = (
        client.partner_name, client.client_name, client.purpose, "; ".join(area.title for area in areas),
        "; ".join(field for area in areas for field in area.fields), "; ".join(special) or "none",
        agreed.giver.name, _day(since), _day(agreed.until), agreed.state,
        client.agreement_uri, agreed.agreement, client.policy_uri,
    )  # fmt: skip
    return dict(zip(COLUMNS, cells, strict=True))


def _day(when: datetime) -> str:
    """The date by the clocks of the school, as its receipts say it too."""
    return when.astimezone(clock.LONDON).date().isoformat()


def _inert(cell: str) -> str:
    """A cell that a spreadsheet would run is made text by an apostrophe."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
