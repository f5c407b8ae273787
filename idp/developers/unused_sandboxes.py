"""Remove sandbox applications and fictional schools that no one uses, `NOTICE_PERIOD` after a mail about it.

An application counts as used if it was registered or changed, or a person signed in to it, or it got a token; a school
if it was made or changed, or its person signed in. Each step takes the next rows after an id and returns the one to
continue after, or None at the end: a row that cannot be processed is skipped until the next run.
"""

from datetime import timedelta
from typing import Final

from idp.developers import sandbox
from idp.developers.sandbox import Staff
from idp.estabs import fictional
from idp.foundation import clock, dates, runtime
from idp.foundation.database import row_isolated
from idp.partners import change_notices, companies, sandbox_clients

NOTICE_PERIOD: Final = timedelta(days=14)
"""How long before it is removed the mail is sent."""
BATCH_SIZE: Final = 100
"""Rows that one step takes."""


def mail_due(after: str = "") -> str | None:
    """Mail the next partners what will be removed if it is not used."""
    since = clock.now() - _period() + NOTICE_PERIOD
    with_clients = sandbox_clients.partners_with_unused(since, after=after, limit=BATCH_SIZE)
    with_schools = fictional.partners_with_unused(since, after=after, limit=BATCH_SIZE)
    partner_ids = sorted({*with_clients, *with_schools})[:BATCH_SIZE]
    for partner_id in partner_ids:
        with row_isolated("mail about the sandbox", partner_id):
            names = sandbox_clients.mark_unused(partner_id, since) + fictional.mark_unused(partner_id, since)
            if not names:  # another worker has mailed them meanwhile
                continue
            posted = change_notices.mail(
                companies.by_id(partner_id), "sandbox_unused", names=names,
                until=dates.day(clock.now() + NOTICE_PERIOD), link=runtime.url("/developers/sandbox"),
            )  # fmt: skip
            if not posted:  # nothing is removed without a mail: the marks are rolled back
                raise RuntimeError("no mail could be posted")
    return _next_after(partner_ids)


def remove_applications(after: str = "") -> str | None:
    """Remove the next applications that were not used since the mail."""
    since, mailed_until = clock.now() - _period(), clock.now() - NOTICE_PERIOD
    client_ids = sandbox_clients.list_unused(since, mailed_until=mailed_until, after=after, limit=BATCH_SIZE)
    for client_id in client_ids:
        with row_isolated("sandbox application", client_id):
            client = sandbox_clients.find_unused(client_id, since, mailed_until=mailed_until)
            if client is not None:
                sandbox.remove_application(Staff("system", client.partner), client.id)
    return _next_after(client_ids)


def remove_schools(after: str = "") -> str | None:
    """Remove the next schools that were not used since the mail."""
    since, mailed_until = clock.now() - _period(), clock.now() - NOTICE_PERIOD
    estab_ids = fictional.list_unused(since, mailed_until=mailed_until, after=after, limit=BATCH_SIZE)
    for id_ in estab_ids:
        with row_isolated("fictional school", id_):
            estab = fictional.find_unused(id_, since, mailed_until=mailed_until)
            if estab is not None and estab.fictional_for is not None:
                sandbox.remove_school(Staff("system", companies.by_id(estab.fictional_for)), estab.estab_id)
    return _next_after(estab_ids)


def _next_after(ids: list[str]) -> str | None:
    return ids[-1] if len(ids) == BATCH_SIZE else None


def _period() -> timedelta:
    return timedelta(days=runtime.settings().retention.sandbox)
