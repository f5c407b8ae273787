"""A request as it was sent, and an authorization request once it has been checked.

Parameters that we do not know are ignored, and an empty value counts as absent (RFC 6749 §3.1 and §3.2). Those we know
may be sent once, except `resource` (RFC 8707 §2), with at most `MAX_LENGTHS` characters and without control characters.
What is wrong with one is recorded in `Parameters.wrong` and refused by `authorization.checks`: only after the redirect
URI is checked can the error be sent there.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import OAuth2Payload

from idp.oidc.basis import Basis
from idp.sharing.agreement_state import AgreementState

if TYPE_CHECKING:
    from flask import Request as FlaskRequest

    from idp.oidc.clients.oauth_client import OAuthClient

MAX_LENGTHS: Final = {
    "client_id": 255, "redirect_uri": 2048, "scope": 2048, "state": 4096, "claims": 4096, "nonce": 512,
    "code_challenge": 128, "code_verifier": 128, "request": 16_384, "client_assertion": 8192,
    "id_token_hint": 8192, "authorization_details": 8192, "token": 8192, "access_token": 8192,
    "post_logout_redirect_uri": 2048,
}  # fmt: skip
"""In characters, by parameter (protocol.md §5)."""
DEFAULT_MAX_LENGTH: Final = 512
"""In characters, for all other parameters."""
AUTHORIZE, PAR, BACK_CHANNEL = "authorize", "par", "back channel"
"""Who sent a request, and where to: a browser to authorize, a client to PAR, or to another endpoint for clients."""
AUTHORIZATION: Final = frozenset(
    {"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "prompt", "max_age",
     "acr_values", "claims", "display", "ui_locales", "claims_locales", "login_hint", "id_token_hint", "resource",
     "code_challenge", "code_challenge_method", "request", "request_uri", "dpop_jkt", "authorization_details"}
)  # fmt: skip
"""Parameters of an authorization request."""
LOGOUT: Final = frozenset(
    {"id_token_hint", "logout_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"}
)  # fmt: skip
"""Parameters of a request to sign out (RP-Initiated Logout 1.0 §2)."""
KNOWN_PARAMETERS: Final = AUTHORIZATION | LOGOUT | frozenset(
    {"code_verifier", "grant_type", "code", "refresh_token", "client_secret", "client_assertion",
     "client_assertion_type", "token", "token_type_hint", "access_token", "device_code"}
)  # fmt: skip
"""All OAuth parameters that we read, and the only ones that an error may name."""
HINTS: Final = frozenset({"login_hint", "logout_hint", "ui_locales", "claims_locales", "display", "acr_values"})
"""Optional hints (OpenID Connect Core §3.1.2.1): one that is too long is dropped."""
_MALFORMED: Final = re.compile(r"[\x00-\x1f\x7f\ufffd\ud800-\udfff]")
REPEATABLE: Final = frozenset({"resource"})
"""Parameters that may be repeated."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a query or a form: `values` by name, all `resources`, and in `wrong` the reason by name."""

    values: dict[str, str]
    resources: tuple[str, ...] = ()
    wrong: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, name: object) -> bool:
        return name in self.values

    def get(self, name: str) -> str | None:
        """The value, or None where it is absent or empty."""
        return self.values.get(name)

    def fault(self) -> tuple[str, str] | None:
        """The first parameter that is wrong, and the reason; None if all are valid."""
        return next(iter(self.wrong.items()), None)


def pairs(text: bytes) -> list[tuple[str, str]]:
    """Names and values of a query or a form; bytes that are not UTF-8 become U+FFFD, which no parameter may contain."""
    return parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True)


def parameters(sent: Iterable[tuple[str, str]], known: frozenset[str] = KNOWN_PARAMETERS) -> Parameters:
    """Read those name and value pairs of a query or a form whose name is in `known`."""
    sent = [(name, value) for name, value in sent if value and name in known]
    is_suspicious = _is_malformed("".join([value for _, value in sent]))
    values: dict[str, str] = {}
    resources: list[str] = []
    wrong: dict[str, str] = {}
    for name, value in sent:
        if name in values:
            wrong[name] = "sent more than once"
        elif len(value) > MAX_LENGTHS.get(name, DEFAULT_MAX_LENGTH):
            if name in HINTS:
                continue
            wrong[name] = "too long"
        elif is_suspicious and _is_malformed(value):
            wrong[name] = "has characters that are not allowed"
        if name in REPEATABLE:
            resources.append(value)
        else:
            values.setdefault(name, value)
    return Parameters(values, tuple(resources), wrong)


def as_json(value: Any) -> str:
    """A JSON value as a parameter's text."""
    return json.dumps(value, separators=(",", ":"))


def _is_malformed(text: str) -> bool:
    """Whether it has control characters, U+FFFD (which stands for bytes that are not UTF-8), or lone surrogates."""
    return _MALFORMED.search(text) is not None


