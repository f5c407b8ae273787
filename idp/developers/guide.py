"""Figures and refusals for the partner guide, read from the settings and the code."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from idp.developers import applications
from idp.foundation import runtime, scopes
from idp.keys import jwts
from idp.oidc.clients import client_assertion, client_keys, dpop, failures, oauth_client
from idp.oidc.endpoints import discovery
from idp.oidc.tokens import families
from idp.partners import failure_log, jwks, reminders

DEFAULT_PAGE_RECORDS: Final = 100
MAX_PAGE_RECORDS: Final = 1000
"""Records in a page of XporterOnDemand, which is a program of its own: a test compares these with it."""
_UNITS: Final = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that is refused: what was sent, the error that is returned, and what to do."""

    sent: str
    error: str
    to_do: str
    parameters: tuple[tuple[str, str | None], ...] = ()
    """At the authorization endpoint, what differs from a good request; a test sends it."""


AT_AUTHORIZE: Final = (
    Refused(
        "A client id that we do not know, or of a client that is disabled", "a page",
        "The person sees a page, and nothing is sent to your application: we cannot know whose URI it is.",
        (("client_id", "nobody"),),
    ),
    Refused(
        "A redirect_uri that is not registered, character by character", "a page",
        "Send exactly what is registered. The log shows what differs: for instance a slash at its end, or localhost "
        "instead of 127.0.0.1. The port may differ only with http://127.0.0.1 and http://[::1].",
        (("redirect_uri", "https://assembly.example/callback/"),),
    ),
    Refused(
        "No code_challenge", "invalid_request", "Switch on PKCE in your software.",
        (("code_challenge", None), ("code_challenge_method", None)),
    ),
    Refused(
        "code_challenge_method=plain, or none", "invalid_request", "Only S256 is accepted.",
        (("code_challenge_method", "plain"),),
    ),
    Refused(
        "A response_type other than code", "unsupported_response_type",
        "No tokens are sent through the browser. Ask for a code.", (("response_type", "id_token"),),
    ),
    Refused(
        "A scope that your application is not registered for", "invalid_scope",
        "Scopes are not dropped silently. Ask us to add it, or leave it out.", (("scope", "openid staff"),),
    ),
    Refused("No scope", "invalid_scope", "Ask for openid, and for what you need.", (("scope", None),)),
    Refused(
        "A resource that is not one of our APIs, or not one that your application may use", "invalid_target",
        "Leave resource out: the token is then for all APIs that serve its scopes.",
        (("resource", "https://elsewhere.example"),),
    ),
    Refused(
        "A request_uri that is a URL", "request_uri_not_supported",
        "We fetch no URLs. Push the request to us instead (PAR).",
        (("request_uri", "https://assembly.example/request"),),
    ),
    Refused(
        "prompt=none with another value", "invalid_request", "Send none without other values.",
        (("prompt", "none login"),),
    ),
    Refused(
        "prompt=none, and no one is signed in here", "login_required",
        "Send the person without prompt=none. An app on a person's own device gets interaction_required, also where "
        "someone is signed in: the person confirms each of its sign-ins, so keep its refresh token.",
        (("prompt", "none"),),
    ),
)  # fmt: skip

AT_TOKEN: Final = (
    Refused("A wrong secret, or a key that is not registered", "invalid_client", "The log says which of them it was."),
    Refused(
        "An assertion signed with one of your keys that is wrong in another way", "invalid_client",
        "error_description says what it is: its audience, its times, or a jti that was used before.",
    ),
    Refused(
        "A grant_type that your application is not registered for", "unauthorized_client",
        "Ask for the scopes of the API for partners when you ask to go live. No sandbox application has them.",
    ),
    Refused("JSON instead of a form", "invalid_request", "Send application/x-www-form-urlencoded."),
    Refused(
        "A code that has expired, or that we do not know", "invalid_grant",
        "Begin the sign-in again. error_description says how long ago it expired.",
    ),
    Refused(
        "The same code a second time", "invalid_grant",
        "All tokens that came from it end, because someone else may have used it. Begin the sign-in again.",
    ),
    Refused("A code_verifier or redirect_uri other than that of the request", "invalid_grant", "Begin again."),
    Refused(
        "A refresh token of a school that has stopped sharing", "invalid_grant",
        "Delete the token. The school has to authorise again.",
    ),
    Refused(
        "A refresh token of a school that has paused sharing", "access_denied",
        "Keep the token, and try again later: it works when the school resumes. The same applies where the school has "
        "named a system (MIS) that your application does not accept, and where its account is suspended.",
    ),
)  # fmt: skip


