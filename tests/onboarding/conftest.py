"""Fixtures: people with browsers, and a school for them to register."""

import pytest

from tests.factories import a_client, a_school
from tests.onboarding.visitor import Visitor


@pytest.fixture
def school(transaction):
    """Oak Hill School, 312/4567."""
    with transaction():
        return a_school(dfe_number="3124567", name="Oak Hill School")


@pytest.fixture
def office(web):
    """The browser of a person in the school's office."""
    return Visitor(web)


@pytest.fixture
def phone(new_browser):
    """The browser of the same person's telephone."""
    return Visitor(new_browser())


@pytest.fixture
def pending(transaction):
    """The path of a partner's pending authorization request."""
    with transaction():
        client = a_client()
        return f"/oauth/authorize?client_id={client.id}&request_uri=urn:ietf:params:oauth:request_uri:abc"
