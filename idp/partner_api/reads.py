"""XporterOnDemand reports who read what, so that a school sees it on its pages."""

from datetime import UTC, date, datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from idp.oidc.tokens.access_tokens import Access
from idp.partner_api.operations import InvalidRequest, NoQuery, operation
from idp.xporter import reads
from idp.xporter.reads import MAX_ROWS, SCOPE, Total

MAX_BODY_BYTES: Final = 524_288
"""The largest report; `MAX_ROWS` rows fit."""
Count = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}(?![\s\S])")]  # the end, as in `endpoint`


class ReadTotal(Struct, frozen=True, kw_only=True):
    """The whole of what one application read under one scope of one school on one day, so far."""

    estab_id: Name
    client_id: Name
    scope: Name
    day: date
    requests: Count
    records: Count
    last_at: Annotated[datetime, Meta(tz=True)]


class ReadReport(Struct, frozen=True, kw_only=True):
    """Totals, each of which replaces what was reported of its day before."""

    reads: Annotated[tuple[ReadTotal, ...], Meta(max_length=MAX_ROWS)]


@operation(
    summary="Report who read what", method="POST", query=NoQuery, body=ReadReport, response_body=None, status=204,
    scope=SCOPE, per_minute=600, max_body_bytes=MAX_BODY_BYTES,
)  # fmt: skip
def report_reads(access: Access, _query: NoQuery, body: ReadReport) -> None:
    """For the API that serves schools' data, about the scopes that it serves. The report contains no school data.

    A day's totals are absolute and only grow, so you can repeat a report. Either all rows are stored, or none.
    """
    totals = [
        Total(row.estab_id, row.client_id, row.scope, row.day, row.requests, row.records, _in_utc(row.last_at))
        for row in body.reads
    ]
    reads.record(totals, served=access.client.registered.resource_scopes)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidRequest("last_at: is too early or too late", reason="last_at") from error
