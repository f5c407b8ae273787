"""Events: fetched by a client that cannot receive them (RFC 8936), and one on demand, to see that they arrive."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType, field

from idp.oidc.tokens.access_tokens import Access
from idp.partner_api.operations import NoQuery, operation
from idp.partner_api.responses import ResponseBody
from idp.partner_events import poll, streams

SCOPE: Final = "events"
MAX_JTIS: Final = 1000
"""How many events one request may acknowledge, and how many it may refuse."""

Jti = Annotated[str, Meta(max_length=100)]


class EventError(Struct, frozen=True, kw_only=True):
    """Why an event is refused (RFC 8936 section 2.6)."""

    err: Annotated[str, Meta(max_length=100, description="A code, such as `invalid_request`.")]
    description: Annotated[str, Meta(max_length=500)] = ""


class PollRequest(Struct, frozen=True, kw_only=True):
    """What became of earlier events, and how many more you accept (RFC 8936 section 2.2)."""

    max_events: (
        Annotated[int, Meta(ge=0, description="The most events to send, 100 if left out; 0 for none.")] | UnsetType
    ) = field(name="maxEvents", default=UNSET)
    return_immediately: Annotated[
        bool,
        Meta(description="We always respond at once, with no events if there are none: ask again after a while."),
    ] = field(name="returnImmediately", default=True)
    ack: Annotated[
        tuple[Jti, ...], Meta(max_length=MAX_JTIS, description="The `jti` of each event that you have stored.")
    ] = ()
    errors: Annotated[
        dict[Jti, EventError],
        Meta(max_length=MAX_JTIS, description="By `jti`, why you refuse an event. We do not send it again."),
    ] = field(name="setErrs", default_factory=dict)


class Polled(ResponseBody, frozen=True, kw_only=True):
    """The next events (RFC 8936 section 2.3)."""

    sets: Annotated[
        dict[str, str],
        Meta(description="Signed tokens (RFC 8417) by their `jti`, oldest first, each until you acknowledge it."),
    ]
    more_available: Annotated[bool, Meta(description="Whether more events are waiting: if so, ask again at once.")] = (
        field(name="moreAvailable")
    )


class VerificationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the event will contain."""

    state: Annotated[str, Meta(max_length=255, description="Returned as `state` of the event.")] = ""


class Verification(ResponseBody, frozen=True, kw_only=True):
    """The event that is on its way."""

    jti: str


@operation(
    summary="Fetch events", method="POST", query=NoQuery, body=PollRequest, response_body=Polled, scope=SCOPE,
    per_minute=600, problem_codes=("no_event_stream",),
)  # fmt: skip
def poll_events(access: Access, _query: NoQuery, body: PollRequest) -> Polled:
    """For an application that is registered for `urn:ietf:rfc:8936`; `/events` explains each kind of event.

    Store the events, and acknowledge them in the next request. Ignore those whose `jti` you already have.
    """
    polled = poll.poll(
        access.client.id, most=poll.MAX_EVENTS if body.max_events is UNSET else body.max_events, acknowledged=body.ack,
        errors={jti: (error.err, error.description) for jti, error in body.errors.items()},
    )  # fmt: skip
    return Polled(sets=dict(polled.tokens), more_available=polled.more)


@operation(
    summary="Have an event sent to you", method="POST", query=NoQuery, body=VerificationRequest,
    response_body=Verification, status=202, scope=SCOPE, per_minute=10, problem_codes=("no_event_stream",),
)  # fmt: skip
def verify_events(access: Access, _query: NoQuery, body: VerificationRequest) -> Verification:
    """It has only your `state`, and arrives as all others do: pushed to you, or when you ask for events."""
    return Verification(jti=streams.verify(access.client.id, body.state))
