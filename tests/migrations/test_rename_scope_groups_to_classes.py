"""Agreements, codes, tokens and pending requests with the scope `groups` have the scope `classes` afterwards."""

from importlib import import_module
from typing import Any, NamedTuple

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import cast, func, select, text, update

from idp.foundation.database import Base, WordSet
from idp.oidc.models import AuthorizationRequest
from idp.partners.models import Client
from idp.sharing.models import Authorisation, Decision
from tests.factories import PASSWORD
from tests.oidc.registering import Registrar, an_initial_token
from tests.oidc.support import follow_redirects, obtain_tokens, press, redirect_parameters, sign_in_and_authorise

migration = import_module("idp.migrations.versions.0007_rename_scope_groups_to_classes")
SCOPE = "openid offline_access classes school"


def columns():
    """The columns with sets of scopes, except those that a later migration added."""
    tables = Base.metadata.tables.values()
    words = [column for table in tables for column in table.c if isinstance(column.type, WordSet)]
    return [column for column in words if not column.name.startswith("considered_")]


def rename(session, old, new):
    """Rename the scope in all these values."""
    for column in columns():
        words = func.replace(" " + cast(column, column.type.impl) + " ", f" {old} ", f" {new} ")
        session.execute(update(column.table).values({column.name: func.trim(words)}))
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    changed = (
        "CAST(REPLACE(CAST(params AS TEXT), :old, :new) AS JSON)" if is_postgresql else "REPLACE(params, :old, :new)"
    )
    session.execute(text(f"UPDATE authorization_requests SET params = {changed}"), {"old": old, "new": new})


def migrate(session):
    with Operations.context(MigrationContext.configure(session.connection())):
        migration.upgrade()


class RowsWithOldName(NamedTuple):
    """A partner with tokens, a code, a browser at the sign-in page of its request, and a token to register clients."""

    partner: Any
    tokens: dict[str, Any]
    code: str
    browser: Any
    sign_in_page: Any
    initial_token: str
    client_version: int


@pytest.fixture
def rows_with_old_name(web, new_browser, world, clock):
    """One pending row of each kind, with the old name of the scope."""
    optional = frozenset({"classes", "attendance"})
    partner = world.new_partner(optional_scopes=optional, resource="https://api.example", resource_scopes=optional)
    tokens = obtain_tokens(web, partner, world.username, "classes", scope=SCOPE)
    code = sign_in_and_authorise(web, partner, world.username, scope=SCOPE)["code"]
    waiting = new_browser()
    response = follow_redirects(waiting, waiting.get(partner.link(scope=SCOPE)))
    with world.transaction() as session:
        token = an_initial_token(scopes={"required": {"openid"}, "optional": optional})
        version = session.get_one(Client, partner.id).version
        rename(session, "classes", "groups")
    return RowsWithOldName(partner, tokens, code, waiting, response, token, version)


def test_agreements_codes_tokens_and_requests_with_the_old_scope_have_the_new_one(web, world, rows_with_old_name):
    partner, tokens, code, waiting, sign_in_page, token, version = rows_with_old_name
    assert "classes" not in partner.refresh(web, tokens["refresh_token"]).json["scope"].split()
    with world.transaction() as session:
        migrate(session)

    with world.transaction() as session:
        client = session.get_one(Client, partner.id)
        assert client.optional_scopes == client.resource_scopes == {"classes", "attendance"}
        assert client.version > version, "without a new version, processes would keep their cached copy"
        assert "classes" in session.scalars(select(Authorisation.scopes)).one()
        assert "classes" in session.scalars(select(Authorisation.offered)).one()
        assert "classes" in session.scalars(select(Decision.scopes)).first()
        for column in columns():
            for value in session.scalars(select(column)):
                assert value is None or "groups" not in value, column
        assert all("groups" not in str(params) for params in session.scalars(select(AuthorizationRequest.params)))
    assert "classes" in partner.refresh(web, tokens["refresh_token"]).json["scope"].split()
    assert "classes" in partner.redeem(web, code).json["scope"].split()
    response = follow_redirects(
        waiting, press(waiting, sign_in_page, "sign-in", username=world.username, password=PASSWORD)
    )
    assert "classes" in partner.redeem(waiting, redirect_parameters(response)["code"]).json["scope"].split()
    registration = Registrar(web, token).registered()
    assert "classes" in registration["scope"].split()


def test_sets_of_scopes_are_stored_in_alphabetical_order(world, rows_with_old_name):
    with world.transaction() as session:
        migrate(session)
        for column in columns():
            for written in session.scalars(select(cast(column, column.type.impl))):
                assert written is None or written.split() == sorted(written.split()), column
