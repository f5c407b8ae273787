"""Errors of the protocol, with constant texts, and refusals shown as pages.

Authlib raises an uncaught `ValueError` for a description with characters outside RFC 6749's set, and its own
descriptions quote what was sent (protocol.md §4.2, 1). Ours name a known parameter and what is wrong with it. They
quote what was sent only where it helps and is not a secret (names of scopes, `aud`, `htu`), through
`descriptions.sanitise`.

* OAuthError                 returned to the client, in JSON or at its redirect URI
* NotToBeRedirected          a page: client or redirect URI are not proven
* ServiceSwitchedOff         a page: the client is known, and disabled
* StaleRequest               a page: the pending request is expired, spent, or of another browser
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Literal, TypeAlias

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidGrantError, InvalidRequestError, InvalidScopeError

from idp.foundation import descriptions
from idp.foundation.errors import Refusal
from idp.foundation.scopes import UnknownScope
from idp.sharing.agreement_state import Interruption

OAuthError: TypeAlias = OAuth2Error
"""Authlib's base class of all these, for packages that do not import Authlib."""
CLIENT_REFUSED = (
    "client authentication failed; if there is such a client, its log at /developers/failed-requests says why"
)
"""The description of `invalid_client`, the same for every reason (security.md rule 5)."""
INTERRUPTED: Final[Mapping[Interruption, str]] = {
    "paused": "the school has paused sharing; tokens work again when the school resumes",
    "other_system": "the school has named a system (MIS) that this client does not accept; tokens work again when it "
    "names another",
    "suspended": "the account of the school is suspended; tokens work again when that ends",
}
"""Error descriptions at the token endpoint and userinfo, by which a client can tell an interruption from the end."""
Scheme = Literal["Bearer", "DPoP"]
"""How an access token has to be sent: with a proof where it is bound to a key (RFC 9449 §7)."""


def invalid_scope(detail: str, names: Iterable[str] = ()) -> InvalidScopeError:
    """`invalid_scope`, saying what is wrong and with which of the scopes."""
    named = f": {descriptions.format_value(sorted(names))}" if names else ""
    return InvalidScopeError(description=f"scope: {detail}{named}")


def unknown_scope(error: UnknownScope) -> InvalidScopeError:
    """`invalid_scope` for a scope that cannot be read or does not exist."""
    return invalid_scope(
        "does not exist" if error.names else "must be names of scopes, with a space between", error.names
    )


def invalid(parameter: str, detail: str) -> InvalidRequestError:
    """`invalid_request`, naming the parameter that is wrong and what is wrong with it."""
    return InvalidRequestError(description=f"{parameter}: {detail}")


def invalid_client() -> InvalidClientError:
    """The one response to a client that is unknown, disabled, or fails to prove itself (RFC 6749 §5.2)."""
    return InvalidClientError(description=CLIENT_REFUSED, status_code=401)


def invalid_grant(detail: str) -> InvalidGrantError:
    """`invalid_grant` and why, without saying whether the token exists for another client."""
    return InvalidGrantError(description=detail)


class SharingInterrupted(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """Sharing is interrupted, not ended. The code is not `invalid_grant`, at which clients discard refresh tokens.

    RFC 8628 §3.5 uses `access_denied` at the token endpoint where a person refuses.
    """

    error = "access_denied"

    def __init__(self, interruption: Interruption) -> None:
        super().__init__(description=f"refresh_token: {INTERRUPTED[interruption]}")


class ProvenClientRefused(InvalidClientError):  # type: ignore[misc]  # Authlib has no types
    """`invalid_client` for a client whose signature was right, so the response may name what else is wrong."""

    def __init__(self, detail: str) -> None:
        super().__init__(description=descriptions.sanitise(f"client_assertion: {detail}"), status_code=401)


class UnsupportedGrantType(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """The grant type is not supported (RFC 6749 §5.2). Authlib's own error quotes what was sent."""

    error = "unsupported_grant_type"
    description = "grant_type: not supported"


class InvalidTarget(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """A requested resource is unknown, or not for this client (RFC 8707 §2)."""

    error = "invalid_target"
    description = "resource: unknown, or not for this client"


class UnmetAuthenticationRequirements(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """No class that is essential can be reached (OpenID Connect Core unmet_authentication_requirements 1.0 §3)."""

    error = "unmet_authentication_requirements"
    description = "claims: the person could not sign in by any of the acr values that are essential"


class InvalidAuthorizationDetails(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """`authorization_details` was sent, of which we support no type (RFC 9396 §5)."""

    error = "invalid_authorization_details"
    description = "authorization_details: none of their types is supported"


class UnsupportedResponseType(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """The response type is not supported (RFC 6749 §4.1.2.1). Authlib's own error quotes what was sent."""

    error = "unsupported_response_type"
    description = "response_type: only code is supported"


class InvalidToken(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """The access token is not valid, or was sent by the wrong scheme (RFC 6750 §3.1)."""

    error = "invalid_token"
    status_code = 401

    def __init__(self, detail: str, scheme: Scheme) -> None:
        super().__init__(description=descriptions.sanitise(f"access_token: {detail}"))
        self.scheme = scheme


class InsufficientScope(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """The access token is valid, and does not cover the request (RFC 6750 §3.1)."""

    error = "insufficient_scope"
    status_code = 403

    def __init__(self, detail: str, scheme: Scheme) -> None:
        super().__init__(description=descriptions.sanitise(f"access_token: {detail}"))
        self.scheme = scheme


class TemporarilyUnavailable(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """A temporary failure on our side; the client should try again."""

    error = "temporarily_unavailable"
    description = "try again in a few seconds"
    status_code = 503


class NotToBeRedirected(Refusal):
    """The client or its redirect URI is not proven, so the response is a page for its developer.

    `parameter` is the wrong one; `detail` says what is wrong with it.
    """

    status, title = 400, "This link from another service does not work"
    message = (
        "There is a mistake in the link that the service sent you here with. There is nothing wrong with your "
        "account, and nothing you need to do here. Please tell the service what this page says."
    )
    code: ClassVar[str] = "invalid_request"

    def __init__(self, parameter: str, detail: str, *, reason: str = "", error: str = "invalid_request") -> None:
        super().__init__(reason=reason or f"{parameter}: {detail}")
        self.parameter, self.detail, self.error = parameter, detail, error


class ServiceSwitchedOff(NotToBeRedirected):
    """The client or its company is disabled, which is not a mistake in a link."""

    code, title = "service_switched_off", "This service is switched off at the moment"
    message = (
        "The service that sent you here is switched off for all schools, so it cannot sign you in. Nothing is wrong "
        "with your account, and what your school has agreed to share is kept. Please ask the service about it."
    )

    def __init__(self, client_id: str) -> None:
        super().__init__(
            "client_id", "this client, or its partner, is disabled", reason=f"client {client_id} is disabled",
            error="unauthorized_client",
        )  # fmt: skip


class StaleRequest(Refusal):
    """A pending request that cannot be continued; `detail` tells the person what became of it.

    `partner` is the name of the service that made it, and `way_back` a URL there; None if unknown.
    """

    code, status, title = "request_expired", 400, "This sign-in cannot be continued"
    message = "Please go back to the service you came from and start again from there."

    def __init__(self, detail: str, *, reason: str, partner: str | None = None, way_back: str | None = None) -> None:
        super().__init__(reason=reason)
        self.detail, self.partner, self.way_back = detail, partner, way_back


def body(error: OAuth2Error) -> dict[str, Any]:
    """An error's JSON (RFC 6749 §5.2): its code and our words, and nothing else."""
    return {"error": error.error, **({"error_description": error.description} if error.description else {})}
