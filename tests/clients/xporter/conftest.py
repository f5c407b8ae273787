"""XporterOnDemand with a fake provider whose responses a test sets."""

import shutil
from dataclasses import replace

import pytest

from clients.xporter.app import create_app
from clients.xporter.database import Database
from clients.xporter.settings import Settings
from tests.clients.xporter import school_data
from tests.clients.xporter.support import ISSUER, MEMBERS, RESOURCE, Endpoint, Provider


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture(scope="session")
def empty_database_file(tmp_path_factory):
    """A file with empty tables, since making them takes longer than most tests."""
    file = tmp_path_factory.mktemp("empty") / "xporter.sqlite3"
    Database(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def settings(tmp_path, databases, empty_database_file):
    url = databases.new("xporter")
    if url.startswith("sqlite:///"):
        shutil.copy(empty_database_file, url.removeprefix("sqlite:///"))
    return Settings(ISSUER, "xporter", RESOURCE, 5003, tmp_path, url)


@pytest.fixture
def app(settings, provider):
    app = create_app(settings, http=provider, members=lambda: MEMBERS)
    yield app
    app.extensions["xporter"].close()


@pytest.fixture
def api(app):
    return app.test_client()


@pytest.fixture
def granted(app, provider):
    """The access of every request, which a test changes; tokens themselves are tested in `test_tokens`."""
    provider.documents |= {"/api/scopes": school_data.PUBLISHED, "/api/reads": None}
    granted, parts = school_data.Granted(), app.extensions["xporter"]
    app.extensions["xporter"] = replace(parts, tokens=granted, reporter=school_data.IdleReporter())
    return granted


@pytest.fixture
def stored(app, granted):
    """A school whose data was received and stored."""
    return school_data.Stored(app, school_data.a_school())


@pytest.fixture
def endpoint(app):
    return Endpoint(app)
