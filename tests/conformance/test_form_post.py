"""Form Post OP (protocol.md §3.3): all of Basic OP, with every answer as a form that is posted to the client.

What a module sends and expects is in `test_basic`, once. `RelyingParty.hears` holds each answer, errors too, to the
mode that was asked for: a POST of a form with nothing in the address.
"""

import pytest

from tests.conformance.test_basic import *  # noqa: F403  the same modules, under this plan's name

PLAN = "Form Post OP"
MODULE = "oidcc-{}"


@pytest.fixture
def response_mode():
    return "form_post"
