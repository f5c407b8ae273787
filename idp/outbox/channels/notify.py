"""Send text messages by GOV.UK Notify's API (version 2), and read its delivery receipts.

The text comes from a template of the service in Notify: one whose whole text is `((message))`. Each request has a JWT,
signed with the secret half of the API key. Our message's id is sent as the reference, which receipts return.
docs/decisions says why Notify's own client is not used.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from joserfc import jwt
from joserfc.jwk import OctKey

from idp.foundation import clock
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
from idp.outbox.outgoing import NotSent, OutgoingMessage, PermanentFailure, ServerUnreachable, TemporaryFailure

API_URL: Final = "https://api.notifications.service.gov.uk"
UUID_LENGTH: Final = 36
STATUSES: Final[dict[str, DeliveryStatus]] = {
    "delivered": "delivered",
    "permanent-failure": "failed", "temporary-failure": "failed", "technical-failure": "failed",
    "created": "underway", "sending": "underway", "pending": "underway", "sent": "underway",
}  # fmt: skip
"""By Notify's status. A temporary failure is final: the phone was off or out of reach for three days."""


@contextmanager
def sender(settings: Settings) -> Iterator[Callable[[OutgoingMessage], str | None]]:
    """The service whose API key the settings have; sending returns the id of Notify's notification."""
    sms, rules = settings.sms, fetch.for_operator(settings.fetch)
    url = f"{(sms.gateway_url or API_URL).rstrip('/')}/v2/notifications/sms"

    def send(outgoing: OutgoingMessage) -> str | None:
        notification = {
            "phone_number": outgoing.to, "template_id": sms.template, "reference": outgoing.id,
            "personalisation": {"message": outgoing.text},
        }  # fmt: skip
        if sms.sender:
            notification["sms_sender_id"] = sms.sender
        headers = {"Authorization": f"Bearer {_token(sms.gateway_token.get_secret_value())}"}
        body = json.dumps(notification).encode("ascii")
        try:
            response = fetch.post(url, rules, body=body, content_type="application/json", headers=headers)
        except fetch.FetchFailed as error:
            raise ServerUnreachable("GOV.UK Notify does not respond") from error
        if not 200 <= response.status < 300:
            raise _error(response)
        return text_of(json_object(response.body), "id") or None

    yield send


def read_receipt(callback: Callback, sms: Sms) -> Receipt:
    """The status of a message. Raises `NotAuthentic` and `Unreadable`."""
    require_bearer(callback, sms.receipt_token.get_secret_value())
    receipt = json_object(callback.body)
    message_id, status = text_of(receipt, "reference"), STATUSES.get(text_of(receipt, "status"))
    if not message_id or status is None:
        raise Unreadable(reason="no reference, or an unknown status")
    return Receipt(message_id, status, f"GOV.UK Notify: {text_of(receipt, 'status')}")


def _token(api_key: str) -> str:
    """A JWT for one request. An API key is a name, the service's id and the secret, joined by hyphens."""
    service, secret = api_key[-2 * UUID_LENGTH - 1 : -UUID_LENGTH - 1], api_key[-UUID_LENGTH:]
    claims = {"iss": service, "iat": clock.timestamp()}
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, OctKey.import_key(secret))


def _error(response: fetch.FetchResponse) -> NotSent:
    """What a refusal means to this message: only a bad number is the message's fault, and so final."""
    errors = json_object(response.body).get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    message = f"GOV.UK Notify returned {response.status} {text_of(first, 'error')[:50]}".rstrip()
    if response.status == 400 and "phone_number" in text_of(first, "message"):
        return PermanentFailure(f"{message}: the number is not valid", code=400)
    if response.status in {400, 401, 403, 404, 405}:
        return ServerUnreachable(f"{message}: check the settings [sms], and this machine's clock", code=response.status)
    return TemporaryFailure(message, code=response.status)
