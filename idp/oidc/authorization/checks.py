"""The rules of an authorization request, in their order, and who is asking on the back channel.

A check raises, or fills the slot of the request that is its business; each may trust those above it. From
`redirect_uri_is_registered` on, errors at authorize are answered at the redirect URI. All can be repeated:
Authlib validates twice (protocol.md §4.2, 32), and a kept request is checked each time it is shown.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from authlib.oauth2.rfc6749 import UnauthorizedClientError
from authlib.oidc.core.errors import RequestURINotSupportedError

from idp.foundation import scopes as scope
from idp.keys import ring
from idp.oidc import claims, errors, incoming
from idp.oidc.authorization import kept_requests, responses
from idp.oidc.clients import bounds, client as clients, dpop
from idp.oidc.clients.client import OAuthClient
from idp.oidc.incoming import AUTHORIZE, PAR, Request
from idp.partners import registry

Check = Callable[[Request], None]

PROMPTS: Final = ("none", "login", "consent", "select_account", "create")
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""base64url of a SHA-256 (RFC 7636 §4.2)."""
BOTH: Final = frozenset({AUTHORIZE, PAR})


def run(request: Request) -> None:
    """Apply every check that holds at the request's endpoint."""
    for check, endpoints in CHECKS:
        if request.endpoint in endpoints:
            check(request)


def known_client(request: Request) -> OAuthClient:
    """The client a browser's request names; a page where there is none, or a disabled one (RFC 6749 §4.1.2.1)."""
    if fault := request.sent.wrong.get("client_id"):
        raise errors.NotToBeRedirected("client_id", fault)
    if (named := request.sent.get("client_id")) is None:
        raise errors.NotToBeRedirected("client_id", "missing")
    if (client := clients.find(named)) is None:
        if registry.is_disabled(named):
            raise errors.ServiceSwitchedOff(named)
        raise errors.NotToBeRedirected("client_id", "no client with this id is registered", error="unauthorized_client")
    return client


def redirect_uri_is_registered(request: Request) -> None:
    """Sent, and equal to a registered one; only then may anything leave our host."""
    if fault := request.sent.wrong.get("redirect_uri"):
        raise errors.NotToBeRedirected("redirect_uri", fault)
    if (uri := request.sent.get("redirect_uri")) is None:
        raise errors.NotToBeRedirected("redirect_uri", "missing")
    if not request.client.check_redirect_uri(uri):
        part = clients.difference(request.client, uri)
        raise errors.NotToBeRedirected(
            "redirect_uri", f"its {part} is not that of any address registered for this client",
            because=f"redirect_uri of {request.client.id} differs in its {part}",
        )  # fmt: skip
    request.answer_to = uri


def parameters_are_sound(request: Request) -> None:
    """Each once, of bounded size, without control characters."""
    if fault := request.sent.fault():
        raise errors.invalid(*fault)


def small_enough_to_store(request: Request) -> None:
    """In all, because most requests wait while a person is asked things."""
    stored = kept_requests.stored(request.sent)
    if len(incoming.as_json(stored)) > bounds.MAX_BYTES:
        longest = max(stored["values"], key=lambda name: len(incoming.as_json(stored["values"][name])))
        raise errors.invalid(longest, f"the parameters take more than {bounds.MAX_BYTES} bytes in all")


def no_request_uri_of_others(request: Request) -> None:
    """Only our own are understood: we would fetch another on a stranger's word."""
    if "request" in request.sent and "request_uri" in request.sent:
        raise errors.invalid("request_uri", "must not be sent together with request")
    if "request_uri" in request.sent:
        raise RequestURINotSupportedError(description="request_uri: only those of our PAR endpoint are supported")


def pushed_if_it_must_be(request: Request) -> None:
    """`fapi2` clients push their requests (FAPI 2.0 Security Profile §5.3.2.2)."""
    if request.client.is_fapi2 and not (request.kept and request.kept.pushed):
        raise errors.invalid("request_uri", "missing; this client has to push its requests first (PAR, RFC 9126)")


def signed_if_it_must_be(request: Request) -> None:
    """Clients that are registered for signed requests send no others (RFC 9101 §10.5); a kept one was held to that."""
    if request.client.registered.require_signed_request_object and not request.is_signed and request.kept is None:
        raise errors.invalid("request", "missing; this client has to sign its requests")


def response_type_is_code(request: Request) -> None:
    """The code flow and nothing else; answered in the query or by form, and signed where that is asked for."""
    mode = request.sent.get("response_mode")
    if mode is not None and mode not in responses.MODES:
        raise errors.invalid("response_mode", f"must be one of {', '.join(responses.MODES)}")
    if mode in responses.POSTED and not responses.is_on_the_web(str(request.answer_to)):
        raise errors.invalid("response_mode", f"{mode} needs a redirect_uri that is https or http")
    asked = request.sent.get("response_type")
    if asked is None:
        raise errors.invalid("response_type", "missing")
    if asked != "code":
        raise errors.UnsupportedResponseType
    if not request.client.check_response_type(asked):
        raise UnauthorizedClientError(description="response_type: this client is not registered for it")


def no_authorization_details(request: Request) -> None:
    """We know none of their types, and to leave them out would give another access than was asked for (RFC 9396 §5)."""
    if "authorization_details" in request.sent:
        raise errors.InvalidAuthorizationDetails


