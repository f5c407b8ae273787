"""Remind a school's owners, once each, that an agreement ends in 30 and in 7 days, and tell them that it has ended.

An UPDATE that marks what is due decides between two workers. A reminder that cannot be written is logged, and not
repeated. No mail is sent about a paused agreement, or one of a school or service that cannot be used. A reminder is
left out where the agreement lasts for less than twice that time.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select, true, update

from idp.estabs import people
from idp.estabs.models import ACTIVE_STATES, Estab
from idp.estabs.permissions import Action
from idp.foundation import clock, dates, runtime, scopes
from idp.foundation.database import row_isolated, session
from idp.outbox import post
from idp.partners.models import Client, Partner
from idp.sharing import notices, renewal
from idp.sharing.models import Authorisation

REMINDER_DAYS: Final = (0, 7, 30)
"""Days before the end; 0 says that it has ended. The latest first: where two are due, only that one is sent."""
MAX_DELAY: Final = timedelta(days=7)
"""How long after the end of an agreement a mail is still sent: none about those that ended before there were mails."""
BATCH_SIZE: Final = 200
"""Agreements marked in one transaction, for each of `REMINDER_DAYS`."""


def remind_due() -> bool:
    """Send the reminders that are due, at most `BATCH_SIZE` of each; returns whether there may be more."""
    return max([_remind(days) == BATCH_SIZE for days in REMINDER_DAYS])


def link(estab_id: str, client_id: str) -> str:
    """The URL at which the school with this Estab ID renews its agreement with the client."""
    return runtime.url(f"/manage/sharing/{client_id}/renew?school={estab_id}")


def _remind(days: int) -> int:
    """Send the reminders of `days` before the end, and return how many agreements were marked."""
    agreement_ids = _mark(days, clock.now())
    for agreement_id in agreement_ids:
        with row_isolated("reminder of sharing", agreement_id):
            agreement = session().get_one(Authorisation, agreement_id, populate_existing=True)
            if _lasts_long_enough(agreement, days):
                if agreement.paused_at is None:
                    _mail(agreement, days)
                notices.record("sharing-expiring" if days else "sharing-expired", agreement)
    return len(agreement_ids)


def _mark(days: int, now: datetime) -> list[str]:
    """Mark the next agreements as reminded of `days` before their end, and return their ids."""
    can_be_used = (
        Authorisation.estab_id.in_(select(Estab.id).where(Estab.state.in_(ACTIVE_STATES))),
        Authorisation.client_id.in_(
            select(Client.id).join(Partner, Partner.id == Client.partner_id).where(
                Client.enabled, Partner.disabled_at.is_(None)
            )
        ),
    )  # fmt: skip
    earliest, latest = (now, now + timedelta(days=days)) if days else (now - MAX_DELAY, now)
    due = (
        Authorisation.withdrawn_at.is_(None), Authorisation.superseded_at.is_(None),
        Authorisation.paused_at.is_(None) if days else true(),
        Authorisation.until > earliest, Authorisation.until <= latest,
        or_(Authorisation.reminded_days.is_(None), Authorisation.reminded_days > days),
    )  # fmt: skip
    batch = select(Authorisation.id).where(*due, *can_be_used).order_by(Authorisation.until).limit(BATCH_SIZE)
    statement = update(Authorisation).where(*due, Authorisation.id.in_(batch.scalar_subquery()))
    statement = statement.values(reminded_days=days).returning(Authorisation.id)
    return list(session().scalars(statement.execution_options(synchronize_session=False)))


def _lasts_long_enough(agreement: Authorisation, days: int) -> bool:
    """Whether it lasts for twice `days`; the client's days count too, as a change begins a new one."""
    duration = max(agreement.until - agreement.given_at, renewal.length(agreement.client))
    return duration >= 2 * timedelta(days=days)


def _mail(agreement: Authorisation, days: int) -> None:
    client, estab = agreement.client, agreement.estab
    is_over_for_server = agreement.is_of_server and not days  # its tokens have expired too: it needs a new code
    for owner in people.who_may(estab.id, Action.RECEIVE_SHARING_NOTICES):
        post.email(
            "sharing_expires" if days else "sharing_expired", to=owner.email, estab=estab.id, client=client.id,
            expires=agreement.until if days else None, owner=owner.name_in_mails, school=estab.name,
            estab_id=estab.estab_id, client_name=client.client_name, partner_name=client.partner_name,
            areas=scopes.in_order(scopes.filter_by_kind("data", agreement.scopes)), days=days,
            is_server=agreement.is_of_server,
            until=dates.day(agreement.until),
            link=runtime.url("/manage/endpoint") if is_over_for_server else link(estab.estab_id, client.id),
        )  # fmt: skip
