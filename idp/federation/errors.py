"""Errors in a sign-in with another provider. Each is shown as a page in plain words; the reason goes to the log."""

from idp.foundation.errors import Refusal

Steps = tuple[tuple[str, str], ...]


class ProviderUnavailable(Refusal):
    """The provider does not respond, or responds with a server error."""

    code, status, title = "provider_unavailable", 503, "Your school's account cannot be checked just now"
    message = (
        "The service that your school's account is with did not respond. Nothing was changed. You can try again in a "
        "minute, or sign in with your password."
    )


class ResponseRefused(Refusal):
    """The provider's response is invalid: wrong key, issuer, audience, nonce or time, or not a response at all."""

    code, status, title = "provider_response", 400, "We could not accept the response from that account"
    message = (
        "The response that we received about your school's account is not one that we can rely on, so we did not use "
        "it. Nothing was changed. Please try again, or sign in with your password."
    )


class SignInRefused(Refusal):
    """The provider did not sign the person in (RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6)."""

    code, status, title = "provider_refused", 400, "That account did not sign you in"
    message = (
        "The service that your school's account is with says that it did not sign you in. Nothing was changed. Please "
        "try again, sign in with your password, or ask the person who looks after your school's accounts."
    )


class RequestStale(Refusal):
    """No request of this browser fits the response: it took too long, has its response already, or began elsewhere."""

    code, status, title = "provider_request_stale", 410, "Please start again"
    message = (
        "You came back from signing in to your school's account, but not within ten minutes, not for the first time, "
        "or not in the browser in which you began. Nothing was changed."
    )


class SchoolAccountNeeded(Refusal):
    """The account is a personal one: it belongs to no organisation."""

    code, status, title = "school_account_needed", 403, "That is a personal account"
    message = (
        "We accept only accounts that a school gives to its staff, not personal ones. Please choose the account that "
        "you use for work, or sign in with your password."
    )


class AccountTaken(Refusal):
    """The account is linked to another person."""

    code, status, title = "account_taken", 409, "That account is linked to someone else"
    message = (
        "Each school account can be linked to one person here, and this one is linked to another. Please choose your "
        "own account. If this is your own, please contact us."
    )


class AlreadyLinked(Refusal):
    """The person has another account of this provider."""

    code, status, title = "already_linked", 409, "You have already linked another account"
    message = "Unlink the account that you have linked first. Then you can link a different one."
