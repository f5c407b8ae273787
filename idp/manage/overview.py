"""What a school's first page says: what needs doing, who receives what, what was decided lately."""

from dataclasses import dataclass, field

from sqlalchemy import select

from idp.estabs.models import Administrator
from idp.foundation import dates, scopes
from idp.foundation.database import session
from idp.foundation.scopes import Scope
from idp.onboarding import forms, join, review
from idp.sharing import authorise
from idp.sharing.models import Authorisation

LATELY = 10
"""Decisions on the first page."""

DECISIONS = {
    "given": "Authorised", "refused": "Refused", "changed": "Changed", "paused": "Paused", "resumed": "Resumed",
    "withdrawn": "Stopped",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """Something for this person to do: what, why, and where."""

    title: str
    why: str
    label: str
    href: str


@dataclass(frozen=True, slots=True)
class Shared:
    """A service, and what it has."""

    client_id: str
    name: str
    partner: str
    areas: list[Scope]
    since: str
    by: str
    until: str
    state: str
    """`active`, `paused`, `expired`; `waiting` while data is withheld until the school is verified."""
    has_choice: bool
    """Whether some of it is the school's to tick."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the school may leave out of what a service was offered, and what it may not."""

    required: frozenset[str]
    optional: frozenset[str]
    ticked: frozenset[str]

    @property
    def fixed(self) -> list[Scope]:
        """The school data that the service cannot do without."""
        return scopes.in_order(scopes.of_kind("data", self.required))

    @property
    def areas(self) -> list[Scope]:
        """What there is to tick, the specially protected last."""
        return scopes.ordinary_first(self.optional)

    def chosen(self, names: list[str]) -> frozenset[str]:
        """Of what a form sent, what there was to tick."""
        return self.optional & frozenset(names)


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the page shows. Days are in words."""

    person: Administrator
    call_by: str | None
    """Until when we will have called; None where we have, or need not."""
    tasks: list[Task] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)
    decisions: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Day, what, service, person."""


def of(person: Administrator) -> Overview:
    """The overview of the person's school, as far as it is theirs to see."""
    estab = person.estab
    waiting = review.of_estab(estab) if estab.state == "unverified" else None
    return Overview(
        person=person,
        call_by=dates.weekday(waiting.due_at) if waiting and waiting.decided_at is None else None,
        tasks=_tasks(person),
        shared=[_shared(agreed) for agreed in authorise.current(estab.id)],
        decisions=_decisions(estab.id),
    )


def shared_with(person: Administrator, client_id: str) -> Shared | None:
    """What one service has of the person's school; None where it has nothing."""
    found = (agreed for agreed in authorise.current(person.estab_id) if agreed.client_id == client_id)
    return next((_shared(agreed) for agreed in found), None)


def choice_of(person: Administrator, client_id: str) -> Choice | None:
    """What the person's school may tick for a service that it shares with; None where there is nothing to choose."""
    found = next((each for each in authorise.current(person.estab_id) if each.client_id == client_id), None)
    if found is None or not found.has_choice:
        return None
    put = authorise.proposal(person.estab_id, found.client, frozenset())
    return Choice(put.required, put.optional, put.ticked)


def _tasks(person: Administrator) -> list[Task]:
    tasks = [
        Task(
            f"{asks.name} asks to join",
            f"{asks.masked_email} would like to act for your school too.",
            "Decide",
            f"/join/{asks.id}",
        )
        for asks in join.waiting_for(person)
    ]
    if person.mobile_confirmed_at is None:
        number = forms.readable_mobile(person.mobile)
        why = f"Only a confirmed number can be used to set a new password. Yours is {number}."
        tasks.append(Task("Confirm your mobile number", why, "Confirm", "/mobile/confirm?next=/manage"))
    if person.may_authorise:
        why = (
            "Services receive nothing until it is running on your school's server. If it is running already, there is "
            "nothing more to do."
        )
        tasks.append(Task("Install XporterOnDemand", why, "How to install it", "/register/next-steps"))
    return tasks


def _shared(agreed: Authorisation) -> Shared:
    areas = scopes.in_order(scopes.of_kind("data", agreed.scopes))
    return Shared(
        client_id=agreed.client_id, name=agreed.client.client_name, partner=agreed.client.partner.name,
        areas=areas, since=dates.day(agreed.given_at), by=agreed.giver.name, until=dates.day(agreed.until),
        state="waiting" if agreed.is_withheld else agreed.state, has_choice=agreed.has_choice,
    )  # fmt: skip


def _decisions(estab_id: str) -> list[tuple[str, str, str, str]]:
    latest = authorise.history(estab_id, limit=LATELY)
    names = _names({decision.by for decision in latest})
    return [(dates.day(one.at), DECISIONS[one.what], one.client.client_name, names.get(one.by, "")) for one in latest]


def _names(ids: set[str]) -> dict[str, str]:
    found = session().execute(select(Administrator.id, Administrator.name).where(Administrator.id.in_(ids)))
    return {row.id: row.name for row in found}
