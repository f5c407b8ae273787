"""The fixture `world`: a school, its owner, and a partner's client, for tests of the protocol."""

from dataclasses import dataclass
from typing import Any

import pytest

from idp.keys import ring
from idp.partners import registry
from tests import factories
from tests.oidc.support import Partner


@dataclass(frozen=True)
class World:
    """A school's owner and a partner's client, and functions that change them."""

    transaction: Any
    estab: str
    estab_id: str
    school: str
    person: str
    username: str
    partner: Partner

    def new_partner(self, **overrides: Any) -> Partner:
        """A new client, of a new partner."""
        with self.transaction():
            client = factories.a_client(**overrides)
            public = client.token_endpoint_auth_method == "none"
            return Partner(client.id, secret="none" if public else None, redirect_uri=client.redirect_uris[0])

    def change(self, row: type, key: Any, **values: Any) -> None:
        """Change a row directly in the database."""
        with self.transaction() as session:
            stored = session.get_one(row, key)
            for name, value in values.items():
                setattr(stored, name, value)
            registry.forget()

    def claims(self, token: str, typ: str = "at+jwt") -> dict[str, Any]:
        """The claims of a token of ours."""
        with self.transaction():
            return ring.verify(token, typ=typ)


@pytest.fixture
def world(transaction) -> World:
    with transaction():
        person = factories.an_administrator()
        client = factories.a_client()
        estab = person.memberships[0].estab
        return World(
            transaction, estab.id, estab.estab_id, estab.school.name, person.id, person.username, Partner(client.id),
        )  # fmt: skip
