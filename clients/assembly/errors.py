"""Errors of sign-ins and of requests to the provider. `title` and `message` are shown; arguments are logged."""

from typing import Literal


class ProviderError(Exception):
    """The base class: a sign-in, or a request to the provider, failed."""

    status = 400
    title = "That did not work"
    message = "Please sign in again."


class SignInNotFound(ProviderError):
    """The response does not belong to a recent request of this browser."""

    title = "Please start again"
    message = (
        "This sign-in was started in another browser, has been used already, or has been left open too long. "
        "Nothing was shared with us."
    )


class SharingDeclined(ProviderError):
    """The school or the person declined."""

    status = 200
    title = "Nothing was shared"
    message = "You cancelled, or your school chose not to share. You can try again at any time."


class UntrustedResponse(ProviderError):
    """The response does not come from our provider, or is about another person."""

    title = "We could not accept that response"
    message = "We could not confirm that it came from the school sign-in service, so we have not signed you in."

    def __init__(self, detail: str, reason: Literal["signature", "issuer", "audience", "other"] = "other") -> None:
        super().__init__(detail)
        self.reason = reason


class RequestRefused(ProviderError):
    """The provider refused our request. `code` and `detail` are what it said (RFC 6749 §5.2, RFC 9457)."""

    status = 502
    title = "The school sign-in service refused our request"
    message = "This is our fault, not yours, and we have made a note of it. Please try again later."

    def __init__(self, code: str, detail: str = "", http_status: int = 400) -> None:
        super().__init__(code, detail)
        self.code, self.detail, self.http_status = code, detail, http_status


class ProviderUnreachable(ProviderError):
    """The provider does not respond, or not as it should."""

    status = 503
    title = "The school sign-in service is not responding"
    message = "It cannot be reached at the moment. Please try again in a few minutes."
