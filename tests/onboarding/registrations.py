"""Registrations in their different states. Call these functions in a transaction."""

from typing import Any

from idp.foundation import crypto
from idp.foundation.database import session
from idp.onboarding import first_credentials, signup
from idp.onboarding.models import Registration
from idp.schools.models import School
from tests.factories import a_school

OWN_BROWSER = crypto.digest("the cookie of the browser that began")
OTHER_BROWSER = crypto.digest("the cookie of another browser")


def details(**overrides: Any) -> signup.Details:
    """The details that Jo Bloggs types."""
    fields = {"name": "Jo Bloggs", "email": "office@oakhill.example", "mobile": "+447700900123"}
    return signup.Details(**(fields | overrides))


def a_registration(school: School | None = None, *, return_to: str | None = None, **overrides: Any) -> Registration:
    """Begin a registration in the browser `OWN_BROWSER`; its mail is in the outbox."""
    return signup.begin(school or a_school(), details(**overrides), browser=OWN_BROWSER, return_to=return_to)


def generated_password() -> first_credentials.GeneratedPassword:
    """A generated password, with a fake hash."""
    return first_credentials.GeneratedPassword("six-random-words", "hash of six-random-words")


def complete(registration: Registration) -> str:
    """Sign up, after the address was verified."""
    verify_address(registration)
    return signup.complete(registration, details(email=registration.email), generated_password(), browser=OWN_BROWSER)


def verify_address(registration: Registration, browser: bytes = OWN_BROWSER) -> None:
    """Verify the address, as the link in the mail does when it is opened in `browser`."""
    registration.verified_email, registration.email_verified_at = registration.email, registration.created_at
    registration.verified_in = registration.continues_in = browser
    session().flush()
