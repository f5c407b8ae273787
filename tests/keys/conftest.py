"""Fixtures for the key ring, which is cached by the process and so must be dropped before and after each test."""

import pytest

from idp.keys import ring


@pytest.fixture(autouse=True)
def _empty_cache(app):
    with app.app_context():
        ring.forget()
    yield
    with app.app_context():
        ring.forget()
