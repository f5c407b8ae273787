"""The rules of an authorization request, in their order: what was sent becomes a checked, frozen request.

`RULES` raise, and the functions after them return what they read of one parameter. From `redirect_uri_is_registered`
on, errors at authorize are answered at the redirect URI. A pending request is checked each time it is shown.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from authlib.oauth2.rfc6749 import UnauthorizedClientError
from authlib.oidc.core.errors import RequestURINotSupportedError

from idp.foundation import scopes as scope
from idp.keys import ring
from idp.oidc import claims, errors, incoming
from idp.oidc.authorization import pending_requests, responses
from idp.oidc.clients import bounds, client as clients, dpop
from idp.oidc.clients.client import OAuthClient
from idp.oidc.incoming import AUTHORIZE, CheckedRequest, Parameters, ReplyTo, SentRequest
from idp.partners import registry

Rule = Callable[[SentRequest], None]

PROMPTS: Final = ("none", "login", "consent", "select_account", "create")
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""base64url of a SHA-256 (RFC 7636 §4.2)."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the `claims` parameter asks for."""

    names: dict[str, list[str]] | None
    """By `userinfo` and `id_token`, those that we may release; None where the parameter was not sent."""
    subject: str | None
    acr: frozenset[str]
    """Classes of which one is essential; empty if none is."""
    voluntary_acr: tuple[str, ...]
    """Classes that are only wished for, the preferred one first."""


def check(sent: SentRequest, reply_to: ReplyTo) -> CheckedRequest:
    """The request, once every rule holds; the order of what follows is the order in which errors are reported."""
    for rule in RULES:
        rule(sent)
    no_authorization_details(sent.parameters)
    scopes = scopes_within_client(sent.client, sent.parameters)
    resource = resource_within_scopes(sent.client, sent.parameters)
    code_challenge = challenge_is_s256(sent.client, sent.parameters)
    dpop_jkt = dpop_key_is_a_thumbprint(sent)
    prompt = prompt_is_understood(sent)
    max_age = max_age_is_a_number(sent)
    wishes = claims_are_readable(sent)
    return CheckedRequest(
        client=sent.client, sent=sent.parameters, pending=sent.pending, reply_to=reply_to, scopes=scopes,
        resource=resource,
        code_challenge=code_challenge, dpop_jkt=dpop_jkt, nonce=sent.parameters.get("nonce"), prompt=prompt,
        max_age=max_age, claims=wishes.names, acr=wishes.acr, voluntary_acr=wishes.voluntary_acr,
        subject=hint_is_ours(sent, wishes.subject),
        login_hint=sent.parameters.get("login_hint"),
    )  # fmt: skip


def known_client(sent: Parameters) -> OAuthClient:
    """The client a browser's request names; a page where there is none, or a disabled one (RFC 6749 §4.1.2.1)."""
    if fault := sent.wrong.get("client_id"):
        raise errors.NotToBeRedirected("client_id", fault)
    if (named := sent.get("client_id")) is None:
        raise errors.NotToBeRedirected("client_id", "missing")
    if (client := clients.find(named)) is None:
        if registry.is_disabled(named):
            raise errors.ServiceSwitchedOff(named)
        raise errors.NotToBeRedirected("client_id", "no client with this id is registered", error="unauthorized_client")
    return client


def redirect_uri_is_registered(client: OAuthClient, sent: Parameters) -> str:
    """Sent, and equal to a registered one; only then may anything leave our host."""
    if fault := sent.wrong.get("redirect_uri"):
        raise errors.NotToBeRedirected("redirect_uri", fault)
    if (uri := sent.get("redirect_uri")) is None:
        raise errors.NotToBeRedirected("redirect_uri", "missing")
    if not client.check_redirect_uri(uri):
        part = clients.difference(client, uri)
        raise errors.NotToBeRedirected(
            "redirect_uri", f"its {part} is not that of any address registered for this client",
            reason=f"redirect_uri of {client.id} differs in its {part}",
        )  # fmt: skip
    return uri


def reply_to(client: OAuthClient, sent: Parameters) -> ReplyTo:
    """Where and how the answer may go: an error too, so what is wrong with mode or state is left out here."""
    uri = redirect_uri_is_registered(client, sent)
    sound = {name: sent.get(name) for name in ("response_mode", "state") if name not in sent.wrong}
    mode = sound.get("response_mode")
    return ReplyTo(client, uri, mode if mode in responses.MODES else None, sound.get("state"))


