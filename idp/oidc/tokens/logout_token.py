"""Logout tokens, which notify a client that a browser session has ended (OpenID Connect Back-Channel Logout 1.0 §2.4).

`signin` posts an event for each client that was given an ID token in the session; the worker sends it, and the
token is made here at that moment, because it lives for two minutes and delivery may take a day.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from idp.foundation import clock, runtime
from idp.foundation.ports import EventRequest
from idp.keys import ring
from idp.oidc import claims
from idp.oidc.clients import oauth_client
from idp.outbox.outgoing import PermanentFailure

TYP: Final = "logout+jwt"
EVENT_TYPE: Final = "http://schemas.openid.net/event/backchannel-logout"
"""The member of `events` (Back-Channel Logout 1.0 §2.4)."""
LIFETIME_SECONDS: Final = 120
"""How long a logout token is valid."""
CONTENT_TYPE: Final = "application/x-www-form-urlencoded"


def request(message_id: str, _url: str, facts: Mapping[str, Any]) -> EventRequest:
    """The request for an event, to the address that the client has now.

    The `jti` is the message's id, so that a client can recognise one that it gets twice. Raises `PermanentFailure` if
    the client is disabled, or no longer has an address.
    """
    now = clock.timestamp()
    client = oauth_client.find(facts["client_id"])
    if client is None:
        raise PermanentFailure("the client is disabled")
    if not (url := client.registered.backchannel_logout_uri):
        raise PermanentFailure("the client has no address for it any more")
    payload = {
        "iss": runtime.settings().server.issuer, "aud": client.id, "iat": now, "exp": now + LIFETIME_SECONDS,
        "jti": message_id,
        "sub": claims.subject(client, facts["person"]), "sid": claims.client_sid(client, facts["sid"]),
        "events": {EVENT_TYPE: {}},
    }  # fmt: skip
    body = urlencode({"logout_token": ring.sign(payload, alg=client.id_token_alg, typ=TYP)})
    return EventRequest(url, body, CONTENT_TYPE)
