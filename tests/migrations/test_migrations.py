import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from idp import migrations
from idp.app import create_app
from idp.audit import events, log
from idp.estabs.permissions import Action
from idp.foundation import database
from idp.foundation.settings import load
from idp.foundation.web.transactions import transaction
from tests.factories import a_client, an_administrator


@pytest.fixture
def empty(databases):
    """An application on an empty database."""
    app = create_app(load(database={"url": databases.new("empty")}))
    yield app
    with app.app_context():
        database.db.engine.dispose()


def test_the_migrations_create_the_schema_of_the_models(empty):
    before, after = migrations.upgrade(empty)

    assert (before, after) == (None, migrations.head())
    assert migrations.differences(empty) == []


def test_head_txt_names_the_newest_migration(empty):
    migrations.upgrade(empty)

    assert migrations.revision_of(empty) == migrations.head()


def test_upgrading_again_changes_nothing(empty):
    migrations.upgrade(empty)

    assert migrations.upgrade(empty) == (migrations.head(), migrations.head())


def test_a_migrated_database_works(empty):
    migrations.upgrade(empty)

    with transaction(empty):
        assert an_administrator().memberships[0].may(Action.AUTHORISE)
        assert a_client().scopes


@pytest.mark.parametrize("statement", ["UPDATE audit_entries SET actor = 'somebody'", "DELETE FROM audit_entries"])
def test_a_migrated_audit_log_is_append_only(empty, statement):
    migrations.upgrade(empty)
    with transaction(empty):
        log.record(events.SHARING_GIVEN, by="system")

    with pytest.raises(DBAPIError), transaction(empty):
        database.session().execute(text(statement))
