"""A school's decision about what a client asks for in addition (`reviews`), and the mail that announces it.

The school looks at the difference on its pages, and agrees or declines. Either way it is asked about the same once.
At a sign-in it is asked only if the request demands what it has not agreed to (`authorise.covers`).
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import ColumnElement, select, update

from idp.audit import events
from idp.estabs import people
from idp.estabs.models import ACTIVE_STATES, Estab, Membership
from idp.estabs.permissions import Action
from idp.foundation import clock, runtime, scopes
from idp.foundation.database import lock, row_isolated, session
from idp.outbox import post
from idp.partners import registry
from idp.partners.models import Client, Partner
from idp.partners.snapshots import AnyClient
from idp.sharing import agreements, mis, protected_data, receipts, reviews
from idp.sharing.agreements import ChangedMeanwhile
from idp.sharing.models import Authorisation
from idp.sharing.reviews import Review

BATCH_SIZE: Final = 200
"""Agreements whose owners are told in one transaction."""


def agree(
    estab_id: str, client_id: str, ticked: frozenset[str], *, replaces: str, shown: str, by: Membership,
    second_step: bool = False,
) -> Authorisation:  # fmt: skip
    """Agree to the review, with those of its optional areas that are ticked; end and pause stay as they are.

    `replaces` is the id of the agreement on the page, `shown` the review there. Every owner gets a receipt. Raises the
    errors of `authorise.give`; `ChangedMeanwhile` also where the review is another by now, or none.
    """
    client, former, review = _lock_reviewed(estab_id, client_id, replaces, shown, by)
    mis.check(by.estab, client)
    added = review.chosen(ticked)
    protected_data.check(added, second_step=second_step)
    protected_data.check_rule(by.estab, second_step=second_step)
    if agreements.end(estab_id, client_id, only=former.id, superseded_at=clock.now()) is None:
        raise ChangedMeanwhile(reason=f"{estab_id} and {client_id}, reviewed")
    offered = former.offered | review.required | review.optional
    authorisation = agreements.insert(
        client_id, by, former, scopes=(former.scopes & client.scopes) | added, offered=offered,
        agreement=client.agreement_version, until=former.until, paused_at=former.paused_at,
        reminded_days=former.reminded_days,
        **agreements.considered_columns(client, former, offered=offered, version=client.agreement_version),
    )  # fmt: skip
    agreements.record(events.SHARING_CHANGED, authorisation, by)
    receipts.send("sharing_receipt", authorisation, client, by, replaces=True)
    return authorisation


def decline(estab_id: str, client_id: str, *, replaces: str, shown: str, by: Membership) -> Authorisation:
    """Decline the review: the agreement stays, and the school is asked again only if a request needs what it declined.

    Every owner gets a mail. Raises the errors of `agree`.
    """
    client, agreement, review = _lock_reviewed(estab_id, client_id, replaces, shown, by)
    agreement.offered = agreement.offered | review.optional  # an answer, as if they had been left unticked
    offered = review.required | review.optional
    for name, value in agreements.considered_columns(
        client, agreement, offered=offered, version=client.agreement_version
    ).items():
        setattr(agreement, name, value)
    agreement.review_mailed_at, agreement.review_declined_at, agreement.changed_at = None, clock.now(), clock.now()
    session().flush()
    declined = {"declined_scope": scopes.format(offered), "declined_agreement_version": review.version or ""}
    agreements.record(events.SHARING_REVIEW_DECLINED, agreement, by, **declined)
    receipts.send("sharing_review_declined", agreement, client, by)
    return agreement


def mail_due() -> bool:
    """Tell owners of reviews that wait, once since their school decided last; returns whether there may be more.

    Only agreements with clients that have changed since the last run are looked at.
    """
    changed = (
        select(Client).join(Partner, Partner.id == Client.partner_id)
        .where(Client.version != Client.reviewed_version, Client.enabled, Partner.disabled_at.is_(None))
        .order_by(Client.id).limit(1)
    )  # fmt: skip
    client = session().scalar(changed.execution_options(populate_existing=True))
    if client is None:
        return False
    for group in _groups_to_review(client):
        agreement_ids = _mark(client.id, group)
        for agreement_id in agreement_ids:
            with row_isolated("review of sharing", agreement_id):
                _mail(session().get_one(Authorisation, agreement_id, populate_existing=True), client)
        if len(agreement_ids) == BATCH_SIZE:
            return True
    if next(_groups_to_review(client), None) is None:  # else another worker was at the same rows, and there are more
        registry.note_reviewed(client)
    return True


def link(estab_id: str, client_id: str) -> str:
    """The URL at which the school with this Estab ID looks at the review."""
    return runtime.url(f"/manage/sharing/{client_id}/review?school={estab_id}")


def _lock_reviewed(
    estab_id: str, client_id: str, replaces: str, shown: str, by: Membership
) -> tuple[AnyClient, Authorisation, Review]:
    """The client, the agreement under a lock, and its review, which is the one that was shown. Raises otherwise."""
    agreements.check_and_lock(estab_id, by)
    client, agreement = registry.client(client_id), agreements.current(estab_id, client_id)
    if agreement is None:
        raise agreements.NothingShared(reason=f"{estab_id} and {client_id}")
    agreement = lock(Authorisation, agreement.id)
    is_current = agreement is not None and agreement.superseded_at is None and agreement.withdrawn_at is None
    review = (
        reviews.find_pending(agreement, client) if agreement is not None and is_current and client is not None else None
    )
    if client is None or agreement is None or review is None or agreement.id != replaces or review.shown != shown:
        raise ChangedMeanwhile(
            "This has changed since you opened the page. Please look at it again.", reason=f"{estab_id} and {client_id}"
        )
    return client, agreement, review


def _groups_to_review(client: Client) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """The conditions of agreements that are alike and have something to review: few groups, however many schools."""
    columns = (
        Authorisation.scopes, Authorisation.considered_scopes, Authorisation.considered_required,
        Authorisation.agreement, Authorisation.considered_agreement,
    )  # fmt: skip
    for row in session().execute(select(*columns).where(*_in_force(client.id)).distinct()).all():
        agreed, considered, considered_required, agreement, considered_agreement = row
        version = agreement if considered_agreement is None else considered_agreement
        if reviews.difference(
            client, agreed=agreed, considered=considered, considered_required=considered_required, version=version
        ):
            yield tuple(column.is_not_distinct_from(value) for column, value in zip(columns, row, strict=True))


def _in_force(client_id: str) -> tuple[ColumnElement[bool], ...]:
    """The condition for agreements in use whose owners were not yet told of a review."""
    return (
        Authorisation.client_id == client_id, Authorisation.withdrawn_at.is_(None),
        Authorisation.superseded_at.is_(None), Authorisation.paused_at.is_(None), Authorisation.until > clock.now(),
        Authorisation.review_mailed_at.is_(None),
        Authorisation.estab_id.in_(select(Estab.id).where(Estab.state.in_(ACTIVE_STATES))),
    )  # fmt: skip


def _mark(client_id: str, group: tuple[ColumnElement[bool], ...]) -> list[str]:
    """Mark that owners of the next agreements are told, and return the ids. The UPDATE decides between two workers."""
    due = *_in_force(client_id), *group
    batch = select(Authorisation.id).where(*due).order_by(Authorisation.id).limit(BATCH_SIZE).scalar_subquery()
    statement = update(Authorisation).where(*due, Authorisation.id.in_(batch)).values(review_mailed_at=clock.now())
    return list(session().scalars(statement.returning(Authorisation.id).execution_options(synchronize_session=False)))


def _mail(agreement: Authorisation, client: Client) -> None:
    review, estab = reviews.find_pending(agreement, client), agreement.estab
    if review is None:
        return
    for owner in people.who_may(estab.id, Action.RECEIVE_SHARING_NOTICES):
        post.email(
            "sharing_review", to=owner.email, estab=estab.id, client=client.id, owner=owner.name_in_mails,
            school=estab.name, estab_id=estab.estab_id, client_name=client.client_name,
            partner_name=client.partner_name, review=review, link=link(estab.estab_id, client.id),
        )  # fmt: skip
