"""XporterOnDemand beside a provider that answers as a test tells it to."""

import pytest

from clients.xporter.app import create_app
from clients.xporter.settings import Settings
from tests.clients.xporter.support import ISSUER, RESOURCE, Provider


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
def settings(tmp_path):
    return Settings(ISSUER, "xporter", RESOURCE, 5003, tmp_path)


@pytest.fixture
def app(settings, provider):
    app = create_app(settings, http=provider)
    yield app
    app.extensions["xporter"].close()


@pytest.fixture
def api(app):
    return app.test_client()