def scopes_within_client(request: Request) -> None:
    """All of them known and the client's; never fewer than were asked for."""
    try:
        request.scopes = scope.parse(request.sent.get("scope"))
    except scope.UnknownScope as fault:
        raise errors.unknown_scope(fault) from None
    if not request.scopes:
        raise errors.invalid_scope("missing")
    if others := request.scopes - request.client.registered.scopes:
        raise errors.invalid_scope("this client is not registered for", others)


def resource_within_scopes(request: Request) -> None:
    """Only resources there are, and that the client may have something of (RFC 8707 §2)."""
    request.resource = claims.resources(request.sent.resources, request.client)


def challenge_is_s256(request: Request) -> None:
    """PKCE by S256, said explicitly; needed by all but the clients it was switched off for (RFC 7636)."""
    challenge, method = request.sent.get("code_challenge"), request.sent.get("code_challenge_method")
    if challenge is None:
        if request.client.needs_pkce or method is not None:
            raise errors.invalid("code_challenge", "missing; this client has to use PKCE with S256")
        return
    if method != "S256":
        raise errors.invalid("code_challenge_method", "must be S256")
    if not CHALLENGE.fullmatch(challenge):
        raise errors.invalid("code_challenge", "must be 43 characters of base64url")


def dpop_key_is_a_thumbprint(request: Request) -> None:
    """What the code will be bound to: the key of the kept request, else the one named (RFC 9449 §10)."""
    named = request.sent.get("dpop_jkt")
    if named is not None and not CHALLENGE.fullmatch(named):
        raise errors.invalid("dpop_jkt", "must be the base64url of a SHA-256 thumbprint")
    if request.dpop_jkt is not None and named not in {None, request.dpop_jkt}:
        raise dpop.InvalidProof("made by another key than dpop_jkt names")
    request.dpop_jkt = (request.kept and request.kept.dpop_jkt) or request.dpop_jkt or named


def prompt_is_understood(request: Request) -> None:
    """Known words, `none` alone (OpenID Connect Core §3.1.2.1)."""
    request.prompt = frozenset((request.sent.get("prompt") or "").split())
    if not request.prompt <= frozenset(PROMPTS):
        raise errors.invalid("prompt", "has a value that is not supported")
    if "none" in request.prompt and len(request.prompt) > 1:
        raise errors.invalid("prompt", "none must be the only value")


def max_age_is_a_number(request: Request) -> None:
    """Whole seconds."""
    asked = request.sent.get("max_age")
    if asked is not None and not (asked.isascii() and asked.isdigit() and len(asked) <= 10):
        raise errors.invalid("max_age", "must be a whole number of seconds")
    request.max_age = None if asked is None else int(asked)


def claims_are_readable(request: Request) -> None:
    """A JSON object of objects (OpenID Connect Core §5.5); of it we keep the names that we may release."""
    asked = request.sent.get("claims")
    if asked is None:
        return
    try:
        wanted = json.loads(asked, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise errors.invalid("claims", "must be a JSON object") from None
    if not isinstance(wanted, dict):
        raise errors.invalid("claims", "must be a JSON object")
    places = {place: {} if wanted.get(place) is None else wanted[place] for place in ("userinfo", "id_token")}
    for members in places.values():
        if not isinstance(members, dict) or not all(_is_wish(each) for each in members.values()):
            raise errors.invalid("claims", "members must be objects or null")
    request.claims = {place: claims.nameable(members) for place, members in places.items()}
    request.hinted, request.acr = _sub(places["id_token"]), _essential_acr(places["id_token"])


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


def _essential_acr(members: dict[str, Any]) -> frozenset[str]:
    """The values one of which has to be reached; wishes that are not essential are `acr_values` (§5.5.1.1)."""
    wanted = members.get("acr") or {}
    if wanted.get("essential") is not True:
        return frozenset()
    values = wanted.get("values", [wanted["value"]] if "value" in wanted else [])
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise errors.invalid("claims", "values of acr must be a list of strings")
    return frozenset(values)


def hint_is_ours(request: Request) -> None:
    """An ID Token of ours for this client, at any age."""
    if (hint := request.sent.get("id_token_hint")) is None:
        return
    try:
        said = claims.of_id_token(hint)
    except ring.BadToken:
        raise errors.invalid("id_token_hint", "is not an ID Token of ours") from None
    if said["aud"] != request.client.id:
        raise errors.invalid("id_token_hint", "was issued to another client")
    if request.hinted is not None and request.hinted != said["sub"]:
        raise errors.invalid("id_token_hint", "names another person than claims")
    request.hinted = said["sub"]


CHECKS: Final[tuple[tuple[Check, frozenset[str]], ...]] = (
    (redirect_uri_is_registered, BOTH),  # from here on an error at authorize is redirected
    (parameters_are_sound, BOTH),
    (no_request_uri_of_others, BOTH),
    (small_enough_to_store, BOTH),
    (pushed_if_it_must_be, frozenset({AUTHORIZE})),
    (signed_if_it_must_be, BOTH),
    (response_type_is_code, BOTH),
    (no_authorization_details, BOTH),
    (scopes_within_client, BOTH),
    (resource_within_scopes, BOTH),
    (challenge_is_s256, BOTH),
    (dpop_key_is_a_thumbprint, BOTH),
    (prompt_is_understood, BOTH),
    (max_age_is_a_number, BOTH),
    (claims_are_readable, BOTH),
    (hint_is_ours, BOTH),
)
"""In order: each may trust those above it."""
