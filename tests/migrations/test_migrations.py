"""The migrations make the schema of the models, on an empty database."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from idp import migrations
from idp.app import create_app
from idp.audit import events, log
from idp.estabs.permissions import Action
from idp.foundation import database
from idp.foundation.load_settings import load
from idp.foundation.web import transactions
from tests.factories import a_client, an_administrator


@pytest.fixture
def app_on_empty_database(databases):
    """An application on an empty database."""
    app = create_app(load(database={"url": databases.new("empty")}))
    yield app
    with app.app_context():
        database.db.engine.dispose()


def test_the_migrations_create_the_schema_of_the_models(app_on_empty_database):
    before, after = migrations.upgrade(app_on_empty_database)

    assert (before, after) == (None, migrations.head())
    assert migrations.differences(app_on_empty_database) == []


def test_head_txt_names_the_newest_migration(app_on_empty_database):
    migrations.upgrade(app_on_empty_database)

    assert migrations.revision_of(app_on_empty_database) == migrations.head()


def test_upgrading_again_changes_nothing(app_on_empty_database):
    migrations.upgrade(app_on_empty_database)

    assert migrations.upgrade(app_on_empty_database) == (migrations.head(), migrations.head())


def test_the_factories_work_on_a_migrated_database(app_on_empty_database):
    migrations.upgrade(app_on_empty_database)

    with transactions.transaction(app_on_empty_database):
        assert an_administrator().memberships[0].may(Action.AUTHORISE)
        assert a_client().scopes


@pytest.mark.parametrize("statement", ["UPDATE audit_entries SET actor = 'someone'", "DELETE FROM audit_entries"])
def test_a_migrated_audit_log_is_append_only(app_on_empty_database, statement):
    migrations.upgrade(app_on_empty_database)
    with transactions.transaction(app_on_empty_database):
        log.record(events.SHARING_GIVEN, by="system")

    with pytest.raises(DBAPIError), transactions.transaction(app_on_empty_database):
        database.session().execute(text(statement))
