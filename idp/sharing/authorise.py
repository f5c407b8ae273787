"""A school's agreement that a client may have certain scopes: asked about, given, changed, paused, withdrawn.

Tokens are not mentioned here, on purpose. A token is evidence of an agreement and lives only while the
agreement does (`agreement_state`), so withdrawing is one UPDATE and higher layers need no notice.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from idp.audit import events, log
from idp.estabs import authority
from idp.estabs.models import Membership
from idp.estabs.permissions import Action
from idp.foundation import clock, runtime
from idp.foundation.database import session
from idp.foundation.errors import BadRequest
from idp.partners import registry
from idp.partners.snapshots import AnyClient
from idp.sharing import agreement_state, agreements, mis, protected_data, receipts
from idp.sharing.agreement_state import AgreementState, is_in_force, state
from idp.sharing.agreements import Actor, ChangedMeanwhile, NothingShared
from idp.sharing.models import Authorisation, Decision

__all__ = [
    "Actor", "AgreementState", "ChangedMeanwhile", "NothingShared", "Proposal", "agreement_in_force", "change",
    "covers", "current", "default_end", "end_for_server", "give", "history", "is_in_force", "last_withdrawn", "pause",
    "proposal", "refuse", "resume", "state", "withdraw",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a page puts to a school: `required` comes with agreeing, `optional` is theirs to tick."""

    required: frozenset[str]
    optional: frozenset[str]
    ticked: frozenset[str]
    """Of the optional ones, those the school agreed to before."""
    is_paused: bool = False
    """Whether what the school agreed to before is paused: agreeing resumes it."""

    @property
    def offered(self) -> frozenset[str]:
        """All of it; to be handed to `give`."""
        return self.required | self.optional


def covers(agreement: Authorisation | AgreementState, requested: frozenset[str], client: AnyClient) -> bool:
    """Whether `agreement` already answers a request for `requested`, so that the school need not be asked again.

    It does when everything asked for was put to the school at that decision (`offered`), and whatever of it the
    client requires was agreed to. An optional area that the school left out is thus an answer, not a gap:
    it is not granted, and no sign-in asks about it again. A scope that the client has come to ask for or require since
    is a new question.
    """
    return requested <= agreement.offered and requested & client.required_scopes <= agreement.scopes


def agreement_in_force(estab_id: str, client_id: str, requested: frozenset[str]) -> AgreementState | None:
    """The agreement in force now that covers `requested`, or None: then the school has to be asked.

    It grants `requested & agreement.scopes`. `estab_id` is the estab's internal id.
    """
    client, agreement = registry.client(client_id), agreement_state.current(estab_id, client_id)
    if client is None or agreement is None or not agreement.is_in_force or not covers(agreement, requested, client):
        return None
    return agreement


def proposal(estab_id: str, client: AnyClient, requested: frozenset[str]) -> Proposal:
    """What to put to the school for a request of `requested`: that, and all it was asked about before.

    Agreeing replaces the former agreement by exactly what is ticked, so what stands is shown, and ticked, again.
    """
    previous = agreements.current(estab_id, client.id)
    offered = (requested | (previous.offered if previous else frozenset())) & client.scopes
    ticked = previous.scopes if previous else frozenset()
    required, optional = offered & client.required_scopes, offered & client.optional_scopes
    is_paused = previous is not None and previous.state == "paused"
    return Proposal(required, optional, ticked=optional & ticked, is_paused=is_paused)


def default_end(client: AnyClient) -> datetime:
    """When an agreement that is given now ends: after the client's days, or the setting's."""
    return clock.now() + timedelta(days=client.authorisation_days or runtime.settings().sharing.default_days)


