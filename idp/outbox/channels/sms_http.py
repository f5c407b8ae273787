"""Hand a text message to an HTTP gateway: a POST of `{"to", "from", "text"}` as JSON, with a bearer token."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from idp.foundation.settings import Settings
from idp.foundation.web import fetch
from idp.outbox.letter import Later, Letter, Refused, Unreachable


@contextmanager
def opened(settings: Settings) -> Iterator[Callable[[Letter], None]]:
    """The gateway of `sms.gateway_url`; the message's id goes along, so that one sent twice can be known."""
    sms, rules = settings.sms, fetch.for_operator(settings.fetch)

    def send(letter: Letter) -> None:
        body = json.dumps({"to": letter.to, "from": sms.sender, "text": letter.text}).encode()
        headers = {"Idempotency-Key": letter.id}
        if token := sms.gateway_token.get_secret_value():
            headers["Authorization"] = f"Bearer {token}"
        try:
            response = fetch.post(sms.gateway_url, rules, body=body, content_type="application/json", headers=headers)
        except fetch.FetchFailed as fault:
            raise Unreachable("the gateway does not answer") from fault
        _check_status(response.status)

    yield send


def _check_status(status: int) -> None:
    """Take what the gateway answered for what it means to this message; ours to mend is not the message's fault."""
    if 200 <= status < 300:
        return
    why = f"the gateway answered {status}"
    if status in {401, 403, 404, 405}:
        raise Unreachable(f"{why}: check sms.gateway_url and sms.gateway_token", code=status)
    if status in {408, 425, 429} or not 400 <= status < 500:
        raise Later(why, code=status)
    raise Refused(why, code=status)
