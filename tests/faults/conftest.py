"""Fixtures for tests with real processes: a database, a school's owner, a partner's client."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest
import requests

from tests.oidc.support import ISSUER
from tests.oidc.world import world
from tests.processes import Instance, an_instance

__all__ = ["world"]

HOST = {"Host": ISSUER.removeprefix("http://")}
"""Requests name the issuer's host, whatever the port, so that the served instance and the test's own application have
the same issuer.
"""


@pytest.fixture
def instance(settings, tmp_path) -> Callable[..., AbstractContextManager[Instance]]:
    """`instance(…)` serves the test's database from a new process, with these settings."""
    environment = {"database__url": settings.database.url, "server__issuer": ISSUER}
    return partial(an_instance, tmp_path / "log", **environment)


@pytest.fixture
def outside() -> Iterator[requests.Session]:
    """An HTTP session that calls the served instance under the issuer's host."""
    with requests.Session() as session:
        session.headers.update(HOST)
        yield session
