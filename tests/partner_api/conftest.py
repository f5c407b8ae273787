"""Fixtures: a partner's program that calls the API, and schools that authorised its application."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from idp.partners import registry
from idp.sharing import authorise
from tests.factories import a_client, a_school, an_administrator, an_estab
from tests.oidc.support import Partner
from tests.oidc.world import world

__all__ = ["world"]

OWN_SCOPES = frozenset({"schools.list", "invitations", "events"})
AGREED_SCOPES = frozenset({"openid", "organisation", "offline_access", "school", "students", "attendance"})


@dataclass
class Program:
    """A client without a user: its token, and its requests with it."""

    partner: Partner
    web: FlaskClient
    token: str = ""

    def request_token(self, scope: str = "schools.list") -> "Program":
        """Get a token by client credentials."""
        form = {"grant_type": "client_credentials", "scope": scope}
        self.token = self.partner.post(self.web, "/oauth/token", form).json["access_token"]
        return self

    def get(self, path: str, *, status: int = 200, **headers: str) -> TestResponse:
        """GET a path; returns the response, after checking the status."""
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        response = self.web.get(path, headers={**own, **headers})
        assert response.status_code == status, response.text
        return response

    def schools(self, path: str = "/api/schools") -> dict[str, Any]:
        """The schools of one page, by their Estab IDs."""
        return {school["estab_id"]: school for school in self.get(path).json["schools"]}


@pytest.fixture
def new_program(transaction, web, clock):
    """`new_program()` is the program of a new client, without a token."""

    def make(**overrides: Any) -> Program:
        with transaction():
            grants = frozenset({"client_credentials", "authorization_code", "refresh_token"})
            client = a_client(client_scopes=OWN_SCOPES, grant_types=grants, **overrides)
        return Program(Partner(client.id), web)

    return make


@pytest.fixture
def program(new_program) -> Program:
    """A program with a token for `schools.list`."""
    return new_program().request_token()


@pytest.fixture
def add_authorised_school(transaction, clock):
    """`add_authorised_school(program, name)` adds a school that authorised the application; returns its owner."""

    def make(
        program: Program, name: str, agreed: frozenset[str] = AGREED_SCOPES, *, days: int = 365, **overrides: Any
    ) -> Any:
        with transaction():
            client = registry.client(program.partner.id)
            assert client
            owner = an_administrator(an_estab(a_school(name=name), **overrides))
            authorise.give(
                client, agreed, by=owner.memberships[0], agreement_version=client.agreement_version,
                until=clock.now() + timedelta(days=days), second_step=True,
            )  # fmt: skip
            return owner

    return make
