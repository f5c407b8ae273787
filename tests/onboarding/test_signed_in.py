"""The next steps, and an owner's answer to somebody who asks to join."""

import pytest

from idp.estabs import accounts
from idp.estabs.models import Administrator
from idp.foundation import runtime
from idp.onboarding import review
from idp.onboarding.models import JoinRequest
from tests.factories import PASSWORD, an_administrator
from tests.onboarding.makes import a_registration, completed
from tests.onboarding.visitor import Visitor


@pytest.fixture
def as_(app, new_browser):
    """`as_(person)` is a browser in which this person is signed in."""

    def sign_in(person):
        visitor = Visitor(new_browser())
        visitor.opens("/sign-in")
        visitor.presses("sign-in", username=person.username, password=PASSWORD)
        return visitor

    return sign_in


@pytest.fixture
def owner(work, clock):
    with work():
        return an_administrator(email="owner@oakhill.example")


@pytest.fixture
def asked(work, owner):
    """The page of a request to join the owner's school."""
    with work() as database:
        completed(a_registration(database.merge(owner).memberships[0].estab.school, email="sam@oakhill.example"))
        return f"/join/{database.query(JoinRequest).one().id}"


def test_next_steps_say_all_there_is_to_do_and_when_we_call(work, as_, clock, settings):
    with work() as database:
        completed(a_registration())
        person = database.query(Administrator).one()
        person.password_hash, person.password_is_ours = runtime.passwords().hash(PASSWORD), False
    page = as_(person).opens("/register/next-steps")

    assert page.link("confirm-mobile").startswith("/mobile/confirm")
    assert page.link("installer") == settings.service.installer_url
    assert page.link("remote-support") == settings.service.remote_support_url
    assert "on a server" in page.text
    assert "not yet verified" in page.text
    assert "Wednesday 4 March 2026" in page.text
    assert person.memberships[0].estab.estab_id in page.text

    with work():
        review.verify(accounts.find(person.memberships[0].estab.estab_id).estab_id, by="cli")
    assert "not yet verified" not in as_(person).opens("/register/next-steps").text


def test_next_steps_need_a_sign_in_and_come_back(office, app):
    assert office.opens("/register/next-steps").path.startswith("/sign-in?next=/register/next-steps")


def test_an_owner_sees_who_asks_and_approves(as_, owner, asked, work):
    visitor = as_(owner)
    page = visitor.opens(asked)
    assert "Jo Bloggs" in page.text
    assert "s…@oakhill.example (verified)" in page.text
    assert "sam@" not in page.text
    assert "07700" not in page.text

    assert visitor.presses("approve").status == 422, "a role has to be chosen"
    page = visitor.presses("approve", role="viewer")
    assert "can now join" in page.text
    assert "has been approved" in page.text
    assert "sam@oakhill.example (verified)" in page.text
    with work() as database:
        assert (
            database.query(Administrator).filter_by(email="sam@oakhill.example").one().memberships[0].role == "viewer"
        )


def test_an_owner_declines(as_, owner, asked, outbox):
    visitor = as_(owner)
    visitor.opens(asked)

    assert "declined" in visitor.presses("decline").text
    assert outbox.last("join_declined").to == "sam@oakhill.example"


def test_deciding_twice_is_told_and_changes_nothing(as_, owner, asked, work):
    visitor = as_(owner)
    page = visitor.opens(asked)
    visitor.presses("decline")
    visitor.page = page

    assert visitor.presses("approve", role="admin").status == 409
    with work() as database:
        assert database.query(Administrator).count() == 1


def test_other_schools_owners_and_strangers_find_nothing(as_, asked, work, office):
    with work():
        stranger = an_administrator()

    assert as_(stranger).opens(asked).status == 404
    assert office.opens(asked).path.startswith("/sign-in")


def test_a_role_that_is_not_offered_is_not_given(as_, owner, asked):
    visitor = as_(owner)
    visitor.opens(asked)

    assert visitor.presses("approve", role="owner").status == 422
    assert visitor.presses("approve", role="viewer", decision="maybe").status == 400