def parameters_are_sound(sent: SentRequest) -> None:
    """Each once, of bounded size, without control characters."""
    if fault := sent.parameters.fault():
        raise errors.invalid(*fault)


def small_enough_to_store(sent: SentRequest) -> None:
    """In all, because most requests wait while a person is asked things."""
    stored = pending_requests.stored_parameters(sent.parameters)
    if len(incoming.as_json(stored)) > bounds.MAX_BYTES:
        longest = max(stored["values"], key=lambda name: len(incoming.as_json(stored["values"][name])))
        raise errors.invalid(longest, f"the parameters take more than {bounds.MAX_BYTES} bytes in all")


def no_request_uri_of_others(sent: SentRequest) -> None:
    """Only our own are understood: we would fetch another on a stranger's word."""
    if "request" in sent.parameters and "request_uri" in sent.parameters:
        raise errors.invalid("request_uri", "must not be sent together with request")
    if "request_uri" in sent.parameters:
        raise RequestURINotSupportedError(description="request_uri: only those of our PAR endpoint are supported")


def pushed_if_it_must_be(sent: SentRequest) -> None:
    """`fapi2` clients push their requests (FAPI 2.0 Security Profile §5.3.2.2)."""
    if sent.endpoint == AUTHORIZE and sent.client.is_fapi2 and not (sent.pending and sent.pending.pushed):
        raise errors.invalid("request_uri", "missing; this client has to push its requests first (PAR, RFC 9126)")


def signed_if_it_must_be(sent: SentRequest) -> None:
    """Clients that are registered for signed requests send no others (RFC 9101 §10.5); a kept one was held to that."""
    if sent.client.registered.require_signed_request_object and not sent.is_signed and sent.pending is None:
        raise errors.invalid("request", "missing; this client has to sign its requests")


def response_type_is_code(sent: SentRequest) -> None:
    """The code flow and nothing else; answered in the query or by form, and signed where that is asked for."""
    mode = sent.parameters.get("response_mode")
    if mode is not None and mode not in responses.MODES:
        raise errors.invalid("response_mode", f"must be one of {', '.join(responses.MODES)}")
    if mode in responses.POSTED and not responses.is_on_the_web(str(sent.parameters.get("redirect_uri"))):
        raise errors.invalid("response_mode", f"{mode} needs a redirect_uri that is https or http")
    response_type = sent.parameters.get("response_type")
    if response_type is None:
        raise errors.invalid("response_type", "missing")
    if response_type != "code":
        raise errors.UnsupportedResponseType
    if not sent.client.check_response_type(response_type):
        raise UnauthorizedClientError(description="response_type: this client is not registered for it")


def no_authorization_details(sent: Parameters) -> None:
    """We know none of their types, and to leave them out would give another access than was asked for (RFC 9396 §5)."""
    if "authorization_details" in sent:
        raise errors.InvalidAuthorizationDetails


def scopes_within_client(client: OAuthClient, sent: Parameters) -> frozenset[str]:
    """All of them known and the client's; never fewer than were asked for."""
    try:
        scopes = scope.parse(sent.get("scope"))
    except scope.UnknownScope as fault:
        raise errors.unknown_scope(fault) from None
    if not scopes:
        raise errors.invalid_scope("missing")
    if others := scopes - client.registered.scopes:
        raise errors.invalid_scope("this client is not registered for", others)
    return scopes


def resource_within_scopes(client: OAuthClient, sent: Parameters) -> frozenset[str]:
    """Only resources there are, and that the client may have something of (RFC 8707 §2)."""
    return claims.resources(sent.resources, client)


def challenge_is_s256(client: OAuthClient, sent: Parameters) -> str | None:
    """PKCE by S256, said explicitly; needed by all but the clients it was switched off for (RFC 7636)."""
    challenge, method = sent.get("code_challenge"), sent.get("code_challenge_method")
    if challenge is None:
        if client.needs_pkce or method is not None:
            raise errors.invalid("code_challenge", "missing; this client has to use PKCE with S256")
        return None
    if method != "S256":
        raise errors.invalid("code_challenge_method", "must be S256")
    if not CHALLENGE.fullmatch(challenge):
        raise errors.invalid("code_challenge", "must be 43 characters of base64url")
    return challenge


