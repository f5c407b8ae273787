"""The next steps of an owner whose school is registered now."""

import pytest

from idp.estabs import accounts
from idp.estabs.models import Administrator
from idp.foundation import runtime
from idp.onboarding import review
from tests.factories import PASSWORD
from tests.onboarding.registrations import a_registration, complete
from tests.onboarding.visitor import Visitor


@pytest.fixture
def sign_in_as(app, new_browser):
    """`sign_in_as(person)` is a browser in which this person is signed in."""

    def sign_in(person):
        visitor = Visitor(new_browser())
        visitor.sign_in(person.username)
        return visitor

    return sign_in


def test_next_steps_say_all_there_is_to_do_and_when_we_call(transaction, sign_in_as, clock, settings):
    with transaction() as database:
        complete(a_registration())
        person = database.query(Administrator).one()
        person.password_hash, person.password_is_ours = runtime.passwords().hash(PASSWORD), False
        estab_id = person.memberships[0].estab.estab_id
    page = sign_in_as(person).open("/register/next-steps")

    assert page.link("confirm-mobile").startswith("/mobile/confirm")
    assert page.link("installer") == settings.service.installer_url
    assert page.link("remote-support") == settings.service.remote_support_url
    assert "on a server" in page.text
    assert "not yet verified" in page.text
    assert "Wednesday 4 March 2026" in page.text
    assert estab_id in page.text

    with transaction():
        review.verify(accounts.find(estab_id).estab_id, by="cli")
    assert "not yet verified" not in sign_in_as(person).open("/register/next-steps").text


def test_next_steps_need_a_sign_in_and_are_shown_after_it(office, app):
    assert office.open("/register/next-steps").path.startswith("/sign-in?next=/register/next-steps")