class Payload(OAuth2Payload):  # type: ignore[misc]  # Authlib has no types
    """The parameters in the form that Authlib reads."""

    def __init__(self, sent: Parameters) -> None:
        self.sent = sent

    @property
    def data(self) -> dict[str, str]:
        """By name."""
        return self.sent.values

    @property
    def datalist(self) -> dict[str, list[str]]:
        """By name, each in a list of one: repeated parameters are refused before Authlib reads this."""
        return {name: [value] for name, value in self.sent.values.items()}


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """The row of a pending request, once it is loaded for the browser that it is bound to."""

    client_id: str
    digest: bytes
    urn: str
    pushed: bool
    browser: bytes
    """The digest of the cookie of the browser that it was first shown in."""
    dpop_jkt: str | None
    since: datetime
    """When it was first shown. `prompt=login` and `prompt=consent` are satisfied by what happens after that."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """An authorization request before the checks: only `client_id` is checked, and the pending request is loaded."""

    client: "OAuthClient"
    endpoint: str
    """`AUTHORIZE` or `PAR`."""
    parameters: Parameters
    """Those of the pending request or of the request object, where there is one."""
    pending: PendingRequest | None
    is_signed: bool
    """Whether the parameters came in a request object of the client."""
    proven_jkt: str | None
    """The thumbprint of the key in the DPoP proof sent with a pushed request."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where the response to an authorization request is sent, and how."""

    client: "OAuthClient"
    redirect_uri: str
    """One that the client has registered."""
    mode: str | None
    """`response_mode` as sent. The response is in the query if there is none, or one that is not supported."""
    state: str | None


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """An authorization request that has passed every check."""

    client: "OAuthClient"
    sent: Parameters
    """The parameters that it was read from, to be stored while a person signs in or decides."""
    pending: PendingRequest | None
    """The row that it was loaded from; None where it came with its parameters."""
    reply_to: ReplyTo
    scopes: frozenset[str]
    resource: frozenset[str]
    code_challenge: str | None
    """For S256; None for a client that does not use PKCE."""
    dpop_jkt: str | None
    """The thumbprint of the key that the code will be bound to."""
    nonce: str | None
    prompt: frozenset[str]
    max_age: int | None
    """Seconds."""
    claims: dict[str, list[str]] | None
    """Names of the requested claims, by `userinfo` and `id_token`; None where the parameter was not sent."""
    acr: frozenset[str]
    """The authentication classes that `claims` makes essential; empty if none."""
    voluntary_acr: tuple[str, ...]
    """The authentication classes of `claims` or `acr_values` that are not essential, the most preferred first."""
    subject: str | None
    """The `sub` of the person who must sign in, from `id_token_hint` or `claims`."""
    login_hint: str | None


class Request:
    """An OAuth request with the attributes that Authlib reads, and those that our endpoints set.

    It is not derived from Authlib's `OAuth2Request`, which raises an uncaught error for plain http, although our
    settings allow that in development. And Authlib has no types, so mypy would accept any attribute of a subclass.
    """

    client: "OAuthClient" = cast("Any", None)
    """Set before any grant reads it."""
    reply_to: ReplyTo | None = None
    """Of an authorization request, once its redirect URI is known to be registered: errors are sent there."""
    checked: CheckedRequest = cast("Any", None)
    """Of an authorization request; set before any grant reads it."""
    dpop_jkt: str | None = None
    """The thumbprint of the key in the client's DPoP proof (RFC 9449 §6.1)."""
    scopes: frozenset[str] = frozenset()
    """This and the next four are set by the grants, at the token endpoint."""
    resource: frozenset[str] = frozenset()
    nonce: str | None = None
    basis: Basis = cast("Any", None)
    """What tokens are issued for: the content of the code or of the refresh token's family, once that is valid."""
    user: AgreementState = cast("Any", None)
    """The state of the school's authorisation. Authlib calls it the user."""
    auth_method: Any = None
    """This and the next three are set by Authlib."""
    authorization_code: Any = None
    refresh_token: Any = None
    credential: Any = None

    def __init__(self, flask: "FlaskRequest", sent: Parameters, endpoint: str) -> None:
        self.method, self.path, self.headers = flask.method, flask.path, flask.headers
        self.authorization: str = flask.environ.get("HTTP_AUTHORIZATION", "")
        """The `Authorization` header; empty where there is none."""
        self.payload = Payload(sent)
        self.endpoint = endpoint

    @property
    def sent(self) -> Parameters:
        """The parameters: those of the pending request where there is one."""
        sent: Parameters = self.payload.sent
        return sent

    @property
    def form(self) -> dict[str, str]:
        """The parameters, under the name by which Authlib's grants read them."""
        return self.sent.values

    @property
    def args(self) -> dict[str, str]:
        """The same parameters: Authlib's own `args` would be the query, which only authorize reads."""
        return self.sent.values
