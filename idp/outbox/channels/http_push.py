"""Push an event to its client by a POST: 2xx is done, 400 is final, anything else is retried.

The rule of OpenID Connect Back-Channel Logout 1.0 §2.8 and RFC 8935 §2.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from idp.foundation.settings import Settings
from idp.foundation.web import fetch
from idp.outbox.outgoing import OutgoingMessage, PermanentFailure, TemporaryFailure


@contextmanager
def sender(settings: Settings) -> Iterator[Callable[[OutgoingMessage], None]]:
    """A function that pushes an event. Each event has a URL of its own, so no connection is kept."""

    def push(outgoing: OutgoingMessage) -> None:
        body = outgoing.text.encode("ascii")
        try:
            rules = fetch.for_partner(settings.fetch)
            response = fetch.post(outgoing.to, rules, body=body, content_type=outgoing.content_type)
        except fetch.FetchFailed as error:
            raise TemporaryFailure(f"not delivered: {error}") from error
        if response.status == 400:
            raise PermanentFailure("the client returned 400: it does not accept it", code=400)
        if not 200 <= response.status < 300:
            raise TemporaryFailure(f"the client returned {response.status}", code=response.status)

    yield push
