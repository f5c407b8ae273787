"""A small fictional school, as five MIS export it."""

import pytest

from clients.endpoint.fictional_school import exports, school as fictional, server
from clients.endpoint.readers import OVER_HTTP, Credentials, make
from clients.endpoint.records import COLLECTIONS, Problems

CREDENTIALS = Credentials(server.USERNAME, server.PASSWORD)


@pytest.fixture(scope="session")
def school():
    """The fictional school."""
    return fictional.build(pupils=12, seed=3)


@pytest.fixture(scope="session")
def exported(school, tmp_path_factory):
    """The folder with the exports of each MIS, which tests do not change."""
    folder = tmp_path_factory.mktemp("mis")
    for mis in exports.EXPORTS:
        exports.write(school, folder / mis, mis)
    return folder


@pytest.fixture
def read_all():
    """`read_all(mis, source)` returns all records by collection and key, and the problems."""

    def read(mis, source, wait=lambda seconds: None):
        reader, problems = make(mis, str(source), CREDENTIALS if mis in OVER_HTTP else None, wait), Problems()
        records = {
            collection: {record.key: record.data for record in reader.read(collection, problems)}
            for collection in COLLECTIONS
        }
        return records, [str(problem) for problem in problems.listed]

    return read