def give(
    client: AnyClient,
    scopes: frozenset[str],
    *,
    by: Membership,
    agreement_version: str,
    until: datetime,
    offered: frozenset[str] | None = None,
    second_step: bool = False,
) -> Authorisation:
    """Let `client` have exactly `scopes` until `until`; what was agreed before is superseded, not edited.

    `agreement_version` is that of the partner's data sharing agreement that `by` was shown, `offered` what they
    could choose from (`Proposal.offered`; `scopes` alone if not told), `second_step` whether `by` signed in with
    one. Every owner gets a receipt. Raises `NotPermitted`, `SchoolCannotAct`, `SecondStepNeeded`, `MisUnknown`,
    `MisNotAccepted`, `ChangedMeanwhile`; `BadRequest` for scopes that were not on offer and for required ones left out.
    """
    offered = scopes if offered is None else offered
    authority.check_and_lock(by, Action.AUTHORISE)
    protected_data.check(scopes, second_step=second_step)
    protected_data.check_rule(by.estab, second_step=second_step)
    mis.check(by.estab, client)
    if not scopes <= offered <= client.scopes:
        raise BadRequest(reason=f"{client.id} was given {sorted(scopes - client.scopes & offered)} unasked")
    if missing := offered & client.required_scopes - scopes:
        raise BadRequest("This service needs every area that is marked as required.", reason=str(sorted(missing)))
    superseded = agreements.end(by.estab_id, client.id, superseded_at=clock.now())
    authorisation = agreements.insert(
        client.id, by, superseded, scopes=scopes, offered=offered, agreement=agreement_version, until=until,
        paused_at=None,
        **agreements.considered_columns(client, superseded, offered=offered, version=agreement_version),
    )  # fmt: skip
    agreements.record(events.SHARING_CHANGED if superseded else events.SHARING_GIVEN, authorisation, by)
    receipts.send("sharing_receipt", authorisation, client, by, replaces=superseded is not None)
    return authorisation


def change(
    estab_id: str, client_id: str, scopes: frozenset[str], *, by: Membership, second_step: bool = False
) -> Authorisation:
    """Replace what the client may have by `scopes`, within what was offered; agreement, end and pause stay.

    For the school's own pages, where areas are ticked and unticked. Areas that were agreed to before stay without a
    second step. Raises the errors of `give`, and `NothingShared`.
    """
    agreements.check_and_lock(estab_id, by)
    client = registry.find(client_id)
    before = agreements.end(estab_id, client_id, superseded_at=clock.now())
    if before is None and agreements.current(estab_id, client_id) is not None:
        raise ChangedMeanwhile(reason=f"{estab_id} and {client_id}")
    if before is None or before.until <= clock.now():
        raise NothingShared(reason=f"{estab_id} and {client_id}")
    if not scopes <= before.offered & client.scopes or before.scopes & client.required_scopes - scopes:
        raise BadRequest(reason=f"{sorted(scopes)} is not a choice within what was offered by {client_id}")
    protected_data.check(scopes - before.scopes, second_step=second_step)
    given = agreements.insert(
        client_id, by, before, scopes=scopes, offered=before.offered, agreement=before.agreement,
        until=before.until, paused_at=before.paused_at, reminded_days=before.reminded_days,
        **agreements.unchanged_review_columns(before),
    )  # fmt: skip
    agreements.record(events.SHARING_CHANGED, given, by)
    receipts.send("sharing_receipt", given, client, by, replaces=True)
    return given


def refuse(client: AnyClient, scopes: frozenset[str], *, by: Membership) -> None:
    """Record that `by` declined to share `scopes`. It ends no agreement: `withdraw` does that."""
    agreements.add_to_history("refused", by, client_id=client.id, authorisation_id=None, scopes=scopes)
    log.record(events.SHARING_REFUSED, by=by.person_id, estab=by.estab_id, client=client.id, scopes=scopes)


