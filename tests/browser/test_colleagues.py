"""An owner helps a colleague who cannot sign in, in a real browser."""

import pytest

from idp.estabs import people
from tests.factories import an_administrator
from tests.signin.apps import an_app


@pytest.fixture
def jo(a_member, transaction):
    """An owner, signed in, and the id of a colleague with an authenticator app."""
    member = a_member()
    with transaction():
        estab = people.by_name(member.email).memberships[0].estab
        colleague = an_administrator(estab, name="Sam Hill", username=f"sam-{estab.estab_id}", role="admin")
        an_app(colleague.id)
        colleague_id = colleague.id
    member.goes_to("/sign-in")
    member.signs_in()
    return member, colleague_id


TOPS_SCRIPT = "[...document.querySelectorAll('.account > *')].map(part => Math.round(part.getBoundingClientRect().top))"


def test_the_links_in_the_header_stay_on_one_line_on_a_narrow_page(jo):
    member, _ = jo
    member.goes_to("/manage/account")

    assert len(set(member.page.evaluate(TOPS_SCRIPT))) == 1


def test_a_link_is_sent_and_a_wait_is_started(jo, check_page):
    member, colleague_id = jo
    member.goes_to(f"/manage/people/{colleague_id}/reset")
    member.sees("Send Sam Hill a link to choose a new password?")
    check_page(member.page, "colleague-reset")
    member.presses("Send the link")
    member.reads("is on its way to")

    member.goes_to(f"/manage/people/{colleague_id}/lost-factor")
    member.sees("Has Sam Hill lost their phone or key?")
    check_page(member.page, "colleague-lost-factor")
    member.presses("Start the wait of 24 hours")
    member.reads("Sam Hill can sign in with the password alone")
    member.goes_to(f"/manage/people/{colleague_id}/lost-factor")
    member.sees("The wait has begun")
    check_page(member.page, "colleague-wait-begun")
