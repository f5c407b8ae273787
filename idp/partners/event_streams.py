"""How a client gets events: the part of its registration that no manifest has, and which events it receives."""

import string
from typing import Final

from idp.audit import events, log
from idp.foundation import runtime
from idp.foundation.errors import Refusal
from idp.partners import event_types, registry
from idp.partners.metadata import InvalidClientMetadata
from idp.partners.models import Client

MAX_HEADER_LENGTH: Final = 2048
"""Characters of an `Authorization` header."""
_HEADER_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + string.punctuation + " ")


class NothingPushed(Refusal):
    """No events are pushed to the client."""

    code, status, title = "nothing_pushed", 409, "No events are pushed to this application"
    message = "No events are pushed to this application, so there is no request to send the header with."


def receives(client: Client, name: str) -> bool:
    """Whether the client gets events of this name."""
    if client.events_method is None:
        return False
    return not client.events_types or name in client.events_types or name == event_types.VERIFICATION.name


def check_pushed(client_id: str) -> Client:
    """The client, if events are pushed to it. Raises `UnknownClient` and `NothingPushed`."""
    client = registry.find(client_id)
    if client.events_method != event_types.PUSH:
        raise NothingPushed(reason=client_id)
    return client


def set_authorization(client_id: str, header: str | None, *, by: str) -> Client:
    """Send `header` as `Authorization` with every event that is pushed to the client; None sends no such header.

    It is stored sealed and never shown. Raises `UnknownClient`, `NothingPushed` and `InvalidClientMetadata`.
    """
    client = check_pushed(client_id)
    if header is not None:
        _check(header)
        header = runtime.sealer().seal(header.encode("ascii"), context=_sealing_context(client_id))
    if header is None and client.events_authorization is None:
        return client
    client.events_authorization = header
    registry.bump_version(client)
    log.record(events.CLIENT_CHANGED, by=by, client=client_id, subject=client_id, fields=["events_authorization"])
    return client


def authorization(client_id: str, stored: str | None) -> str | None:
    """The header to send, from the sealed value `stored` in `Client.events_authorization`. Raises `UnsealError`."""
    if stored is None:
        return None
    return runtime.sealer().unseal(stored, context=_sealing_context(client_id)).decode("ascii")


def _check(header: str) -> None:
    if (
        not header
        or header != header.strip()
        or len(header) > MAX_HEADER_LENGTH
        or not _HEADER_CHARACTERS.issuperset(header)
    ):
        reason = f"must be 1 to {MAX_HEADER_LENGTH} visible ASCII characters in one line, as in: Bearer 8Zb…"
        raise InvalidClientMetadata([("authorization header", reason)])


def _sealing_context(client_id: str) -> str:
    return f"clients.events_authorization:{client_id}"
