"""Who read which area of a school's data on which day: totals that XporterOnDemand reports, without any of the data."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import select

from idp.estabs.models import Estab
from idp.foundation import clock, inserts, scopes
from idp.foundation.database import connection, session
from idp.foundation.errors import BadRequest
from idp.foundation.spreadsheets import to_csv
from idp.partners.models import Client
from idp.xporter.models import Read

SCOPE: Final = "reads.report"
"""The scope of the client that reports reads."""
MAX_ROWS: Final = 1000
"""How many totals one request may report."""
MAX_AGE: Final = timedelta(days=31)
"""How long after a day its total may be reported."""
SHOWN_DAYS: Final = 30
"""How many days back `recent` goes."""
COLUMNS: Final = ("Day", "Recipient", "Service", "Category of data", "Requests", "Records", "Last read")
"""The header of the CSV file."""


class Total(NamedTuple):
    """What one client read under one scope on one day of one school, known by its Estab ID."""

    estab_id: str
    client_id: str
    scope: str
    day: date
    requests: int
    records: int
    last_at: datetime


class BadTotal(BadRequest):
    """A row that names an unknown school, client or scope, or a day that is out of range."""

    code = "invalid_request"


def record(totals: Sequence[Total], *, served: frozenset[str]) -> None:
    """Store totals of the scopes in `served`. A total that is smaller than the stored one is out of date and ignored.

    Raises `BadTotal` for the first wrong row; then nothing is stored.
    """
    ids = select(Estab.estab_id, Estab.id).where(Estab.estab_id.in_({total.estab_id for total in totals}))
    estabs = {row.estab_id: row.id for row in session().execute(ids)}
    named = {total.client_id for total in totals}
    clients = set(session().scalars(select(Client.id).where(Client.id.in_(named))))
    for number, total in enumerate(totals):
        if (fault := _find_fault(total, estabs, clients, served)) is not None:
            raise BadTotal(f"reads[{number}].{fault}", reason=fault)
    newest: dict[tuple[str, str, str, date], Total] = {}
    for total in sorted(totals, key=lambda total: total.requests):
        newest[estabs[total.estab_id], total.client_id, total.scope, total.day] = total
    if not newest:
        return
    statement = inserts.insert(Read)
    sent = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["estab_id", "client_id", "scope", "day"],
        set_={"requests": sent.requests, "records": sent.records, "last_at": sent.last_at},
        where=Read.__table__.c.requests <= sent.requests,
    )
    rows = [
        {
            "estab_id": key[0], "client_id": key[1], "scope": key[2], "day": key[3], "requests": total.requests,
            "records": total.records, "last_at": total.last_at,
        }
        for key, total in sorted(newest.items())
    ]  # fmt: skip
    connection().execute(statement, rows)


def has_any(client_id: str) -> bool:
    """Whether the client has read any school's data."""
    return session().scalar(select(Read.client_id).where(Read.client_id == client_id).limit(1)) is not None


def recent(estab_id: str) -> list[Read]:
    """What was read of the estab with this internal id in the last `SHOWN_DAYS` days, the newest first."""
    since = clock.today() - timedelta(days=SHOWN_DAYS)
    statement = select(Read).where(Read.estab_id == estab_id, Read.day >= since)
    return list(session().scalars(statement.order_by(Read.day.desc(), Read.last_at.desc(), Read.scope)))


def as_csv(estab_id: str) -> str:
    """Every total kept for the estab with this internal id, as CSV (RFC 4180)."""
    statement = select(Read).where(Read.estab_id == estab_id).order_by(Read.day.desc(), Read.client_id, Read.scope)
    return to_csv(COLUMNS, [_row(read) for read in session().scalars(statement)])


def title(scope: str) -> str:
    """The data area in a school's words."""
    entry = scopes.catalogue().get(scope)
    return entry.title if entry else scope


def _find_fault(total: Total, estabs: dict[str, str], clients: set[str], served: frozenset[str]) -> str | None:
    if total.estab_id not in estabs:
        return "estab_id: is not known"
    if total.client_id not in clients:
        return "client_id: is not known"
    if total.scope not in scopes.filter_by_kind("data", served):
        return "scope: is not a data scope that this API serves"
    today = clock.now().date()
    if not today - MAX_AGE <= total.day <= today + timedelta(days=1):
        return "day: is too long ago, or lies ahead"
    return None


def _row(read: Read) -> tuple[str | int, ...]:
    last = read.last_at.astimezone(clock.LONDON).isoformat(timespec="minutes")
    partner, service = read.client.partner_name, read.client.client_name
    return read.day.isoformat(), partner, service, title(read.scope), read.requests, read.records, last
