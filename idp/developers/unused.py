"""Remove sandbox applications and fictional schools that no one uses, two weeks after a mail about it.

Used is an application that was registered or changed, or for which a person signed in or got a token; and a school
that was made or changed, or whose person signed in. Conditional UPDATEs decide between two workers.
"""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, or_, select, update

from idp.developers import sandbox
from idp.developers.sandbox import Staff
from idp.estabs.models import FINAL_STATES, Estab, Membership
from idp.foundation import clock, dates, runtime
from idp.foundation.database import row_isolated, session
from idp.partners import change_notices, companies
from idp.partners.models import Client, ClientMilestone

NOTICE: Final = timedelta(days=14)
"""How long before it is removed the mail is sent."""
BATCH_SIZE: Final = 100


def mail_due() -> bool:
    """Mail partners what will be removed if it is not used; returns whether there may be more."""
    unused_since = clock.now() - timedelta(days=runtime.settings().retention.sandbox) + NOTICE
    clients = _mark(Client, *_unused_clients(unused_since), _mailed_too_early(Client.removal_mailed_at))
    estabs = _mark(Estab, *_unused_estabs(unused_since), _mailed_too_early(Estab.removal_mailed_at))
    names: dict[str, list[str]] = {}
    for client in session().scalars(select(Client).where(Client.id.in_(clients)).order_by(Client.id)):
        names.setdefault(client.partner_id, []).append(client.client_name)
    for estab in session().scalars(select(Estab).where(Estab.id.in_(estabs)).order_by(Estab.id)):
        names.setdefault(estab.fictional_for or "", []).append(f"{estab.name} ({estab.estab_id})")
    until = clock.now() + NOTICE
    for partner_id, named in names.items():
        with row_isolated("mail about the sandbox", partner_id):
            change_notices.mail(
                companies.by_id(partner_id), "sandbox_unused", names=named, until=dates.day(until),
                link=runtime.url("/developers/sandbox"),
            )  # fmt: skip
    return BATCH_SIZE in {len(clients), len(estabs)}


def remove_due() -> bool:
    """Remove what was not used since the mail; returns whether there may be more."""
    unused_since = clock.now() - timedelta(days=runtime.settings().retention.sandbox)
    warned = clock.now() - NOTICE
    of_clients = *_unused_clients(unused_since), Client.removal_mailed_at <= warned
    of_estabs = *_unused_estabs(unused_since), Estab.removal_mailed_at <= warned
    clients = session().scalars(select(Client).where(*of_clients).order_by(Client.id).limit(BATCH_SIZE)).all()
    for client in clients:
        with row_isolated("sandbox application", client.id):
            sandbox.remove_application(Staff("system", client.partner), client.id)
    estabs = session().scalars(select(Estab).where(*of_estabs).order_by(Estab.id).limit(BATCH_SIZE)).all()
    for estab in estabs:
        with row_isolated("fictional school", estab.id):
            sandbox.remove_school(Staff("system", companies.by_id(estab.fictional_for or "")), estab.estab_id)
    return BATCH_SIZE in {len(clients), len(estabs)}


def _mailed_too_early(column: Any) -> ColumnElement[bool]:
    """That no mail about it was sent, or one that is so old that it has been used since."""
    return or_(column.is_(None), column < clock.now() - 3 * NOTICE)


def _unused_clients(since: Any) -> tuple[ColumnElement[bool], ...]:
    used = select(ClientMilestone.client_id).where(ClientMilestone.last_at > since)
    return Client.is_sandbox.is_(True), Client.removed_at.is_(None), Client.updated_at <= since, Client.id.not_in(used)


def _unused_estabs(since: Any) -> tuple[ColumnElement[bool], ...]:
    used = select(Membership.estab_id).where(Membership.signed_in_at > since)
    return (
        Estab.fictional_for.is_not(None), Estab.state.not_in(FINAL_STATES), Estab.registered_at <= since,
        Estab.state_changed_at <= since, Estab.id.not_in(used),
    )  # fmt: skip


def _mark(model: type[Client] | type[Estab], *due: ColumnElement[bool]) -> list[str]:
    batch = select(model.id).where(*due).order_by(model.id).limit(BATCH_SIZE).scalar_subquery()
    statement = update(model).where(*due, model.id.in_(batch)).values(removal_mailed_at=clock.now())
    return list(session().scalars(statement.returning(model.id).execution_options(synchronize_session=False)))
