"""Remove sandbox applications and fictional schools that no one uses, two weeks after a mail about it.

Used is an application that was registered or changed, or for which a person signed in or got a token; and a school
that was made or changed, or whose person signed in. Conditional UPDATEs decide between two workers.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import select

from idp.developers import sandbox
from idp.developers.sandbox import Staff
from idp.estabs import fictional
from idp.estabs.models import Estab
from idp.foundation import clock, dates, runtime
from idp.foundation.database import row_isolated, session
from idp.partners import change_notices, companies, sandbox_clients
from idp.partners.models import Client

NOTICE: Final = timedelta(days=14)
"""How long before it is removed the mail is sent."""
BATCH_SIZE: Final = 100


def mail_due() -> bool:
    """Mail partners what will be removed if it is not used; returns whether there may be more."""
    now = clock.now()
    since, mailed_before = now - _period() + NOTICE, now - 3 * NOTICE  # one so old was about an earlier time
    clients = sandbox_clients.mark_unused(since, mailed_before=mailed_before, limit=BATCH_SIZE)
    estabs = fictional.mark_unused(since, mailed_before=mailed_before, limit=BATCH_SIZE)
    names: dict[str, list[str]] = {}
    for client in session().scalars(select(Client).where(Client.id.in_(clients)).order_by(Client.id)):
        names.setdefault(client.partner_id, []).append(client.client_name)
    for estab in session().scalars(select(Estab).where(Estab.id.in_(estabs)).order_by(Estab.id)):
        names.setdefault(estab.fictional_for or "", []).append(f"{estab.name} ({estab.estab_id})")
    for partner_id, named in names.items():
        with row_isolated("mail about the sandbox", partner_id):
            change_notices.mail(
                companies.by_id(partner_id), "sandbox_unused", names=named, until=dates.day(now + NOTICE),
                link=runtime.url("/developers/sandbox"),
            )  # fmt: skip
    return BATCH_SIZE in {len(clients), len(estabs)}


def remove_due() -> bool:
    """Remove what was not used since the mail; returns whether there may be more."""
    since, mailed_until = clock.now() - _period(), clock.now() - NOTICE
    clients = sandbox_clients.unused(since, mailed_until=mailed_until, limit=BATCH_SIZE)
    for client in clients:
        with row_isolated("sandbox application", client.id):
            sandbox.remove_application(Staff("system", client.partner), client.id)
    estabs = fictional.unused(since, mailed_until=mailed_until, limit=BATCH_SIZE)
    for estab in estabs:
        with row_isolated("fictional school", estab.id):
            sandbox.remove_school(Staff("system", companies.by_id(estab.fictional_for or "")), estab.estab_id)
    return BATCH_SIZE in {len(clients), len(estabs)}


def _period() -> timedelta:
    return timedelta(days=runtime.settings().retention.sandbox)
