"""The data of a school's first page: tasks, services that receive data, and recent decisions."""

from dataclasses import dataclass, field

from sqlalchemy import select

from idp.estabs.models import Administrator, Membership
from idp.estabs.permissions import Action
from idp.foundation import dates, scopes
from idp.foundation.database import session
from idp.foundation.scopes import Scope
from idp.foundation.web import contact_fields
from idp.manage import endpoint_page
from idp.onboarding import join, review
from idp.partners import mis_catalogue
from idp.sharing import authorise, closures, releases, renewal, reviews
from idp.sharing.closures import Closing
from idp.sharing.models import Authorisation, Decision
from idp.sharing.reviews import Review
from idp.signin import second_step_offer
from idp.xporter import endpoints
from idp.xporter.models import Endpoint

MAX_DECISIONS = 10
"""How many decisions the first page shows."""

DECISIONS = {
    "given": "Authorised", "refused": "Refused", "changed": "Changed", "renewed": "Renewed",
    "review_declined": "Declined more", "paused": "Paused", "resumed": "Resumed", "withdrawn": "Stopped",
    "moved": "Moved to another school", "unsupported": "Not receiving: another system",
    "supported": "Works with your system again",
}  # fmt: skip
DECISIONS_ABOUT_SERVER = {"given": "Connected", "withdrawn": "Disconnected"}


@dataclass(frozen=True, slots=True)
class Task:
    """A task for this person: what to do, why, and the link."""

    title: str
    reason: str
    label: str
    href: str
    not_now: str = ""
    """Where "Not now" is posted to; empty where the task cannot be put off."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A service and the data that it receives."""

    client_id: str
    name: str
    partner: str
    areas: list[Scope]
    since: str
    by: str
    until: str
    state: str
    """`active`, `paused`, `expired`; `waiting` while data is withheld until the school is verified; `unsupported` where
    the service does not work with the school's system."""
    is_server: bool
    """Whether it is the program on the school's server, which sends data and receives none."""
    has_choice: bool
    """Whether the school may choose some of the areas."""
    can_renew: bool
    """Whether it has ended, or ends soon, and can be renewed."""
    review: Review | None
    """What it asks for in addition, until the school has decided about that."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The areas that a service needs, and those that the school may choose."""

    required: frozenset[str]
    optional: frozenset[str]
    ticked: frozenset[str]

    @property
    def fixed(self) -> list[Scope]:
        """The required areas of school data."""
        return scopes.in_order(scopes.filter_by_kind("data", self.required))

    @property
    def areas(self) -> list[Scope]:
        """The areas that the school may choose, specially protected ones last."""
        return scopes.ordinary_first(self.optional)

    def chosen(self, names: list[str]) -> frozenset[str]:
        """The optional areas among those that a form sent."""
        return self.optional & frozenset(names)


@dataclass(frozen=True, slots=True)
class Overview:
    """All data of the page. Dates are formatted."""

    member: Membership
    call_by: str | None
    """When our staff will have called; None if they have, or need not."""
    system: str
    """The name of the school's management information system."""
    server: str
    """The state of the school's server, in words."""
    tasks: list[Task] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)
    servers: list[Shared] = field(default_factory=list)
    """The authorisation of the program on the school's server, which is not a service that receives data."""
    closing: Closing | None = None
    """What the national register says, if the school has closed there or is about to."""
    decisions: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Day, what, service, person."""


def build_overview(member: Membership) -> Overview:
    """The overview of the school, for this person."""
    estab = member.estab
    shared = [to_shared(agreement) for agreement in authorise.current(estab.id)]
    pending_review = review.find_by_estab(estab) if estab.state == "unverified" else None
    return Overview(
        member=member,
        call_by=dates.weekday_and_day(pending_review.due_at)
        if pending_review and pending_review.decided_at is None
        else None,
        system=mis_catalogue.name(estab.mis) if estab.mis else "Not known yet",
        server=_server_text(estab.id),
        tasks=_tasks(member, shared),
        shared=[service for service in shared if not service.is_server],
        servers=[service for service in shared if service.is_server],
        closing=closures.closing_of(estab.school),
        decisions=_decisions(estab.id),
    )


def _server_text(estab_id: str) -> str:
    """The name of the school's server and its state."""
    page = endpoint_page.build_page(endpoints.current(estab_id))
    return "Not connected yet" if page is None else f"{page.name}: {page.state_text.lower()}"


def shared_with(member: Membership, client_id: str) -> Shared | None:
    """What one service receives of the school; None if nothing."""
    agreements = (agreement for agreement in authorise.current(member.estab_id) if agreement.client_id == client_id)
    return next((to_shared(agreement) for agreement in agreements), None)


def choice_of(member: Membership, client_id: str) -> Choice | None:
    """The choice that the school has for a service; None if there is none."""
    agreement = next(
        (candidate for candidate in authorise.current(member.estab_id) if candidate.client_id == client_id), None
    )
    if agreement is None or not agreement.has_choice:
        return None
    client, optional = agreement.client, agreement.offered & agreement.client.optional_scopes
    return Choice(agreement.scopes & client.required_scopes, optional, ticked=optional & agreement.scopes)


