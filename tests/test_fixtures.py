"""The fixtures of all tests: no test sees what the test before it left behind."""

from idp.keys import ring
from tests.conftest import clear_caches


def test_no_test_signs_with_a_key_of_the_test_before(app, databases, transaction):
    with transaction():
        kids = {key["kid"] for key in ring.list_keys()}
        ring.rotate("ES256", at_once=True)
    with transaction():
        assert {key["kid"] for key in ring.list_keys()} > kids

    databases.restore(app)
    clear_caches(app)

    with transaction():
        assert {key["kid"] for key in ring.list_keys()} == kids
