"""A request as it was sent, and an authorization request once it has been checked.

Every parameter that we know is read once, with a bounded size, in characters that we can handle. One we do not know is
ignored, however long, odd or repeated it is, and an empty value is absent (RFC 6749 §3.1 and §3.2). Only `resource` may
be repeated (RFC 8707 §2). What is wrong with a parameter we know is noted here and refused by `checks`, which know
whether the answer may leave our host.
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
from idp.sharing.live import State

if TYPE_CHECKING:
    from flask import Request as FlaskRequest

    from idp.oidc.clients.client import OAuthClient

LIMITS: Final = {
    "client_id": 255, "redirect_uri": 2048, "scope": 2048, "state": 4096, "claims": 4096, "nonce": 512,
    "code_challenge": 128, "code_verifier": 128, "request": 16_384, "client_assertion": 8192,
    "id_token_hint": 8192, "authorization_details": 8192, "token": 8192, "access_token": 8192,
    "post_logout_redirect_uri": 2048,
}  # fmt: skip
"""Characters, where more or less than `OTHERWISE` is needed (protocol.md §5)."""
OTHERWISE: Final = 512
AUTHORIZE, PAR, BACK_CHANNEL = "authorize", "par", "back channel"
"""Where a request came in: a browser at authorize, a client at PAR, or at the other endpoints for clients."""
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
KNOWN: Final = AUTHORIZATION | LOGOUT | frozenset(
    {"code_verifier", "grant_type", "code", "refresh_token", "client_secret", "client_assertion",
     "client_assertion_type", "token", "token_type_hint", "access_token", "device_code"}
)  # fmt: skip
"""All parameters of the protocol. Only these are read, and only these are named in an error."""
HINTS: Final = frozenset({"login_hint", "logout_hint", "ui_locales", "claims_locales", "display", "acr_values"})
"""Optional hints (OpenID Connect Core §3.1.2.1): one that is too long is dropped."""
_MALFORMED: Final = re.compile(r"[\x00-\x1f\x7f\ufffd\ud800-\udfff]")
MANY: Final = frozenset({"resource"})
"""Parameters that may be repeated."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What was sent: `values` by name, all `resources`, and which names are `wrong`, with the reason."""

    values: dict[str, str]
    resources: tuple[str, ...] = ()
    wrong: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, name: object) -> bool:
        return name in self.values

    def get(self, name: str) -> str | None:
        """The value, or None where it is absent or empty."""
        return self.values.get(name)

    def fault(self) -> tuple[str, str] | None:
        """The first parameter that is wrong, and what is wrong with it; None if all are right."""
        return next(iter(self.wrong.items()), None)


def pairs(text: bytes) -> list[tuple[str, str]]:
    """Names and values of a query or a form; what is not UTF-8 is read as U+FFFD, which no parameter may have."""
    return parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True)


def parameters(sent: Iterable[tuple[str, str]], known: frozenset[str] = KNOWN) -> Parameters:
    """Read those name and value pairs of a query or a form whose name is in `known`."""
    sent = [(name, value) for name, value in sent if value and name in known]
    is_suspicious = _is_malformed("".join([value for _, value in sent]))
    once: dict[str, str] = {}
    resources: list[str] = []
    wrong: dict[str, str] = {}
    for name, value in sent:
        if name in once:
            wrong[name] = "sent more than once"
        elif len(value) > LIMITS.get(name, OTHERWISE):
            if name in HINTS:
                continue
            wrong[name] = "too long"
        elif is_suspicious and _is_malformed(value):
            wrong[name] = "has characters that are not allowed"
        if name in MANY:
            resources.append(value)
        else:
            once.setdefault(name, value)
    return Parameters(once, tuple(resources), wrong)


def as_json(value: Any) -> str:
    """A JSON value as a parameter's text."""
    return json.dumps(value, separators=(",", ":"))


def _is_malformed(text: str) -> bool:
    """Control characters, what was not UTF-8 (it is read as U+FFFD), and halves of characters, which JSON can name."""
    return _MALFORMED.search(text) is not None


