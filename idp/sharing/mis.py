"""The school's MIS, where a client works with some systems only (school-register.md §8)."""

from sqlalchemy import ColumnElement, select, update

from idp.audit import events, log
from idp.estabs import accounts, authority, people
from idp.estabs.models import Estab, Membership
from idp.estabs.permissions import Action
from idp.foundation import clock, dates, runtime
from idp.foundation.database import lock, session
from idp.foundation.errors import BadRequest, Refusal
from idp.outbox import post
from idp.partners import mis_catalogue, registry
from idp.partners.mis_catalogue import Mis
from idp.partners.snapshots import AnyClient
from idp.sharing import agreements, notices
from idp.sharing.agreements import Actor
from idp.sharing.models import Authorisation


class MisUnknown(Refusal):
    """The client works with some systems only, and the school's is not known yet: ask for it."""

    code, status, title = "mis_unknown", 409, "Which system does your school use?"
    message = "This service works with some management information systems only. Please tell us which one you use."


class MisNotAccepted(Refusal):
    """The client does not work with the school's system."""

    code, status, title = "mis_not_accepted", 403, "This service does not work with your school's system"


def is_asked(estab: Estab, client: AnyClient) -> bool:
    """Whether the school has to say which MIS it uses before `client` can ask for anything."""
    return bool(client.accepted_mis) and estab.mis is None


def check(estab: Estab, client: AnyClient) -> None:
    """Raise `MisUnknown` or `MisNotAccepted` unless `client` works with the school's MIS."""
    if is_asked(estab, client):
        raise MisUnknown(reason=f"{estab.id} for {client.id}")
    if not registry.accepts_mis(client, estab.mis):
        systems = mis_catalogue.names(client.accepted_mis)
        message = (
            f"{client.client_name} works with {systems}, and your school's system is recorded "
            f"as {mis_catalogue.name(estab.mis)}. If that is wrong, please correct it."
        )
        raise MisNotAccepted(message, reason=f"{estab.id} has {estab.mis}, {client.id}")


def choices() -> list[Mis]:
    """Every system that a school can choose."""
    return list(mis_catalogue.catalogue().values())


def set_by_school(code: str, *, by: Membership) -> None:
    """Record that the school of `by` uses the system `code`. Raises `BadRequest`, and as `authority.check_and_lock`.

    Sharing with a service that does not work with it is interrupted, as by a pause, until the school names a system
    that is accepted again. Owners get a mail about that, and the clients are told.
    """
    estab = lock(Estab, by.estab_id) or by.estab  # so that two people of the school are handled one after the other
    authority.check_and_lock(by, Action.NAME_MIS)
    if code not in mis_catalogue.catalogue():
        raise BadRequest("Please choose one of the systems in the list.", reason=f"MIS {code!r}")
    _record(estab, code, by)


def set_by_server(estab_id: str, code: str, *, by: Actor) -> None:
    """Record the system that a school's server reads, if the school, whose estab is locked, has named none.

    If it has named another, that stays: the school is asked which one is right (`manage.overview`).
    """
    estab = session().get_one(Estab, estab_id)
    if estab.mis is None:
        _record(estab, code, by)


def _record(estab: Estab, code: str, by: Membership | Actor) -> None:
    stopping, starting = agreements_stopped_by(estab, code), _agreements_resumed_by(estab, code)
    former = accounts.set_mis(estab, code)
    if former == code:
        return
    # Clients that request what has changed then get these agreements.
    session().execute(update(Authorisation).where(*_current_of(estab)).values(changed_at=clock.now()))
    log.record(events.ESTAB_MIS_TOLD, by=by.person_id, estab=by.estab_id, subject=by.estab_id, mis=code, before=former)
    changes = ("unsupported", "sharing-paused", stopping), ("supported", "sharing-resumed", starting)
    for kind, event, agreed in changes:
        for agreement in agreed:
            agreements.add_to_history(
                kind, by, client_id=agreement.client_id, authorisation_id=agreement.id, scopes=agreement.scopes
            )
            notices.record(event, agreement)
    if stopping or starting:
        _mail(estab, stopping, starting, agreements.description(by))


def agreements_stopped_by(estab: Estab, code: str) -> list[Authorisation]:
    """The agreements in use that would be interrupted if the school used the system `code`."""
    return [
        agreement
        for agreement in _in_use(estab)
        if registry.accepts_mis(agreement.client, estab.mis) and not registry.accepts_mis(agreement.client, code)
    ]


def _agreements_resumed_by(estab: Estab, code: str) -> list[Authorisation]:
    """The agreements that are interrupted by the school's system, and would not be by the system `code`."""
    return [
        agreement
        for agreement in _in_use(estab)
        if not registry.accepts_mis(agreement.client, estab.mis) and registry.accepts_mis(agreement.client, code)
    ]


def _in_use(estab: Estab) -> list[Authorisation]:
    in_use = Authorisation.paused_at.is_(None), Authorisation.until > clock.now()
    rows = session().scalars(
        select(Authorisation).where(*_current_of(estab), *in_use).order_by(Authorisation.client_id)
    )
    return [agreement for agreement in rows if agreement.client.accepted_mis]


def _current_of(estab: Estab) -> tuple[ColumnElement[bool], ...]:
    """The condition for the school's current agreements."""
    is_current = Authorisation.withdrawn_at.is_(None), Authorisation.superseded_at.is_(None)
    return Authorisation.estab_id == estab.id, *is_current


def _mail(estab: Estab, stopping: list[Authorisation], starting: list[Authorisation], person: str) -> None:
    names = [[agreement.client.client_name for agreement in agreed] for agreed in (stopping, starting)]
    for owner in people.who_may(estab.id, Action.RECEIVE_SHARING_NOTICES):
        post.email(
            "system_changed", to=owner.email, estab=estab.id, owner=owner.name_in_mails,
            person=person, school=estab.name, estab_id=estab.estab_id,
            system=mis_catalogue.name(estab.mis), stopping=names[0], starting=names[1], today=dates.day(clock.now()),
            link=runtime.url("/manage"),
        )  # fmt: skip
