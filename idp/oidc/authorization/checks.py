"""The checks of an authorization request, in order: `check` makes a frozen `CheckedRequest` of a `SentRequest`.

The functions in `RULES` only raise OAuth errors; each `read_…` function checks one parameter and returns its value.
Once `read_redirect_uri` has returned, errors at authorize are sent to the redirect URI. A pending request is checked
each time it is shown.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from authlib.oauth2.rfc6749 import UnauthorizedClientError
from authlib.oidc.core.errors import RequestURINotSupportedError

from idp.foundation import scopes
from idp.keys import ring
from idp.oidc import claims, errors, incoming
from idp.oidc.authorization import pending_requests, responses
from idp.oidc.clients import bounds, dpop, oauth_client
from idp.oidc.clients.oauth_client import OAuthClient
from idp.oidc.incoming import AUTHORIZE, CheckedRequest, Parameters, ReplyTo, SentRequest
from idp.partners import registry

Rule = Callable[[SentRequest], None]

PROMPTS: Final = ("none", "login", "consent", "select_account", "create")
"""The values of `prompt` that we support."""
SHA256_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""A SHA-256 hash in base64url (RFC 7636 §4.2)."""


@dataclass(frozen=True, slots=True)
class RequestedClaims:
    """What the `claims` parameter requests (OpenID Connect Core §5.5); `acr_values` is included."""

    names: dict[str, list[str]] | None
    """Names of claims, by `userinfo` and `id_token`, that we may release; None where the parameter was not sent."""
    subject: str | None
    """The person who must sign in, by `sub`."""
    acr: frozenset[str]
    """Authentication classes of which one is essential; empty if none is."""
    voluntary_acr: tuple[str, ...]
    """Authentication classes that are preferred and not essential, the most preferred first."""


def check(sent: SentRequest, reply_to: ReplyTo) -> CheckedRequest:
    """Return the request once it has passed every check; of several faults, the first check that fails is reported."""
    for rule in RULES:
        rule(sent)
    refuse_authorization_details(sent.parameters)
    scopes = read_scopes(sent.client, sent.parameters)
    resource = read_resource(sent.client, sent.parameters)
    code_challenge = read_code_challenge(sent.client, sent.parameters)
    dpop_jkt = read_dpop_jkt(sent)
    prompt = read_prompt(sent)
    max_age = read_max_age(sent)
    requested = read_claims(sent)
    return CheckedRequest(
        client=sent.client, sent=sent.parameters, pending=sent.pending, reply_to=reply_to, scopes=scopes,
        resource=resource,
        code_challenge=code_challenge, dpop_jkt=dpop_jkt, nonce=sent.parameters.get("nonce"), prompt=prompt,
        max_age=max_age, claims=requested.names, acr=requested.acr, voluntary_acr=requested.voluntary_acr,
        subject=read_subject(sent, requested.subject),
        login_hint=sent.parameters.get("login_hint"),
    )  # fmt: skip


def find_client(sent: Parameters) -> OAuthClient:
    """The client that a browser's request names (RFC 6749 §4.1.2.1).

    Raises `NotToBeRedirected` or `ServiceSwitchedOff`, which are shown as pages, if it is unknown or disabled.
    """
    if fault := sent.wrong.get("client_id"):
        raise errors.NotToBeRedirected("client_id", fault)
    if (client_id := sent.get("client_id")) is None:
        raise errors.NotToBeRedirected("client_id", "missing")
    if (client := oauth_client.find(client_id)) is None:
        if registry.is_disabled(client_id):
            raise errors.ServiceSwitchedOff(client_id)
        raise errors.NotToBeRedirected("client_id", "no client with this id is registered", error="unauthorized_client")
    return client


def read_redirect_uri(client: OAuthClient, sent: Parameters) -> str:
    """The redirect URI, equal to a registered one. Raises `NotToBeRedirected` otherwise: nothing may be sent to it."""
    if fault := sent.wrong.get("redirect_uri"):
        raise errors.NotToBeRedirected("redirect_uri", fault)
    if (uri := sent.get("redirect_uri")) is None:
        raise errors.NotToBeRedirected("redirect_uri", "missing")
    if not client.check_redirect_uri(uri):
        part = oauth_client.first_differing_part(client, uri)
        raise errors.NotToBeRedirected(
            "redirect_uri", f"its {part} is not that of any URI registered for this client",
            reason=f"redirect_uri of {client.id} differs in its {part}",
        )  # fmt: skip
    return uri


def reply_to(client: OAuthClient, sent: Parameters) -> ReplyTo:
    """Where and how the response is sent. Errors are sent there as well, so a wrong mode or state is left out."""
    uri = read_redirect_uri(client, sent)
    valid = {name: sent.get(name) for name in ("response_mode", "state") if name not in sent.wrong}
    return ReplyTo(client, uri, valid.get("response_mode"), valid.get("state"))