def dpop_key_is_a_thumbprint(sent: SentRequest) -> str | None:
    """What the code will be bound to: the key of the pending request, else the one named (RFC 9449 §10)."""
    named = sent.parameters.get("dpop_jkt")
    if named is not None and not CHALLENGE.fullmatch(named):
        raise errors.invalid("dpop_jkt", "must be the base64url of a SHA-256 thumbprint")
    if sent.proven_jkt is not None and named not in {None, sent.proven_jkt}:
        raise dpop.InvalidProof("made by another key than dpop_jkt names")
    return (sent.pending and sent.pending.dpop_jkt) or sent.proven_jkt or named


def prompt_is_understood(sent: SentRequest) -> frozenset[str]:
    """Known words, `none` alone (OpenID Connect Core §3.1.2.1)."""
    prompt = frozenset((sent.parameters.get("prompt") or "").split())
    if not prompt <= frozenset(PROMPTS):
        raise errors.invalid("prompt", "has a value that is not supported")
    if "none" in prompt and len(prompt) > 1:
        raise errors.invalid("prompt", "none must be the only value")
    return prompt


def max_age_is_a_number(sent: SentRequest) -> int | None:
    """Whole seconds."""
    seconds = sent.parameters.get("max_age")
    if seconds is None:
        return None
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 10):
        raise errors.invalid("max_age", "must be a whole number of seconds")
    return int(seconds)


def claims_are_readable(sent: SentRequest) -> Wishes:
    """A JSON object of objects (OpenID Connect Core §5.5); of it we keep the names that we may release."""
    text, acr_values = sent.parameters.get("claims"), tuple((sent.parameters.get("acr_values") or "").split())
    if text is None:
        return Wishes(names=None, subject=None, acr=frozenset(), voluntary_acr=acr_values)
    try:
        wanted = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise errors.invalid("claims", "must be a JSON object") from None
    if not isinstance(wanted, dict):
        raise errors.invalid("claims", "must be a JSON object")
    places = {place: {} if wanted.get(place) is None else wanted[place] for place in ("userinfo", "id_token")}
    for members in places.values():
        if not isinstance(members, dict) or not all(_is_wish(each) for each in members.values()):
            raise errors.invalid("claims", "members must be objects or null")
    names = {place: claims.nameable(members) for place, members in places.items()}
    essential, values = _acr(places["id_token"])
    return Wishes(
        names, _sub(places["id_token"]), acr=frozenset(values) if essential else frozenset(),
        voluntary_acr=() if essential and values else values or acr_values,
    )  # fmt: skip


def _refuse(_constant: str) -> None:
    raise ValueError("NaN and infinities are not JSON")


def _is_wish(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _sub(members: dict[str, Any]) -> str | None:
    """The subject a client insists on (OpenID Connect Core §5.5.1)."""
    wanted = (members.get("sub") or {}).get("value")
    if wanted is not None and not isinstance(wanted, str):
        raise errors.invalid("claims", "sub must be a string")
    return wanted


def _acr(members: dict[str, Any]) -> tuple[bool, tuple[str, ...]]:
    """Whether one of the classes has to be reached, and the classes; otherwise they are as `acr_values` (§5.5.1.1)."""
    wanted = members.get("acr") or {}
    values = wanted.get("values", [wanted["value"]] if "value" in wanted else [])
    essential = wanted.get("essential") is True
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        if essential:
            raise errors.invalid("claims", "values of acr must be a list of strings")
        values = []
    return essential, tuple(values)


def hint_is_ours(sent: SentRequest, subject: str | None) -> str | None:
    """The subject of an ID Token of ours for this client, at any age; `subject`, which `claims` names, without one."""
    if (hint := sent.parameters.get("id_token_hint")) is None:
        return subject
    try:
        payload = claims.of_id_token(hint)
    except ring.BadToken:
        raise errors.invalid("id_token_hint", "is not an ID Token of ours") from None
    if payload["aud"] != sent.client.id:
        raise errors.invalid("id_token_hint", "was issued to another client")
    if subject is not None and subject != payload["sub"]:
        raise errors.invalid("id_token_hint", "names another person than claims")
    return str(payload["sub"])


RULES: Final[tuple[Rule, ...]] = (
    parameters_are_sound,
    no_request_uri_of_others,
    small_enough_to_store,
    pushed_if_it_must_be,
    signed_if_it_must_be,
    response_type_is_code,
)
"""In order: each may trust those above it, and that the redirect URI is registered."""
