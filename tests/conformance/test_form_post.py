"""Form Post OP (protocol.md §3.3): all of Basic OP, with every response as a form that is posted to the client.

The modules themselves are those of `test_basic`. `RelyingParty.authorization_response` checks the mode of each
response, errors too: a POST of a form, and no query in its URL.
"""

import pytest

from tests.conformance.test_basic import *  # noqa: F403  the same modules, under this plan's name

PLAN = "Form Post OP"
MODULE = "oidcc-{}"


@pytest.fixture
def response_mode():
    return "form_post"
