"""Accounts of people who sign in with a password and a code: our staff, and partners' developers."""

from datetime import timedelta
from typing import Any, NamedTuple

import pyotp

from idp.foundation import clock, crypto, runtime
from idp.foundation.database import session
from idp.partners.models import Partner
from idp.signin.code_accounts import DEVELOPERS, OPERATORS
from idp.signin.models import Developer, Operator
from tests.signin.person import Person

PASSWORD = "wobbly kettle sings at dusk"


class OperatorAccount(NamedTuple):
    """An operator, and the seed of their authenticator app."""

    operator: Operator
    seed: str


class DeveloperAccount(NamedTuple):
    """A partner's developer, and the seed of their authenticator app."""

    developer: Developer
    seed: str


def an_operator(email: str = "ops@idaas.example") -> OperatorAccount:
    """One of our staff, whose account is set up."""
    operator = Operator(id=crypto.new_id("opr"), name="Ola Perez", email=email, email_folded=email)
    return OperatorAccount(operator, _set_up(operator, OPERATORS))


def a_developer(partner: Partner, email: str = "sam@assembly.example", **overrides: Any) -> DeveloperAccount:
    """An owner of the partner's applications, whose own account is set up."""
    values = {"name": "Sam Lee", "is_owner": True, "invited_by": "cli", "invited_at": clock.now()} | overrides
    developer = Developer(id=crypto.new_id("dev"), partner_id=partner.id, email=email, email_folded=email, **values)
    return DeveloperAccount(developer, _set_up(developer, DEVELOPERS))


def sign_in(person: Person, at: str, email: str, seed: str) -> None:
    """Sign the person in at `/operate` or `/developers`, half a minute later: each code of the app is good once."""
    clock.move(timedelta(seconds=30))
    person.submit(f"{at}/sign-in", email=email, password=PASSWORD, code=pyotp.TOTP(seed).at(clock.timestamp()))
    assert person.response.status_code == 303


def _set_up(account: Any, accounts: Any) -> str:
    """Set a password and an authenticator app, and store the account; returns the seed of the app."""
    seed = pyotp.random_base32(32)
    account.password_hash, account.set_up_at = runtime.passwords().hash(PASSWORD), clock.now()
    account.created_at, account.disabled_at, account.totp_step = clock.now(), None, None
    account.totp_sealed = runtime.sealer().seal(seed.encode(), context=accounts._seed_context(account.id))
    session().add(account)
    session().flush()
    return seed