AT_DPOP: Final = (
    Refused(
        "A request to the authorization endpoint that was not pushed", "invalid_request",
        "Push it first (PAR). Only a fapi2 application has to.",
    ),
    Refused(
        "A request_uri of ours that has expired, was used, or is open in another browser", "a page",
        "The person sees a page, and nothing is sent to your application. Begin again with a new one.",
    ),
    Refused(
        "No proof at the token endpoint", "invalid_dpop_proof",
        "Send one with each request. fapi2 applications need it, and those with dpop_bound_access_tokens.",
    ),
    Refused(
        "A proof for another method or URL, an old one, or one that was used", "invalid_dpop_proof",
        "error_description says what it is. htu is the URL in our metadata, even if you call us through a proxy.",
    ),
    Refused(
        "A proof without our nonce, where we ask for it", "use_dpop_nonce", "Repeat it with the nonce in DPoP-Nonce.",
    ),
    Refused(
        "A code with a proof by a key other than that of its pushed request", "invalid_grant",
        "Use the same key for both. The code can still be redeemed.",
    ),
    Refused(
        "An access token that is bound to a key, as Bearer", "invalid_token",
        "Send it as DPoP, with a proof. If a library sends it, look for its DPoP setting.",
    ),
)  # fmt: skip

AT_USERINFO: Final = (
    Refused("No access token at userinfo", "invalid_token", "Send it in the Authorization header, as Bearer or DPoP."),
    Refused("An access token in the query", "invalid_request", "Send it in the Authorization header."),
    Refused(
        "An access token that has expired, or is cut off", "invalid_token", "Refresh, and send the whole new one.",
    ),
    Refused("An access token without openid at userinfo", "insufficient_scope", "Ask for openid at the sign-in."),
    Refused(
        "At introspection, a token of another application", '"active": false',
        "No error, and not in the log. Only the application that a token was issued to, and the API that it is for, "
        "get more: ask us to register your API with its URL (resource).",
    ),
)  # fmt: skip

AT_LOGOUT: Final = (
    Refused(
        "A post_logout_redirect_uri that is not registered", "a page",
        "Register it under After signing out. It is compared as a redirect_uri is.",
    ),
    Refused(
        "An id_token_hint that is not one of our ID Tokens", "a page",
        "Send the ID Token of the sign-in unchanged. It may have expired in the meantime.",
    ),
    Refused(
        "No id_token_hint", "a question",
        "The person is asked, and stays here: with client_id a link leads to your URI. Send id_token_hint.",
    ),
)  # fmt: skip

