"""The rows of agreements: end the current one, insert the one that follows it, and record what was decided.

For the modules of this package that decide something. An agreement that is changed is superseded by a new one of the
same line; one unique index and one UPDATE decide between two people at once.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from idp.audit import log
from idp.estabs import authority
from idp.estabs.models import Membership
from idp.estabs.permissions import Action
from idp.foundation import clock, crypto
from idp.foundation.database import session
from idp.foundation.errors import NotFound, Refusal
from idp.partners import registry
from idp.partners.snapshots import AnyClient
from idp.sharing import notices, sandbox
from idp.sharing.models import Authorisation, Decision


class ChangedMeanwhile(Refusal):
    """Two people of one school decided about the same client at the same moment."""

    code, status, title = "changed_meanwhile", 409, "Someone has just changed this"
    message = "Someone at your school has just changed this. Please look at it again."


class NothingShared(Refusal):
    """There is no agreement to stop, pause, resume or change, or no longer."""

    code, status, title = "nothing_shared", 409, "Nothing is being shared"
    message = "Your school does not share anything with this service at the moment, so there is nothing to change."


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone who decides and is not one of the school's people: our staff, or the program on the school's server."""

    person_id: str
    """Their id in the audit log."""
    estab_id: str
    """The internal id of the estab that they decide for."""
    described: str
    """The words for them in mails."""


def check_and_lock(estab_id: str, by: Membership) -> None:
    """Raise unless `by` may decide for this school now, and until the transaction ends (`authority.check_and_lock`)."""
    if by.estab_id != estab_id:
        raise NotFound(reason=f"administrator {by.person_id} does not act for {estab_id}")
    authority.check_and_lock(by, Action.AUTHORISE)


def current(estab_id: str, client_id: str) -> Authorisation | None:
    """The agreement that was neither withdrawn nor superseded: active, paused or expired."""
    return session().scalar(select(Authorisation).where(Authorisation.current(estab_id, client_id)))


def end(estab_id: str, client_id: str, *, only: str | None = None, **columns: object) -> Authorisation | None:
    """End the current agreement (`only` that with this id) and return it. One UPDATE: of two at once, one gets it.

    None where there is none, and where it was replaced while this waited: the UPDATE does not see the new one.
    """
    values = columns | {"changed_at": clock.now()}
    statement = update(Authorisation).where(Authorisation.current(estab_id, client_id)).values(**values)
    if only is not None:
        statement = statement.where(Authorisation.id == only)
    authorisation_id = session().scalar(statement.returning(Authorisation.id))
    if authorisation_id is None:
        return None
    return session().get_one(Authorisation, authorisation_id, populate_existing=True)


def insert(client_id: str, by: Membership, previous: Authorisation | None, **columns: Any) -> Authorisation:
    """Insert the agreement that follows `previous`, or begins a line. Raises `FictionalAndReal`, `ChangedMeanwhile`."""
    sandbox.check(registry.find(client_id), by.estab)
    new_id, between = crypto.new_id("aut"), f"{by.estab_id} and {client_id}"
    agreement = Authorisation(
        id=new_id, line=previous.line if previous else new_id, estab_id=by.estab_id, client_id=client_id,
        given_by=by.person_id, given_at=clock.now(), withdrawn_at=None, withdrawn_by=None, superseded_at=None,
        changed_at=clock.now(), **columns,
    )  # fmt: skip
    session().add(agreement)
    try:
        session().flush()
    except IntegrityError as error:
        # The index lets one agreement be current. Raising undoes our half, so a colleague's decision
        # stands and is what the page shows next; a retry would overrule it unseen.
        raise ChangedMeanwhile(reason=between) from error
    return agreement


def considered_columns(
    client: AnyClient, before: Authorisation | None, *, offered: frozenset[str], version: str
) -> dict[str, frozenset[str] | str]:
    """The `considered_…` columns of an agreement that follows `before`, for whose decision `offered` was shown.

    A first agreement counts all scopes that the client is registered for, because it need not request all at once.
    """
    scopes, required = client.scopes, client.required_scopes
    if before is not None and before.considered_scopes is not None:
        scopes = before.considered_scopes | offered
        required = (before.considered_required or frozenset()) | (offered & client.required_scopes)
    return {"considered_scopes": scopes, "considered_required": required, "considered_agreement": version}


def unchanged_review_columns(before: Authorisation) -> dict[str, Any]:
    """The columns about reviews of an agreement that follows `before` where the school considered nothing new."""
    names = "considered_scopes", "considered_required", "considered_agreement", "review_mailed_at", "review_declined_at"
    return {name: getattr(before, name) for name in names}


def scopes_offered_by(client_id: str) -> frozenset[str]:
    """All scopes that schools were asked for by the client, in the agreements that there are of it."""
    statement = select(Authorisation.offered).where(Authorisation.client_id == client_id).distinct()
    return frozenset().union(*session().scalars(statement))


def description(by: Membership | Actor) -> str:
    """The words for who decides, in mails."""
    return by.described if isinstance(by, Actor) else by.person.described_in_mails


def record(event: str, agreement: Authorisation, by: Membership | Actor, **facts: Any) -> None:
    """Record `event` in the audit log and in the history that the school reads, and tell the client.

    `facts` are members of `SchoolFacts` that the client gets in addition to those of every event.
    """
    log.record(
        event, by=by.person_id, estab=agreement.estab_id, client=agreement.client_id, subject=agreement.id,
        line=agreement.line, scopes=agreement.scopes, agreement=agreement.agreement, until=agreement.until,
    )  # fmt: skip
    kind = event.partition(".")[2]
    add_to_history(kind, by, client_id=agreement.client_id, authorisation_id=agreement.id, scopes=agreement.scopes)
    if (name := notices.EVENT_NAMES.get(event)) is not None:
        notices.record(name, agreement, **facts)


def add_to_history(kind: str, by: Membership | Actor, **about: Any) -> None:
    """Add a line to the history that the school reads."""
    session().add(Decision(estab_id=by.estab_id, at=clock.now(), by=by.person_id, what=kind, **about))
