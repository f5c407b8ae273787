"""An owner helps a colleague who cannot sign in, in a real browser."""

from typing import NamedTuple

import pytest

from idp.estabs import people
from tests.actors import SchoolAdmin
from tests.factories import an_administrator
from tests.signin.apps import an_app


class OwnerAndColleague(NamedTuple):
    """An owner with a browser, and the id of a colleague."""

    owner: SchoolAdmin
    colleague_id: str


@pytest.fixture
def owner_and_colleague(a_member, transaction):
    """A school with an owner, signed in, and a colleague with an authenticator app."""
    owner = a_member()
    with transaction():
        estab = people.by_name(owner.email).memberships[0].estab
        colleague = an_administrator(estab, name="Sam Hill", username=f"sam-{estab.estab_id}", role="admin")
        an_app(colleague.id)
        colleague_id = colleague.id
    owner.open("/sign-in")
    owner.sign_in()
    return OwnerAndColleague(owner, colleague_id)


LINK_POSITIONS_SCRIPT = (
    "[...document.querySelectorAll('.account > *')].map(part => Math.round(part.getBoundingClientRect().top))"
)


def test_the_links_in_the_header_stay_on_one_line_on_a_narrow_page(owner_and_colleague):
    owner = owner_and_colleague.owner
    owner.open("/manage/account")

    assert len(set(owner.page.evaluate(LINK_POSITIONS_SCRIPT))) == 1


def test_an_owner_sends_a_colleague_a_reset_link_and_starts_the_recovery_of_a_lost_factor(
    owner_and_colleague, check_page
):
    owner, colleague_id = owner_and_colleague
    owner.open(f"/manage/people/{colleague_id}/reset")
    owner.expect_heading("Send Sam Hill a link to choose a new password?")
    check_page(owner.page, "colleague-reset")
    owner.press("Send the link")
    owner.expect_text("is on its way to")

    owner.open(f"/manage/people/{colleague_id}/lost-factor")
    owner.expect_heading("Has Sam Hill lost their phone or key?")
    check_page(owner.page, "colleague-lost-factor")
    owner.press("Start the wait of 24 hours")
    owner.expect_text("Sam Hill can sign in with the password alone")
    owner.open(f"/manage/people/{colleague_id}/lost-factor")
    owner.expect_heading("The wait has begun")
    check_page(owner.page, "colleague-wait-begun")