def withdraw(estab_id: str, client_id: str, *, by: Membership) -> Authorisation:
    """Stop sharing, at once and for good: tokens issued under the agreement are refused from now on.

    Owners are told by mail, also that the partner keeps what it has received already. Raises `NothingShared`.
    """
    agreements.check_and_lock(estab_id, by)
    ended = None
    while ended is None and agreements.current(estab_id, client_id) is not None:  # again, if one came meanwhile
        ended = agreements.end(estab_id, client_id, withdrawn_at=clock.now(), withdrawn_by=by.person_id)
    if ended is None:
        raise NothingShared(reason=f"{estab_id} and {client_id}")
    agreements.record(events.SHARING_WITHDRAWN, ended, by)
    receipts.send("sharing_stopped", ended, registry.find(client_id), by)
    return ended


def end_for_server(estab_id: str, client_id: str, *, by: Membership | Actor) -> None:
    """End the agreement with the client of a server that is removed; the estab is locked. None may be in force."""
    agreement = agreements.current(estab_id, client_id)
    if agreement is None or not agreement.is_of_server:
        return
    ended = agreements.end(estab_id, client_id, only=agreement.id, withdrawn_at=clock.now(), withdrawn_by=by.person_id)
    if ended is not None:
        agreements.record(events.SHARING_WITHDRAWN, ended, by)
        receipts.send("sharing_stopped", ended, registry.find(client_id), by)


def pause(estab_id: str, client_id: str, *, by: Membership) -> Authorisation:
    """Stop sharing until `resume`. Raises `NothingShared`, also of one that is paused or has expired."""
    return _set_paused(estab_id, client_id, events.SHARING_PAUSED, by, paused=True)


def resume(estab_id: str, client_id: str, *, by: Membership) -> Authorisation:
    """Continue sharing after `pause`. Raises `NothingShared`, also of one that is not paused or has expired."""
    return _set_paused(estab_id, client_id, events.SHARING_RESUMED, by, paused=False)


def current(estab_id: str) -> list[Authorisation]:
    """The school's agreements that are active, paused or expired (`Authorisation.state`), newest first."""
    statement = select(Authorisation).where(
        Authorisation.estab_id == estab_id,
        Authorisation.withdrawn_at.is_(None),
        Authorisation.superseded_at.is_(None),
    )
    return list(session().scalars(statement.order_by(Authorisation.given_at.desc(), Authorisation.id)))


def last_withdrawn(estab_id: str, client_id: str) -> Authorisation | None:
    """The agreement with the client that the school withdrew last; None where it never did."""
    between = Authorisation.estab_id == estab_id, Authorisation.client_id == client_id
    withdrawn = select(Authorisation).where(*between, Authorisation.withdrawn_at.is_not(None))
    return session().scalar(withdrawn.order_by(Authorisation.withdrawn_at.desc(), Authorisation.id).limit(1))


def history(estab_id: str, *, limit: int = 200) -> list[Decision]:
    """What was decided in the school's name, newest first."""
    statement = select(Decision).where(Decision.estab_id == estab_id).order_by(Decision.at.desc(), Decision.id.desc())
    return list(session().scalars(statement.limit(limit)))


def _set_paused(estab_id: str, client_id: str, event: str, by: Membership, *, paused: bool) -> Authorisation:
    agreements.check_and_lock(estab_id, by)
    is_in_other_state = Authorisation.paused_at.is_(None) if paused else Authorisation.paused_at.is_not(None)
    conditions = Authorisation.current(estab_id, client_id), is_in_other_state, Authorisation.until > clock.now()
    statement = (
        update(Authorisation)
        .where(*conditions)
        .values(paused_at=clock.now() if paused else None, changed_at=clock.now())
    )
    authorisation_id = None
    # A change at the same time may have replaced the row, as in `withdraw`.
    while authorisation_id is None and session().scalar(select(Authorisation.id).where(*conditions)):
        authorisation_id = session().scalar(statement.returning(Authorisation.id))
    if authorisation_id is None:
        raise NothingShared(reason=f"{estab_id} and {client_id}, {event}")
    agreement = session().get_one(Authorisation, authorisation_id, populate_existing=True)
    agreements.record(event, agreement, by)
    receipts.send("sharing_paused" if paused else "sharing_resumed", agreement, registry.find(client_id), by)
    return agreement
