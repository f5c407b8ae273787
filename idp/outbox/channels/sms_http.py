"""Hand a text message to an HTTP gateway: a POST of `{"to", "from", "text"}` as JSON, with a bearer token.

The gateway may report what became of it: a POST of `{"id", "status", "error"}` to `/receipts/sms`, with the bearer
token `sms.receipt_token`. `id` is the `Idempotency-Key` of our request, `status` is `delivered` or `failed`.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from idp.foundation.settings import Settings, Sms
from idp.foundation.web import fetch
from idp.outbox.channels.callback import (
    Callback,
    DeliveryStatus,
    Receipt,
    Unreadable,
    json_object,
    require_bearer,
    text_of,
)
from idp.outbox.outgoing import OutgoingMessage, PermanentFailure, ServerUnreachable, TemporaryFailure

STATUSES: Final[dict[str, DeliveryStatus]] = {"delivered": "delivered", "failed": "failed"}


@contextmanager
def sender(settings: Settings) -> Iterator[Callable[[OutgoingMessage], str | None]]:
    """The gateway of `sms.gateway_url`. The message's id is sent too, so that it recognises one that is sent twice.

    Sending returns the `id` of the gateway's response, if it has one.
    """
    sms, rules = settings.sms, fetch.for_operator(settings.fetch)

    def send(outgoing: OutgoingMessage) -> str | None:
        body = json.dumps({"to": outgoing.to, "from": sms.sender, "text": outgoing.text}).encode()
        headers = {"Idempotency-Key": outgoing.id}
        if token := sms.gateway_token.get_secret_value():
            headers["Authorization"] = f"Bearer {token}"
        try:
            response = fetch.post(sms.gateway_url, rules, body=body, content_type="application/json", headers=headers)
        except fetch.FetchFailed as error:
            raise ServerUnreachable("the gateway does not respond") from error
        _check_status(response.status)
        return text_of(json_object(response.body), "id") or None

    yield send


def read_receipt(callback: Callback, sms: Sms) -> Receipt:
    """The status of a message. Raises `NotAuthentic` and `Unreadable`."""
    require_bearer(callback, sms.receipt_token.get_secret_value())
    receipt = json_object(callback.body)
    message_id, status = text_of(receipt, "id"), STATUSES.get(text_of(receipt, "status"))
    if not message_id or status is None:
        raise Unreadable(reason="no id, or an unknown status")
    return Receipt(message_id, status, f"the gateway: {text_of(receipt, 'error') or 'no reason given'}")


def _check_status(status: int) -> None:
    """Raise the error that the gateway's response means. A fault in our settings is not permanent for the message."""
    if 200 <= status < 300:
        return
    message = f"the gateway returned {status}"
    if status in {401, 403, 404, 405}:
        raise ServerUnreachable(f"{message}: check sms.gateway_url and sms.gateway_token", code=status)
    if status in {408, 425, 429} or not 400 <= status < 500:
        raise TemporaryFailure(message, code=status)
    raise PermanentFailure(message, code=status)
