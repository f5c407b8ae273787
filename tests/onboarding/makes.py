"""What these tests begin with. Call them inside `work()`."""

from typing import Any

from idp.foundation import crypto
from idp.foundation.database import session
from idp.onboarding import first_credentials, signup
from idp.onboarding.models import Registration
from idp.schools.models import School
from tests.factories import a_school

OURS = crypto.digest("the cookie of the browser that began")
OTHERS = crypto.digest("the cookie of some other browser")


def details(**overrides: Any) -> signup.Details:
    """What Jo Bloggs types."""
    fields = {"name": "Jo Bloggs", "email": "office@oakhill.example", "mobile": "+447700900123"}
    return signup.Details(**(fields | overrides))


def a_registration(school: School | None = None, *, return_to: str | None = None, **overrides: Any) -> Registration:
    """Begun in the browser `OURS`; its mail is in the outbox."""
    return signup.begin(school or a_school(), details(**overrides), browser=OURS, return_to=return_to)


def made() -> first_credentials.GeneratedPassword:
    """A password, with what stands for its hash."""
    return first_credentials.GeneratedPassword("six-random-words", "hash of six-random-words")


def completed(registration: Registration) -> str:
    """Sign up again, the address verified."""
    proved(registration)
    return signup.complete(registration, details(email=registration.email), made(), browser=OURS)


def proved(registration: Registration, browser: bytes = OURS) -> None:
    """As if the link had been pressed in the browser that began it."""
    registration.verified_email, registration.email_verified_at = registration.email, registration.created_at
    registration.proved_in = registration.continues_in = browser
    session().flush()
