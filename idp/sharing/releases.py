"""Sharing of a closed school continues at its successor: two decisions, one by each school.

The closing school releases its sharing to a successor in the register; if it has no owner any more, our staff do. Only
then do the owners of the successor see the services, once our staff have verified their school and the register says
that the succession is in effect. They decide once, with agreements of their own, as if each service had asked them. The
agreements of the closed school that they continue end in the same transaction. Nothing about people is shown to the
other school (decision 68).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, update

from idp.audit import events, log
from idp.estabs import accounts, authority, people
from idp.estabs.models import Estab, Membership
from idp.estabs.permissions import Action
from idp.foundation import clock, crypto, dates, inserts, runtime, scopes
from idp.foundation.database import lock, session
from idp.foundation.errors import BadRequest, NotFound, Refusal
from idp.foundation.scopes import Scope
from idp.outbox import post
from idp.partners import registry
from idp.partners.snapshots import AnyClient
from idp.schools.models import School
from idp.sharing import agreements, authorise, closures, mis, notices, protected_data
from idp.sharing.agreements import ChangedMeanwhile
from idp.sharing.models import Authorisation, Decision, Release

ALREADY_SHARED: Final = "Your school shares with it already."


class NotReleasable(Refusal):
    """The register does not name this school as a successor, or the account may not decide about it."""

    code, status, title = "not_releasable", 409, "This school cannot continue with it"


@dataclass(frozen=True, slots=True)
class Service:
    """A service that the closed school shares with, as its successor is asked about it."""

    agreement: Authorisation
    client: AnyClient
    required: frozenset[str]
    optional: frozenset[str]
    ticked: frozenset[str]
    """Of the optional ones, those that the closed school agreed to."""
    until: datetime
    obstacle: str | None
    """Why it cannot be continued here; None where it can."""

    @property
    def needed(self) -> list[Scope]:
        """The required data areas."""
        return scopes.in_order(scopes.filter_by_kind("data", self.required))

    @property
    def choices(self) -> list[Scope]:
        """The optional data areas, specially protected ones last."""
        return scopes.ordinary_first(scopes.filter_by_kind("data", self.optional))

    def chosen(self, ticked: frozenset[str]) -> frozenset[str]:
        """The scopes that are agreed to if these areas are ticked."""
        return self.required | scopes.filter_by_kind("identity", self.optional) | (self.optional & ticked)


@dataclass(frozen=True, slots=True)
class Offer:
    """The services of a closed school that its successor may continue."""

    id: str
    """The id of the release."""
    estab: Estab
    services: Sequence[Service]

    @property
    def names(self) -> list[str]:
        """The names of the services."""
        return [service.client.client_name for service in self.services]

    @property
    def shown(self) -> str:
        """A digest of what a page shows of the offer, to detect that it has changed since."""
        parts = [
            f"{service.agreement.id} {service.client.agreement_version} {scopes.format(service.required)} "
            f"{scopes.format(service.optional)} {service.obstacle}"
            for service in self.services
        ]
        return crypto.digest("\n".join(parts)).hex()


def release(school_id: int, *, by: Membership) -> School:
    """Release the sharing of the school of `by` to its successor in the register, which is returned.

    Doing it again changes nothing. All owners of the closing school get a mail, and those of the successor if it is
    verified. Raises the errors of `authority.check_and_lock`, and `NotReleasable`.
    """
    authority.check_and_lock(by, Action.CONTINUE_SHARING)
    return _release(by.estab, school_id, by=by.person_id, described=by.person.described_in_mails)


def release_by_staff(closed: str, successor: str, *, by: str) -> tuple[Estab, School]:
    """As `release`, by our staff, where no one is left at the closing school. Both are named as for `look_up`."""
    estab, school_id = accounts.look_up(closed), accounts.look_up(successor).school_id
    lock(Estab, estab.id, shared=True)
    return estab, _release(estab, school_id, by=by, described="our staff")


def take_back(school_id: int, *, by: Membership) -> School | None:
    """Undo `release`, unless the successor has decided. Raises the errors of `authority.check_and_lock`.

    Returns the successor; None if there was nothing to undo.
    """
    authority.check_and_lock(by, Action.CONTINUE_SHARING)
    unused = Release.estab_id == by.estab_id, Release.school_id == school_id, Release.used_at.is_(None)
    if session().scalar(delete(Release).where(*unused).returning(Release.id)) is None:
        return None
    log.record(events.SHARING_RELEASE_TAKEN_BACK, by=by.person_id, estab=by.estab_id, school=school_id)
    return session().get_one(School, school_id)


def releases(estab_id: str) -> dict[int, Release]:
    """What the estab with this internal id has released, by the school that is the successor."""
    rows = session().scalars(select(Release).where(Release.estab_id == estab_id))
    return {row.school_id: row for row in rows}


def offers(member: Membership) -> list[Offer]:
    """The releases to the school of `member`, if they may decide about them."""
    if not member.estab.is_verified or not member.may(Action.CONTINUE_SHARING):
        return []
    unused = Release.school_id == member.estab.school_id, Release.used_at.is_(None)
    rows = session().scalars(select(Release).where(*unused).order_by(Release.released_at, Release.id)).all()
    offers = [_offer(row, member) for row in rows if _is_in_effect(row.estab, member.estab.school_id)]
    return [offer for offer in offers if offer.services]


def is_decided(release_id: str, member: Membership) -> bool:
    """Whether the school of `member` has decided about this release already."""
    row = session().get(Release, release_id)
    return row is not None and row.school_id == member.estab.school_id and row.used_at is not None


def move(
    release_id: str, chosen: Mapping[str, frozenset[str]], *, shown: str, by: Membership, second_step: bool = False
) -> list[Authorisation]:
    """Continue the services in `chosen`, by client id, each with those of its optional areas that are ticked.

    Decided once for all: services that are left out stay with the closed school. The agreements are of the school of
    `by`; those of the closed school end. Owners of both schools get mails. Raises the errors of `authorise.give`,
    `NotFound`, and `ChangedMeanwhile` where the page showed something else, or someone has decided.
    """
    row = session().get(Release, release_id)
    if row is None or row.school_id != by.estab.school_id:
        raise NotFound(reason=f"{release_id} for {by.estab_id}")
    for estab_id in sorted({row.estab_id, by.estab_id}):
        lock(Estab, estab_id, shared=True)
    authority.check_and_lock(by, Action.CONTINUE_SHARING)
    offer = next((offer for offer in offers(by) if offer.id == release_id), None)
    if offer is None or offer.shown != shown:
        raise ChangedMeanwhile(reason=f"{release_id} for {by.estab_id}")
    services = [service for service in offer.services if service.client.id in chosen]
    if not services or len(services) != len(chosen) or any(service.obstacle for service in services):
        raise BadRequest("Please tick the services that your school continues with.", reason=str(sorted(chosen)))
    scopes_by_service = [service.chosen(chosen[service.client.id]) for service in services]
    protected_data.check(frozenset().union(*scopes_by_service), second_step=second_step)
    protected_data.check_rule(by.estab, second_step=second_step)
    if not _mark_used(release_id, by):
        raise ChangedMeanwhile(reason=f"{release_id} has been used")
    authorisations = [_move(service, chosen[service.client.id], by, second_step=second_step) for service in services]
    _mail_moved(offer, services, by)
    return authorisations


def _release(estab: Estab, school_id: int, *, by: str, described: str) -> School:
    successors = [step.school for step in closures.successors(estab.school) if step.school is not None]
    school = next((school for school in successors if school.id == school_id), None)
    if closures.closing_of(estab.school) is None or school is None:
        raise NotReleasable(
            "The national register does not say that this school closes and the other follows it.", reason=estab.id
        )
    if not estab.is_verified:
        raise NotReleasable("Only a school that we have verified can decide this.", reason=estab.id)
    is_new = inserts.insert_if_absent(
        Release, id=crypto.new_id("rel"), estab_id=estab.id, school_id=school.id, released_at=clock.now(),
        released_by=by,
    )  # fmt: skip
    if not is_new:
        return school
    log.record(events.SHARING_RELEASED, by=by, estab=estab.id, subject=estab.id, school=school.id)
    for owner in people.who_may(estab.id, Action.RECEIVE_SHARING_NOTICES):
        post.email(
            "sharing_released", to=owner.email, estab=estab.id, owner=owner.name_in_mails, person=described,
            school=estab.name, estab_id=estab.estab_id, successor=school.name, today=dates.day(clock.now()),
            link=runtime.url(f"/manage/closing?school={estab.estab_id}"),
        )  # fmt: skip
    successor = accounts.find_by_school(school.id)
    if successor is not None and successor.is_verified:
        for owner in people.who_may(successor.id, Action.CONTINUE_SHARING):
            post.email(
                "sharing_offered", to=owner.email, estab=successor.id, owner=owner.name_in_mails,
                school=successor.name, estab_id=successor.estab_id, closed=estab.name, link=runtime.url("/manage"),
            )  # fmt: skip
    return school


def _is_in_effect(estab: Estab, school_id: int) -> bool:
    """Whether the verified estab is closed in the register, and the school with this id is its successor already."""
    closing = closures.closing_of(estab.school)
    if closing is None or not closing.is_closed or not estab.is_verified:
        return False
    return any(
        step.can_be_chosen and step.school is not None and step.school.id == school_id for step in closing.successors
    )


def _offer(row: Release, member: Membership) -> Offer:
    services = [
        service
        for agreement in authorise.current(row.estab_id)
        if agreement.state in {"active", "paused"}
        and not agreement.is_of_server  # a server of the closed school; the successor connects its own
        and (service := _service(agreement, member)) is not None
    ]
    return Offer(
        row.id, row.estab, sorted(services, key=lambda service: (service.client.client_name, service.client.id))
    )


def _service(agreement: Authorisation, member: Membership) -> Service | None:
    client = registry.client(agreement.client_id)
    if client is None:
        return None
    offered = agreement.offered & client.scopes
    return Service(
        agreement, client, offered & client.required_scopes, offered & client.optional_scopes,
        ticked=agreement.scopes & client.optional_scopes, until=authorise.default_end(client),
        obstacle=_obstacle(client, member),
    )  # fmt: skip


def _obstacle(client: AnyClient, member: Membership) -> str | None:
    existing = agreements.current(member.estab_id, client.id)
    if existing is not None and existing.state in {"active", "paused"}:
        return ALREADY_SHARED
    try:
        mis.check(member.estab, client)
    except Refusal as error:
        return error.message
    return None


def _mark_used(release_id: str, by: Membership) -> bool:
    """Mark the release as decided about. One UPDATE: of two at once, one gets it."""
    unused = Release.id == release_id, Release.used_at.is_(None)
    statement = update(Release).where(*unused).values(used_at=clock.now(), used_by=by.person_id)
    return session().scalar(statement.returning(Release.id)) is not None


def _move(service: Service, ticked: frozenset[str], by: Membership, *, second_step: bool) -> Authorisation:
    authorisation = authorise.give(
        service.client, service.chosen(ticked), by=by, agreement_version=service.client.agreement_version,
        until=service.until, offered=service.required | service.optional, second_step=second_step,
    )  # fmt: skip
    former = service.agreement
    ended = agreements.end(
        former.estab_id, former.client_id, only=former.id, withdrawn_at=clock.now(), withdrawn_by=by.person_id,
        moved_to=by.estab_id,
    )  # fmt: skip
    if ended is None:
        raise ChangedMeanwhile(reason=f"{former.id} has ended")
    log.record(
        events.SHARING_MOVED, by=by.person_id, estab=ended.estab_id, client=ended.client_id, subject=ended.id,
        line=ended.line, to=by.estab_id, scopes=ended.scopes,
    )  # fmt: skip
    session().add(
        Decision(
            estab_id=ended.estab_id, client_id=ended.client_id, authorisation_id=ended.id, at=clock.now(), by="",
            what="moved", scopes=ended.scopes,
        )
    )  # fmt: skip
    notices.record(notices.EVENT_NAMES[events.SHARING_MOVED], ended)
    return authorisation


def _mail_moved(offer: Offer, services: Sequence[Service], by: Membership) -> None:
    """Tell owners of the closed school which services continue elsewhere; the successor's get a receipt for each."""
    for owner in people.who_may(offer.estab.id, Action.RECEIVE_SHARING_NOTICES):
        post.email(
            "sharing_moved", to=owner.email, estab=offer.estab.id, owner=owner.name_in_mails, school=offer.estab.name,
            estab_id=offer.estab.estab_id, successor=by.estab.name, today=dates.day(clock.now()),
            services=[service.client.client_name for service in services], link=runtime.url("/manage"),
        )  # fmt: skip
