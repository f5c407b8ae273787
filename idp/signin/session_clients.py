"""Clients that hold an ID Token of a browser session, and their logout events (Back-Channel Logout 1.0)."""

from sqlalchemy import select, update

from idp.foundation import clock, inserts
from idp.foundation.database import session
from idp.outbox import post
from idp.partners import registry
from idp.signin.models import SessionClient

LOGOUT = "backchannel_logout"
"""The name of the logout event; `oidc.tokens.logout_token` makes its token."""


def add(sid: str, client_id: str) -> None:
    """Record that the client receives an ID Token of the session `sid`."""
    inserts.insert_if_absent(SessionClient, sid=sid, client_id=client_id, session=sid, since=clock.now())


def sids(sid: str, client_id: str) -> list[str]:
    """The sids in the ID Tokens that the client received of this session, and of those that were carried over to it."""
    statement = select(SessionClient.sid).where(SessionClient.session == sid, SessionClient.client_id == client_id)
    return list(session().scalars(statement))


def carry_over(before: str, after: str) -> None:
    """Move the session's clients to the session of a new sign-in by the same person in the same browser."""
    statement = update(SessionClient).where(SessionClient.session == before).values(session=after)
    session().execute(statement.execution_options(synchronize_session=False))


def notify_ended(sid: str, person_id: str) -> None:
    """Post one event for each client of the session that registered a back-channel logout address."""
    for row in session().scalars(select(SessionClient).where(SessionClient.session == sid)):
        client = registry.client(row.client_id)
        if client is not None and client.backchannel_logout_uri:
            post.event(
                LOGOUT, to=client.backchannel_logout_uri, client=client.id, client_id=client.id, person=person_id,
                sid=row.sid,
            )  # fmt: skip
