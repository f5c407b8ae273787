"""Send text messages by Twilio's API (2010-04-01), or one that is compatible with it; read its signed status callbacks.

A message is a form, posted with basic authentication. The API has no idempotency key: a message whose response was lost
is sent again, with the same text. The URL for status callbacks names our message and is part of what is signed.
"""

import base64
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote, urlencode

from idp.foundation import crypto
from idp.foundation.settings import Settings, Sms
from idp.foundation.web import fetch
from idp.outbox.channels.callback import (
    Callback,
    DeliveryStatus,
    NotAuthentic,
    Receipt,
    Unreadable,
    json_object,
    text_of,
)
from idp.outbox.outgoing import NotSent, OutgoingMessage, PermanentFailure, ServerUnreachable, TemporaryFailure

API_URL: Final = "https://api.twilio.com"
RECEIPTS_PATH: Final = "/receipts/sms/"
"""The callback's path; our message's id is appended."""
SERVICE_PREFIX: Final = "MG"
"""The prefix of a messaging service's id; other senders are a number or a name."""
CONFIGURATION_ERRORS: Final = frozenset({20003, 20404, 21212, 21603, 21606, 21609, 21659, 21660, 21661})
"""Errors of account, sender or callback URL: nothing can be sent until an operator changes the settings."""
STATUSES: Final[dict[str, DeliveryStatus]] = {
    "delivered": "delivered", "read": "delivered",
    "undelivered": "failed", "failed": "failed", "canceled": "failed",
    "accepted": "underway", "scheduled": "underway", "queued": "underway", "sending": "underway", "sent": "underway",
}  # fmt: skip


@contextmanager
def sender(settings: Settings) -> Iterator[Callable[[OutgoingMessage], str | None]]:
    """The account that the settings name; sending returns the `sid` of Twilio's message."""
    sms, rules = settings.sms, fetch.for_operator(settings.fetch)
    account = quote(sms.account, safe="")
    url = f"{(sms.gateway_url or API_URL).rstrip('/')}/2010-04-01/Accounts/{account}/Messages.json"
    credentials = base64.b64encode(f"{sms.account}:{sms.gateway_token.get_secret_value()}".encode()).decode("ascii")

    def send(outgoing: OutgoingMessage) -> str | None:
        sender_parameter = "MessagingServiceSid" if sms.sender.startswith(SERVICE_PREFIX) else "From"
        callback = f"{settings.server.issuer}{RECEIPTS_PATH}{outgoing.id}"
        form = {"To": outgoing.to, sender_parameter: sms.sender, "Body": outgoing.text, "StatusCallback": callback}
        try:
            response = fetch.post(
                url, rules, body=urlencode(form).encode("ascii"), content_type="application/x-www-form-urlencoded",
                headers={"Authorization": f"Basic {credentials}", "Accept": "application/json"},
            )  # fmt: skip
        except fetch.FetchFailed as error:
            raise ServerUnreachable("Twilio does not respond") from error
        if not 200 <= response.status < 300:
            raise _error(response)
        return text_of(json_object(response.body), "sid") or None

    yield send


def read_receipt(callback: Callback, sms: Sms) -> Receipt:
    """The status of a message. Raises `NotAuthentic` and `Unreadable`."""
    signed = _signature(callback, sms.gateway_token.get_secret_value())
    if not crypto.constant_time_compare(callback.headers.get("X-Twilio-Signature", ""), signed):
        raise NotAuthentic(reason="signature")
    fields = dict(callback.form)
    status = STATUSES.get(fields.get("MessageStatus", ""))
    if status is None or not callback.message_id or len(fields) != len(callback.form):
        raise Unreadable(reason=f"MessageStatus {fields.get('MessageStatus', '')[:20]!r}")
    return Receipt(callback.message_id, status, f"Twilio's error {fields.get('ErrorCode') or 'is not named'}")


def _signature(callback: Callback, token: str) -> str:
    """HMAC-SHA-1 over the URL and the sorted fields, in base64, as Twilio defines it."""
    signed = callback.url + "".join(f"{name}{value}" for name, value in sorted(callback.form))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode("utf-8", "surrogatepass"), "sha1")).decode(
        "ascii"
    )


def _error(response: fetch.FetchResponse) -> NotSent:
    """The error that a refusal means. Twilio's text may contain the number, so only its code is recorded."""
    code = json_object(response.body).get("code")
    message = f"Twilio returned {response.status}" + (f", error {code}" if isinstance(code, int) else "")
    if response.status in {401, 403, 404, 405} or code in CONFIGURATION_ERRORS:
        return ServerUnreachable(f"{message}: check the settings [sms]", code=response.status)
    if response.status in {408, 425, 429} or not 400 <= response.status < 500:
        return TemporaryFailure(message, code=response.status)
    return PermanentFailure(message, code=response.status)