class Payload(OAuth2Payload):  # type: ignore[misc]  # Authlib has no types
    """The parameters in the shape Authlib asks for."""

    def __init__(self, sent: Parameters) -> None:
        self.sent = sent

    @property
    def data(self) -> dict[str, str]:
        """By name."""
        return self.sent.values

    @property
    def datalist(self) -> dict[str, list[str]]:
        """By name, each in a list: repeated ones were refused before Authlib looks."""
        return {name: [value] for name, value in self.sent.values.items()}


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A pending request as it stands in its row, loaded for this browser."""

    client_id: str
    digest: bytes
    urn: str
    pushed: bool
    browser: bytes
    """The digest of the cookie of the browser that it was first shown in."""
    dpop_jkt: str | None
    since: datetime
    """When it was first shown: a sign-in or an agreement counts for it from then on."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """An authorization request as the client sent it: only the client is known to be what it says."""

    client: "OAuthClient"
    endpoint: str
    """`AUTHORIZE` or `PAR`."""
    parameters: Parameters
    """Those of the pending request or of the request object, where there is one."""
    pending: PendingRequest | None
    is_signed: bool
    """Whether the parameters came in a request object of the client."""
    proven_jkt: str | None
    """The thumbprint of the key in the DPoP proof beside a pushed request."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where the answer to an authorization request may go, and how."""

    client: "OAuthClient"
    redirect_uri: str
    """Registered for the client."""
    mode: str | None
    """`response_mode`; None, which is the query, where it was not sent or is not supported."""
    state: str | None


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """An authorization request that has passed every check."""

    client: "OAuthClient"
    sent: Parameters
    """What it was read from, to be kept while a person is asked."""
    pending: PendingRequest | None
    """The row that it was loaded from; None where it came with its parameters."""
    reply_to: ReplyTo
    scopes: frozenset[str]
    resource: frozenset[str]
    code_challenge: str | None
    """By S256; None for a client that need not use PKCE."""
    dpop_jkt: str | None
    """The thumbprint of the key that the code will be bound to."""
    nonce: str | None
    prompt: frozenset[str]
    max_age: int | None
    """Seconds."""
    claims: dict[str, list[str]] | None
    """The names asked for, by `userinfo` and `id_token`; None where the parameter was not sent."""
    acr: frozenset[str]
    """The classes of sign-in that `claims` makes essential; empty if none."""
    voluntary_acr: tuple[str, ...]
    """The classes that `claims` or `acr_values` only wishes for, the preferred one first."""
    subject: str | None
    """The subject that `id_token_hint` or `claims` names."""
    login_hint: str | None


class Request:
    """An OAuth request with the attributes that Authlib reads, and those that our endpoints set.

    It is not derived from Authlib's own, which refuses plain http by an error that is not caught: whether https is
    needed is for the settings to say. And Authlib has no types: its subclasses have every attribute for mypy.
    """

    client: "OAuthClient" = cast("Any", None)
    """Set before any grant reads it."""
    reply_to: ReplyTo | None = None
    """Of an authorization request, once its redirect URI is proven to be the client's: errors are answered there."""
    checked: CheckedRequest = cast("Any", None)
    """Of an authorization request; set before any grant reads it."""
    dpop_jkt: str | None = None
    """The thumbprint of the key in a DPoP proof of the client."""
    scopes: frozenset[str] = frozenset()
    """This and the next four are what the grants note at the token endpoint."""
    resource: frozenset[str] = frozenset()
    nonce: str | None = None
    basis: Basis = cast("Any", None)
    """What the code or refresh token stands for, once it is proven to be good."""
    user: State = cast("Any", None)
    """How the authorisation stands, which Authlib takes for the user."""
    auth_method: Any = None
    """This and the next are what Authlib notes on its requests."""
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
        """The parameters, from the stored row where there is one."""
        sent: Parameters = self.payload.sent
        return sent

    @property
    def form(self) -> dict[str, str]:
        """What Authlib's grants read their own parameters from."""
        return self.sent.values

    @property
    def args(self) -> dict[str, str]:
        """Authlib reads it nowhere that we use; never the query on the back channel."""
        return self.sent.values
