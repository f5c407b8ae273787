"""Push an event to its client by a POST: 2xx is done, 400 is final, anything else is tried again.

The rule of OpenID Connect Back-Channel Logout 1.0 §2.8 and RFC 8935 §2.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from idp.foundation.settings import Settings
from idp.foundation.web import fetch
from idp.outbox.letter import Letter, PermanentFailure, TemporaryFailure


@contextmanager
def sender(settings: Settings) -> Iterator[Callable[[Letter], None]]:
    """A function that pushes an event. Each event has an address of its own, so no connection is kept."""

    def push(letter: Letter) -> None:
        body = letter.text.encode("ascii")
        try:
            rules = fetch.for_partner(settings.fetch)
            response = fetch.post(letter.to, rules, body=body, content_type=letter.content_type)
        except fetch.FetchFailed as error:
            raise TemporaryFailure(f"not delivered: {error}") from error
        if response.status == 400:
            raise PermanentFailure("the client answered 400: it does not accept it", code=400)
        if not 200 <= response.status < 300:
            raise TemporaryFailure(f"the client answered {response.status}", code=response.status)

    yield push