def _tasks(member: Membership, shared: list[Shared]) -> list[Task]:
    tasks = [
        Task(
            f"{join_request.name} asks to join",
            f"{join_request.masked_email} would like to act for your school too.",
            "Decide",
            f"/join/{join_request.id}",
        )
        for join_request in join.requests_for_owner(member)
    ]
    tasks += [
        Task(
            f"{offer.estab.name} has closed, and your school follows it",
            f"What it shared with {_join_names(offer.names)} can continue here, if you decide that it should.",
            "Look at it and decide",
            f"/manage/continue/{offer.id}",
        )
        for offer in releases.offers(member)
    ]
    endpoint = endpoints.current(member.estab_id)
    if endpoint is not None:
        tasks = _server_tasks(endpoint, member) + tasks
    if member.may(Action.AUTHORISE):
        tasks += _sharing_tasks(shared)
    person = member.person
    if person.mobile_confirmed_at is None:
        number = contact_fields.readable_phone_number(person.mobile)
        reason = f"Only a confirmed number can be used to set a new password. Yours is {number}."
        tasks.append(Task("Confirm your mobile number", reason, "Confirm", "/mobile/confirm?next=/manage"))
    if second_step_offer.is_due(person):
        reason = (
            "With a second step, someone who learns your password still cannot sign in as you. It takes two minutes."
        )
        path = "/manage/security"
        tasks.append(Task("Set up a second step", reason, "Set it up", f"{path}/app", not_now=f"{path}/not-now"))
    if member.may(Action.AUTHORISE) and endpoint is None:
        reason = "Services receive nothing until it is running on your school's server."
        tasks.append(Task("Install XporterOnDemand", reason, "How to install it", "/register/next-steps"))
    return tasks


def _server_tasks(endpoint: Endpoint, member: Membership) -> list[Task]:
    """What is to be done about the school's server."""
    school_system, tasks = member.estab.mis, []
    if endpoint.state == "lost":
        reason = (
            f"{endpoint.name} last reported on {dates.day_and_time(endpoint.heard_at)}. Services keep what they have, "
            "and it is no longer updated."
        )
        tasks.append(Task("We no longer hear from your school's server", reason, "See what to do", "/manage/endpoint"))
    if school_system not in {None, endpoint.mis} and member.may(Action.NAME_MIS):
        old, new = mis_catalogue.name(school_system), mis_catalogue.name(endpoint.mis)
        reason = (
            f"{endpoint.name} reads {new}, and your school's system is recorded as {old}. If your school has changed "
            f"to {new}, please say so. If not, the server has to be connected again, to read {old}."
        )
        tasks.append(Task("Which system does your school use?", reason, "Say which one it is", "/manage/system"))
    return tasks


def _join_names(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _sharing_tasks(shared: list[Shared]) -> list[Task]:
    """What waits for a decision about services. An agreement that ended is offered at its own place on the page."""
    reviews = [
        Task(
            f"{service.name} {'asks for more' if service.review.is_about_scopes else 'has a new agreement'}",
            "What your school agreed to continues as it is. You can agree to what is new, or decline.",
            "Look at it and decide",
            f"/manage/sharing/{service.client_id}/review",
        )
        for service in shared
        if service.review is not None
    ]
    return reviews + [
        _renewal_task(service) for service in shared if service.can_renew and service.state in {"active", "waiting"}
    ]


def _renewal_task(service: Shared) -> Task:
    if service.is_server:
        title = f"The connection of your school's server ends on {service.until}"
        reason = "After that day it sends nothing more, and what services have is no longer updated. You can renew it."
    else:
        title = f"Sharing with {service.name} ends on {service.until}"
        reason = "After that day it receives nothing more. If your school still uses it, you can renew the agreement."
    return Task(title, reason, "Look at it and renew", f"/manage/sharing/{service.client_id}/renew")


def to_shared(agreement: Authorisation) -> Shared:
    """The agreement as pages show it."""
    areas = scopes.in_order(scopes.filter_by_kind("data", agreement.scopes))
    # The server's tokens have expired too, so it needs a new code.
    is_over = agreement.is_of_server and agreement.state == "expired"
    return Shared(
        client_id=agreement.client_id, name=agreement.client.client_name, partner=agreement.client.partner.name,
        areas=areas, since=dates.day(agreement.given_at), by=agreement.giver.name, until=dates.day(agreement.until),
        state=agreement.sharing_state, is_server=agreement.is_of_server, has_choice=agreement.has_choice,
        can_renew=renewal.is_due(agreement) and not is_over, review=reviews.find_pending(agreement),
    )  # fmt: skip


def _decisions(estab_id: str) -> list[tuple[str, str, str, str]]:
    latest = authorise.history(estab_id, limit=MAX_DECISIONS)
    names = _names({decision.by for decision in latest})
    return [_decision_row(decision, names.get(decision.by, "")) for decision in latest]


def _decision_row(decision: Decision, person: str) -> tuple[str, str, str, str]:
    text, name = DECISIONS[decision.what], decision.client.client_name
    if decision.is_of_server:
        text, name = DECISIONS_ABOUT_SERVER.get(decision.what, text), "Your school's server"
    return dates.day(decision.at), text, name, person


def _names(ids: set[str]) -> dict[str, str]:
    rows = session().execute(select(Administrator.id, Administrator.name).where(Administrator.id.in_(ids)))
    return {row.id: row.name for row in rows}