def check_each_parameter(sent: SentRequest) -> None:
    """Raise unless each parameter is sent once, has a bounded length, and has no control characters."""
    if fault := sent.parameters.fault():
        raise errors.invalid(*fault)


def check_total_size(sent: SentRequest) -> None:
    """Raise if the parameters are too large together: most requests are stored while a person signs in or decides."""
    stored = pending_requests.stored_parameters(sent.parameters)
    if len(incoming.as_json(stored)) > bounds.MAX_PARAMETERS_BYTES:
        longest = max(stored["values"], key=lambda name: len(incoming.as_json(stored["values"][name])))
        raise errors.invalid(longest, f"the parameters take more than {bounds.MAX_PARAMETERS_BYTES} bytes in all")


def check_request_uri(sent: SentRequest) -> None:
    """Raise unless `request_uri` is a URN that PAR issued: we fetch no URL that was sent to us (RFC 9101 §10.4)."""
    if "request" in sent.parameters and "request_uri" in sent.parameters:
        raise errors.invalid("request_uri", "must not be sent together with request")
    if "request_uri" in sent.parameters:
        raise RequestURINotSupportedError(description="request_uri: only those of our PAR endpoint are supported")


def require_pushed_request(sent: SentRequest) -> None:
    """Raise if a `fapi2` client has not pushed its request (FAPI 2.0 Security Profile §5.3.2.2)."""
    if sent.endpoint == AUTHORIZE and sent.client.is_fapi2 and not (sent.pending and sent.pending.pushed):
        raise errors.invalid("request_uri", "missing; this client has to push its requests first (PAR, RFC 9126)")


def require_signed_request(sent: SentRequest) -> None:
    """Raise if a client that is registered for signed requests has not signed this one (RFC 9101 §10.5).

    A pending request need not be signed: it was checked before it was stored.
    """
    if sent.client.registered.require_signed_request_object and not sent.is_signed and sent.pending is None:
        raise errors.invalid("request", "missing; this client has to sign its requests")


def check_response_type_and_mode(sent: SentRequest) -> None:
    """Raise unless `response_type` is `code`, and `response_mode` is supported and suits the redirect URI."""
    mode = sent.parameters.get("response_mode")
    if mode is not None and mode not in responses.MODES:
        raise errors.invalid("response_mode", f"must be one of {', '.join(responses.MODES)}")
    if mode in responses.FORM_POST_MODES and not responses.is_http(str(sent.parameters.get("redirect_uri"))):
        raise errors.invalid("response_mode", f"{mode} needs a redirect_uri that is https or http")
    response_type = sent.parameters.get("response_type")
    if response_type is None:
        raise errors.invalid("response_type", "missing")
    if response_type != "code":
        raise errors.UnsupportedResponseType
    if not sent.client.check_response_type(response_type):
        raise UnauthorizedClientError(description="response_type: this client is not registered for it")


def refuse_authorization_details(sent: Parameters) -> None:
    """Raise if there are any: we support none of their types, and must not ignore them (RFC 9396 §5)."""
    if "authorization_details" in sent:
        raise errors.InvalidAuthorizationDetails


def read_scopes(client: OAuthClient, sent: Parameters) -> frozenset[str]:
    """The requested scopes. Raises unless the client is registered for all of them: none is dropped silently."""
    try:
        requested = scopes.parse(sent.get("scope"))
    except scopes.UnknownScope as error:
        raise errors.unknown_scope(error) from None
    if not requested:
        raise errors.invalid_scope("missing")
    if others := requested - client.registered.scopes:
        raise errors.invalid_scope("this client is not registered for", others)
    return requested


def read_resource(client: OAuthClient, sent: Parameters) -> frozenset[str]:
    """The requested resources (RFC 8707 §2). Raises if one is unknown, or serves no scope of the client."""
    return claims.check_resources(sent.resources, client)


def read_code_challenge(client: OAuthClient, sent: Parameters) -> str | None:
    """The S256 challenge (RFC 7636 §4.3), or None for a client that need not use PKCE and sends none."""
    challenge, method = sent.get("code_challenge"), sent.get("code_challenge_method")
    if challenge is None:
        if client.needs_pkce or method is not None:
            raise errors.invalid("code_challenge", "missing; this client has to use PKCE with S256")
        return None
    if method != "S256":
        raise errors.invalid("code_challenge_method", "must be S256")
    if not SHA256_BASE64URL.fullmatch(challenge):
        raise errors.invalid("code_challenge", "must be 43 characters of base64url")
    return challenge


