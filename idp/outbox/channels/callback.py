"""What a provider of text messages sends back about one, and how its bearer token and its JSON are read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from idp.foundation import crypto
from idp.foundation.errors import BadRequest, Refusal

DeliveryStatus = Literal["delivered", "failed", "underway"]


class NotAuthentic(Refusal):
    """The callback does not prove that it is the provider's."""

    code, status, title = "not_authentic", 401, "Not authentic"
    message = "The signature or the bearer token is missing or wrong."


class Unreadable(BadRequest):
    """The callback is from the provider, but does not have the form that it documents."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A request of a provider. `url` is ours as the settings define it, never from the request's `Host`."""

    url: str
    message_id: str
    """From the URL; empty where the provider names the message in the body."""
    headers: Mapping[str, str]
    form: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the message with our id. `reason` is the provider's word for a failure."""

    message_id: str
    status: DeliveryStatus
    reason: str = ""


def require_bearer(callback: Callback, token: str) -> None:
    """Raise `NotAuthentic` unless the callback has this bearer token. An empty token is never accepted."""
    sent = callback.headers.get("Authorization", "")
    if not token or not crypto.constant_time_compare(sent, f"Bearer {token}"):
        raise NotAuthentic(reason="bearer token")


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; an empty one where there is none."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def text_of(parsed: Mapping[str, Any], name: str) -> str:
    """The string with this name; empty where there is none, or something else."""
    value = parsed.get(name)
    return value if isinstance(value, str) else ""
