"""Calls from lower layers into higher ones: their types here, their functions filled in by `idp/app.py`.

A package imports only from layers below it. What it needs from a layer above, or from a neighbour in its own, is a
field of `Ports`, reached by `runtime.ports()`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class RequestingPartner(NamedTuple):
    """A partner's service whose request waits, as a page names it, and the company behind that service."""

    name: str
    company: str
    is_sandbox: bool = False
    """Whether only fictional schools can use it."""


class LastPerson(NamedTuple):
    """The person whose session cookie a browser has, though that session may have ended."""

    kind: str
    """`administrator`, `operator` or `developer`."""
    id: str


class SignInButton(NamedTuple):
    """A way to sign in by another provider's account: a button whose form is posted to this local path."""

    label: str
    action: str


@dataclass(frozen=True, slots=True)
class EventRequest:
    """The request by which an event is sent to a client: a POST of `body`."""

    url: str
    body: str
    content_type: str


class MakeEventRequest(Protocol):
    """Makes the request for an event when it is sent: its token lives for minutes, and it may wait for a day."""

    def __call__(self, message_id: str, url: str, facts: Mapping[str, Any], /) -> EventRequest:
        """The request for the URL and the facts that were posted; raises `outbox.outgoing.NotSent` for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """One function for each call upwards."""

    sign_in: Callable[[str], object]
    """Sign in the owner with this id, who has just registered, in the browser that sent the request.

    Nothing happens if they have a second factor by now.
    """
    last_signed_in: Callable[[], LastPerson | None]
    """The person who is, or was last, signed in in the browser that sent the request."""
    requesting_partner: Callable[[str], RequestingPartner | None]
    """The partner whose request continues at this local path; None where there is none."""
    sign_in_buttons: Callable[[str], list[SignInButton]]
    """The providers whose accounts can be used to sign in; each button comes back to this local path."""
    navigation: Callable[[], list[dict[str, str | bool]]]
    """The links in a page's header for the person signed in, each with `label` and `href`."""
    estab_state_changed: Callable[[str, str, str], None]
    """Tell partners that an estab changed its state: its internal id, the state before, and the state now."""
    partner_people: Callable[[str], list[str]]
    """The e-mail addresses of the people of a partner who can sign in at `/developers`."""
    event_requests: Mapping[str, MakeEventRequest]
    """What makes the request for an event, by the event's name."""
    endpoint_state: Callable[[str], str]
    """The state of the endpoint of the estab with this internal id; `none` without one."""
    revoke_endpoint_tokens: Callable[[str, str, str, str], bool]
    """Revoke the tokens of an agent: of the estab with this internal id, this client, bound to the key with this
    thumbprint; and those of this lineage. Returns whether the client has others of the estab."""
