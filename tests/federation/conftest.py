"""A person with a browser, and fakes of the two providers."""

import re
from dataclasses import dataclass

import pytest

from idp.estabs.models import Administrator
from idp.federation import linking, providers
from idp.federation.id_token import Identity
from tests.factories import an_administrator
from tests.federation.fake_provider import TENANT, callback, fake_provider
from tests.signin.person import Person


@pytest.fixture
def microsoft():
    with fake_provider() as provider:
        yield provider


@pytest.fixture
def google():
    with fake_provider(has_tenants=False) as provider:
        yield provider


@pytest.fixture
def enabled_providers(microsoft, google, change_settings):
    """Both providers, switched on."""
    change_settings(federation={"enabled": True, "microsoft": microsoft.settings, "google": google.settings})
    return {"microsoft": microsoft, "google": google}


@dataclass(frozen=True)
class Account:
    """A person's account here, which a test may link with one at a provider."""

    id: str
    username: str
    email: str


@pytest.fixture
def account(transaction):
    with transaction():
        person = an_administrator(email="jo@oakhill.example")
        return Account(person.id, person.username, person.email)


class Visitor(Person):
    """A person who signs in at a provider."""

    def start_sign_in(self, name, back=""):
        """Press the provider's button on the sign-in page; returns the URL to which the browser is redirected."""
        self.open("/sign-in" + (f"?next={back}" if back else ""))
        action = self.page.find("form", action=re.compile(f"^/sign-in/with/{name}"))["action"]
        self.response = self.web.post(action, data={"csrf_token": self.token})
        return self.response.location

    def return_with(self, name, response):
        """Open the callback with the parameters of the provider's response."""
        return self.open(callback(name, response))

    def sign_in_with(self, name, provider, back=""):
        """Sign in at the provider, which responds correctly; returns our response."""
        return self.return_with(name, provider.authorize(self.start_sign_in(name, back)))


@pytest.fixture
def jo(web):
    return Visitor(web)


@pytest.fixture
def stranger(new_browser):
    return Visitor(new_browser())


@pytest.fixture
def linked_provider(enabled_providers, account, link):
    """Microsoft's fake, at which the account is linked."""
    link(account.id)
    return enabled_providers["microsoft"]


@pytest.fixture
def link(transaction):
    """`link(person_id)` links the account that the provider signs in."""

    def make(person_id, provider_name="microsoft", **overrides):
        with transaction() as session:
            provider = providers.find(provider_name)
            issuer = provider.issuer_of(TENANT)
            tenant = TENANT if provider_name == "microsoft" else "oakhill.example"
            facts = {"subject": "sub-of-jo", "tenant": tenant, "shown_as": "jo@oakhill.example"} | overrides
            linking.link(session.get_one(Administrator, person_id), Identity(provider, issuer, **facts))

    return make
