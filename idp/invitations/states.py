"""The state of an invitation, and whether its school is connected: computed only here, in the database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Exists, and_, case, exists, or_, select

from idp.estabs.models import Estab
from idp.foundation import clock
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.invitations.models import SchoolInvitation
from idp.sharing.models import Authorisation

WAITING_STATES: Final = ("sent", "opened", "forwarded")
"""The states in which the link of an invitation works, or worked until it was followed to the partner."""
UNANSWERED_STATES: Final = (*WAITING_STATES, "expired")
"""The states in which an invitation can be sent again or cancelled."""
MAX_PAGE_SIZE: Final = 200
"""The most invitations that one page of a list has."""

Cursor = tuple[datetime, str]
"""When the last invitation of a page was made, and its id; the next page begins after it."""


@dataclass(frozen=True, slots=True)
class Status:
    """An invitation and its state, for the partner that had it sent."""

    invitation: SchoolInvitation
    state: str
    """`sent`, `opened`, `forwarded`, `accepted`, `declined`, `expired` or `cancelled`."""

    @property
    def cursor(self) -> Cursor:
        """Its place in the list of its client."""
        return self.invitation.created_at, self.invitation.id


def find(client_id: str, invitation_id: str) -> Status:
    """An invitation of this client. Raises `NotFound`, also for those of others."""
    statement = select(SchoolInvitation, state()).where(
        SchoolInvitation.id == invitation_id, SchoolInvitation.client_id == client_id
    )
    row = session().execute(statement.execution_options(populate_existing=True)).one_or_none()
    if row is None:
        raise NotFound(reason=f"{client_id} has no invitation {invitation_id!r}")
    return Status(*row)


def list_for_client(
    client_id: str, *, after: Cursor | None = None, limit: int = 50, only: str | None = None
) -> list[Status]:
    """The invitations of a client in the order in which they were made, at most `limit`, with one statement.

    `after` is the `cursor` of the last one of the page before; `only` is a state.
    """
    statement = select(SchoolInvitation, state()).where(SchoolInvitation.client_id == client_id)
    if after is not None:
        made_at, last = after
        is_later = or_(
            SchoolInvitation.created_at > made_at,
            and_(SchoolInvitation.created_at == made_at, SchoolInvitation.id > last),
        )
        statement = statement.where(is_later)
    if only is not None:
        statement = statement.where(state() == only)
    statement = statement.order_by(SchoolInvitation.created_at, SchoolInvitation.id).limit(min(limit, MAX_PAGE_SIZE))
    return [Status(*row) for row in session().execute(statement.execution_options(populate_existing=True))]


def state() -> ColumnElement[str]:
    """The state of each row of `SchoolInvitation`, now.

    An agreement counts as its acceptance if it was given after the invitation was made, by whichever way the school
    came, unless our staff rejected the account that gave it. An earlier end is not undone: if a school declined and
    connects later, the invitation stays declined.
    """
    return case(
        (SchoolInvitation.cancelled_at.is_not(None), "cancelled"),
        (SchoolInvitation.declined_at.is_not(None), "declined"),
        (_has_agreement(Authorisation.given_at >= SchoolInvitation.created_at, Estab.state != "rejected"), "accepted"),
        (SchoolInvitation.expires_at <= clock.now(), "expired"),
        (SchoolInvitation.opened_at.is_not(None), "opened"),
        (SchoolInvitation.forwarded_at.is_not(None), "forwarded"),
        else_="sent",
    ).label("state")


def is_connected(invitation: SchoolInvitation) -> bool:
    """Whether the school has an agreement with the client that is in force or paused, and its account is verified.

    An agreement of an account that our staff have not verified does not count: a stranger may have registered it to
    keep the contact from answering.
    """
    in_force_or_paused = (
        Estab.state == "verified", Authorisation.withdrawn_at.is_(None), Authorisation.superseded_at.is_(None),
        Authorisation.until > clock.now(),
    )  # fmt: skip
    statement = select(_has_agreement(*in_force_or_paused)).where(SchoolInvitation.id == invitation.id)
    return bool(session().scalar(statement))


def _has_agreement(*conditions: ColumnElement[bool]) -> Exists:
    """Whether an estab of the invitation's school has an agreement with its client that meets these `conditions`."""
    return (
        exists()
        .where(
            Estab.school_id == SchoolInvitation.school_id, Authorisation.estab_id == Estab.id,
            Authorisation.client_id == SchoolInvitation.client_id, *conditions,
        )
        .correlate(SchoolInvitation)
    )  # fmt: skip