AT_DATA: Final = (
    Refused("A token that has expired", "invalid_token", "Refresh, and send the new one."),
    Refused(
        "A token that is for another API: it has no data scope", "invalid_token",
        "A refresh does not help. Ask for a data scope, such as students; then aud contains the API.",
    ),
    Refused(
        "A token of a school that has paused sharing", "authorisation_paused",
        "Wait. Your refresh token works again when the school resumes.",
    ),
    Refused(
        "A token of a school that has stopped sharing", "authorisation_ended",
        "Stop asking, and delete the data as your agreement says.",
    ),
    Refused("A token of a school that is not verified yet", "school_unverified", "Wait: we send an event when it is."),
    Refused(
        "A token of a school that has not sent any data yet", "endpoint_not_registered",
        "Wait until the school has installed the program that reads its system.",
    ),
    Refused(
        "A collection that the school does not share", "insufficient_scope", "WWW-Authenticate names the scopes.",
    ),
    Refused(
        "A cursor from before the school shared more or less, or an old one", "cursor_expired",
        "Read the collection from its beginning.",
    ),
    Refused("Anything while the service is busy", "temporarily_unavailable", "Try again after Retry-After."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """What the page shows."""

    metadata: dict[str, Any]
    """Our discovery document."""
    lifetimes: list[tuple[str, str]]
    clocks: list[tuple[str, str]]
    claims: list[tuple[str, str]]
    """Each scope about people, and its claims."""
    members: list[tuple[str, str]]
    """Each scope about school data, and the members of records that it gives."""
    expected_errors: list[str]
    """Errors that are not in the log of failed requests."""
    logged_problems: list[str]
    """Those of the API for partners that are in it."""
    max_events: int
    max_references: int
    """References that an entry of the log has."""
    parts: list[str]
    """The parts of a URI that the log compares."""
    log_kept: str
    """How long an entry of the log is kept after its last failure."""
    pushed_request: str
    """How long a pushed request waits for a browser."""
    has_nonces: bool
    """Whether DPoP proofs must have a nonce of ours."""
    cache: str
    """How long our metadata and keys may be stored."""
    keys_cached: str
    """How long we use the keys at a `jwks_uri` without fetching them again."""
    keys_interval: str
    keys_stale: str
    """How long we use them while they cannot be fetched."""
    secret_reminder: str
    """How long before a former secret ends its partner is reminded."""
    secret_overlap: str
    """The longest time for which a former secret works in parallel with a new one that is made in the console."""
    assertion: str
    """How long a client assertion may last."""
    rsa_bits: int = jwks.MIN_RSA_BITS
    curves: tuple[str, ...] = tuple(sorted(jwks.SIGNING_CURVES))
    max_keys: int = jwks.MAX_KEYS
    assertion_type: str = client_assertion.TYPE
    signing_algs: tuple[str, ...] = jwts.ASYMMETRIC
    strict_algs: tuple[str, ...] = jwts.STRICT_ALGS
    usual_records: int = DEFAULT_PAGE_RECORDS
    max_records: int = MAX_PAGE_RECORDS


def figures() -> Figures:
    """The figures of this service, as its settings are now."""
    tokens, sharing = runtime.settings().tokens, runtime.settings().sharing
    agreed, precision = duration(sharing.default_days * 86400), duration(families.LAST_USED_PRECISION)
    return Figures(
        metadata=discovery.metadata(),
        lifetimes=[
            ("Authorization code", _with_fapi2(duration(tokens.code), duration(tokens.code_fapi2))),
            ("Access token", _with_fapi2(duration(tokens.access), duration(tokens.access_fapi2))),
            ("ID Token", duration(tokens.id_token)),
            ("Refresh token, unused", f"{duration(tokens.refresh_idle)}; {precision} less if it stays the same"),
            ("Refresh token, at most", f"{duration(tokens.refresh_absolute)}, or until the authorisation ends"),
            ("The same for a public application without DPoP", duration(tokens.refresh_absolute_public)),
            ("A school's authorisation", f"{agreed}, unless yours is registered for less"),
            ("Pushed request, until a browser brings it", duration(tokens.pushed_request)),
            ("Time for a person to sign in, register and decide", duration(tokens.interaction)),
        ],
        clocks=[
            ("Your clock may be off by", f"{duration(tokens.skew)} either way"),
            ("With the profile fapi2", f"{duration(tokens.skew_fapi2)} ahead; if behind, what it signs expires sooner"),
            ("A client assertion may last", f"{duration(client_assertion.MAX_LIFETIME_SECONDS)}, and is accepted once"),
            ("A DPoP proof is valid for", f"{duration(dpop.MAX_AGE_SECONDS)} after its iat, and is accepted once"),
        ],
        claims=[(scope, ", ".join(names)) for scope, names in scopes.CLAIMS.items()],
        members=[
            (scope.name, ", ".join(member for members in scope.fields.values() for member in members))
            for scope in scopes.catalogue().values()
            if scope.kind == "data"
        ],
        expected_errors=sorted(failures.EXPECTED), logged_problems=sorted(failures.MISTAKES_AT_THE_API),
        max_events=failure_log.MAX_EVENTS, max_references=failure_log.MAX_REQUEST_IDS,
        parts=list(oauth_client.URI_PARTS), log_kept=duration(runtime.settings().retention.client_events * 86400),
        pushed_request=duration(tokens.pushed_request), has_nonces=tokens.dpop_nonces,
        cache=duration(discovery.CACHE_SECONDS),
        keys_cached=duration(client_keys.CACHE_SECONDS), keys_interval=duration(client_keys.MIN_FETCH_INTERVAL_SECONDS),
        keys_stale=duration(client_keys.MAX_STALE_SECONDS), secret_reminder=duration(reminders.LEAD_TIME),
        assertion=duration(client_assertion.MAX_LIFETIME_SECONDS),
        secret_overlap=duration(max(applications.OVERLAPS.values())),
    )  # fmt: skip


def duration(seconds: float | timedelta) -> str:
    """A duration in its largest whole unit: "90 days", "1 minute", "90 seconds"."""
    total = int(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    name, length = next((unit for unit in _UNITS if total and total % unit[1] == 0), _UNITS[-1])
    count = total // length
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _with_fapi2(usual: str, fapi2: str) -> str:
    return usual if usual == fapi2 else f"{usual}; with the profile fapi2 {fapi2}"