def read_dpop_jkt(sent: SentRequest) -> str | None:
    """The thumbprint of the key that the code will be bound to (RFC 9449 §10); None if there is none.

    It is that of the pending request, else that of the DPoP proof, else `dpop_jkt`.
    """
    jkt = sent.parameters.get("dpop_jkt")
    if jkt is not None and not SHA256_BASE64URL.fullmatch(jkt):
        raise errors.invalid("dpop_jkt", "must be the base64url of a SHA-256 thumbprint")
    if sent.proven_jkt is not None and jkt not in {None, sent.proven_jkt}:
        raise dpop.InvalidProof("made by another key than dpop_jkt names")
    return (sent.pending and sent.pending.dpop_jkt) or sent.proven_jkt or jkt


def read_prompt(sent: SentRequest) -> frozenset[str]:
    """The values of `prompt`; `none` must be the only one (OpenID Connect Core §3.1.2.1)."""
    prompt = frozenset((sent.parameters.get("prompt") or "").split())
    if not prompt <= frozenset(PROMPTS):
        raise errors.invalid("prompt", "has a value that is not supported")
    if "none" in prompt and len(prompt) > 1:
        raise errors.invalid("prompt", "none must be the only value")
    return prompt


def read_max_age(sent: SentRequest) -> int | None:
    """`max_age` in whole seconds; None where it was not sent."""
    seconds = sent.parameters.get("max_age")
    if seconds is None:
        return None
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 10):
        raise errors.invalid("max_age", "must be a whole number of seconds")
    return int(seconds)


def read_claims(sent: SentRequest) -> RequestedClaims:
    """The `claims` parameter (OpenID Connect Core §5.5): names of claims that we may release, `sub` and `acr`."""
    text, acr_values = sent.parameters.get("claims"), tuple((sent.parameters.get("acr_values") or "").split())
    if text is None:
        return RequestedClaims(names=None, subject=None, acr=frozenset(), voluntary_acr=acr_values)
    try:
        document = json.loads(text, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise errors.invalid("claims", "must be a JSON object") from None
    if not isinstance(document, dict):
        raise errors.invalid("claims", "must be a JSON object")
    places = {place: {} if document.get(place) is None else document[place] for place in ("userinfo", "id_token")}
    for members in places.values():
        if not isinstance(members, dict) or not all(_is_claim_request(value) for value in members.values()):
            raise errors.invalid("claims", "members must be objects or null")
    names = {place: claims.requestable_claims(members) for place, members in places.items()}
    essential, values = _requested_acr(places["id_token"])
    return RequestedClaims(
        names, _requested_subject(places["id_token"]), acr=frozenset(values) if essential else frozenset(),
        voluntary_acr=() if essential and values else values or acr_values,
    )  # fmt: skip


def _reject_constant(_constant: str) -> None:
    raise ValueError("NaN and infinities are not JSON")


def _is_claim_request(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _requested_subject(members: dict[str, Any]) -> str | None:
    """The `sub` that the request is limited to (OpenID Connect Core §5.5.1)."""
    subject = (members.get("sub") or {}).get("value")
    if subject is not None and not isinstance(subject, str):
        raise errors.invalid("claims", "sub must be a string")
    return subject


def _requested_acr(members: dict[str, Any]) -> tuple[bool, tuple[str, ...]]:
    """Whether `acr` is essential, and the requested classes (OpenID Connect Core §5.5.1.1)."""
    acr = members.get("acr") or {}
    values = acr.get("values", [acr["value"]] if "value" in acr else [])
    essential = acr.get("essential") is True
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        if essential:
            raise errors.invalid("claims", "values of acr must be a list of strings")
        values = []
    return essential, tuple(values)


def read_subject(sent: SentRequest, subject: str | None) -> str | None:
    """The subject of `id_token_hint`, an ID Token of any age that we issued to this client; `subject` without a hint.

    `subject` is the one that `claims` names. Raises if the two differ.
    """
    if (hint := sent.parameters.get("id_token_hint")) is None:
        return subject
    try:
        payload = claims.verify_id_token_hint(hint)
    except ring.TokenNotVerified:
        raise errors.invalid("id_token_hint", "is not an ID Token of ours") from None
    if payload["aud"] != sent.client.id:
        raise errors.invalid("id_token_hint", "was issued to another client")
    if subject is not None and subject != payload["sub"]:
        raise errors.invalid("id_token_hint", "names another person than claims")
    return str(payload["sub"])


RULES: Final[tuple[Rule, ...]] = (
    check_each_parameter,
    check_request_uri,
    check_total_size,
    require_pushed_request,
    require_signed_request,
    check_response_type_and_mode,
)
"""Called in this order: each may rely on those above it, and on a registered redirect URI."""
