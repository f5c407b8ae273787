"""Where a partner stands on the way from nothing to a live application, read from what has happened."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from idp.developers import sandbox
from idp.estabs import fictional
from idp.foundation.database import session
from idp.partners import milestones, registration_requests
from idp.partners.models import Client
from idp.signin.models import Developer
from idp.xporter import reads

_DECLINED: Final = frozenset({"declined", "withdrawn"})


@dataclass(frozen=True, slots=True)
class Step:
    """One step."""

    name: str
    title: str
    is_done: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """The steps in their order."""

    application: Client | None
    """The sandbox application that has reached most steps; None before the first is made."""
    has_school: bool
    """Whether there is a fictional school to sign in with."""
    steps: tuple[Step, ...]

    @property
    def next(self) -> Step | None:
        """The first that is not done."""
        return next((step for step in self.steps if not step.is_done), None)


def for_partner(developer: Developer) -> Progress:
    """The progress of the developer's partner."""
    statement = select(Client).where(Client.partner_id == developer.partner_id, Client.is_sandbox, Client.enabled)
    applications = session().scalars(statement.order_by(Client.created_at.desc(), Client.id)).all()
    application, reached = None, frozenset[str]()
    for candidate in applications:
        candidate_reached = _reached_milestones(candidate)
        if application is None or len(candidate_reached) > len(reached):
            application, reached = candidate, candidate_reached
    requests = registration_requests.list_for_partner(developer.partner_id)
    has_asked = any(request.state not in _DECLINED for request in requests)
    steps = (
        Step("application", "Make a sandbox application", application is not None),
        Step("address", "Register its URI", "address" in reached),
        Step("sign-in", "Sign in to it with a fictional school", "sign-in" in reached),
        Step("token", "Get a first token", "token" in reached),
        Step("data", "Read data with it", "data" in reached),
        Step("live", "Ask to go live", has_asked),
    )
    return Progress(application, bool(fictional.list_for_partner(developer.partner_id)), steps)


def _reached_milestones(client: Client) -> frozenset[str]:
    reached = frozenset(milestones.list_for_client(client.id))
    if any(uri != sandbox.try_it_url() for uri in client.redirect_uris):
        reached |= {"address"}
    return reached | {"data"} if reads.has_any(client.id) else reached
