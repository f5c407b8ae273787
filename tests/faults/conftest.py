"""A world of its own behind real processes: a database, a school's owner, a partner's client."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest
import requests

from tests.oidc.support import ISSUER
from tests.oidc.world import world
from tests.processes import an_instance

__all__ = ["world"]

HOST = {"Host": ISSUER.removeprefix("http://")}
"""Whichever port it listens on, it is one issuer, whose codes and keys the test's own application shares."""


@pytest.fixture
def instance(settings, tmp_path) -> Callable[..., AbstractContextManager[tuple[object, str]]]:
    """`instance(…)` serves the test's own database from a process of its own, under these settings besides."""
    environment = {"database__url": settings.database.url, "server__issuer": ISSUER}
    return partial(an_instance, tmp_path / "log", **environment)


@pytest.fixture
def outside() -> Iterator[requests.Session]:
    """Somebody who calls from outside."""
    with requests.Session() as session:
        session.headers.update(HOST)
        yield session
