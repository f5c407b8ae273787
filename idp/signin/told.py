"""Which clients know of a browser session by an ID token, and telling them when it ends (Back-Channel Logout 1.0)."""

from sqlalchemy import select, update

from idp.foundation.database import session
from idp.outbox import post
from idp.partners import registry
from idp.signin.models import SessionClient

LOGOUT = "backchannel_logout"
"""The event's name; `oidc.backchannel` makes the token."""


def go_on(before: str, after: str) -> None:
    """The same person signed in again in the same browser: what clients were told of goes on, under another sid."""
    carried = update(SessionClient).where(SessionClient.session == before).values(session=after)
    session().execute(carried.execution_options(synchronize_session=False))


def ended(sid: str, person_id: str) -> None:
    """The session is over: post one event for each client that was told of it and wants to know."""
    for known in session().scalars(select(SessionClient).where(SessionClient.session == sid)):
        client = registry.client(known.client_id)
        if client is not None and client.backchannel_logout_uri:
            post.event(
                LOGOUT, to=client.backchannel_logout_uri, client=client.id, client_id=client.id, person=person_id,
                sid=known.sid,
            )  # fmt: skip
