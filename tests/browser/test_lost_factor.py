"""A person lost their telephone, in a real browser."""

from datetime import timedelta

from playwright.sync_api import expect

from idp.estabs import people
from idp.foundation import clock
from idp.signin.models import FactorRecovery
from tests.signin.apps import an_app


def sign_in(jo):
    jo.open("/sign-in")
    jo.page.fill("#username", jo.email)
    jo.page.fill("#password", jo.password)
    jo.press("Sign in")


def test_a_person_who_lost_their_telephone_recovers_the_account(a_member, new_window, transaction, outbox, check_page):
    jo = a_member()
    with transaction():
        person = people.by_name(jo.email)
        person.mobile_confirmed_at = clock.now()
        an_app(person.id)
    sign_in(jo)
    jo.expect_heading("One more step to sign in")
    check_page(jo.page, "second-step")
    jo.follow_link("I have lost my phone or key")
    jo.expect_heading("Lost your phone or key?")
    check_page(jo.page, "lost-factor")
    jo.press("Text me a code")
    expect(jo.page.locator("#code")).to_be_visible()
    check_page(jo.page, "lost-factor-code")
    jo.page.fill("#code", outbox.last("mobile_code").code)
    jo.press("Start the wait of 24 hours")
    jo.expect_heading("The wait of 24 hours has begun")
    check_page(jo.page, "lost-factor-waits")

    other = jo.at(new_window("phone"))
    other.page.goto(outbox.last("lost_factor").links[0])
    other.expect_heading("Keep your second step?")
    check_page(other.page, "lost-factor-stop")

    with transaction() as session:
        recovery = session.query(FactorRecovery).filter_by(person_id=people.by_name(jo.email).id).one()
        recovery.due_at = clock.now() - timedelta(seconds=1)
    sign_in(jo)
    expect(jo.page.get_by_role("link", name="Sign out")).to_be_visible()
    other.press("Stop it")
    other.expect_error_code("link_used")


def test_the_owner_stops_a_recovery_that_a_stranger_began(a_member, new_window, transaction, outbox, check_page):
    jo = a_member()
    with transaction():
        person = people.by_name(jo.email)
        person.mobile_confirmed_at = clock.now()
        an_app(person.id)
    sign_in(jo)
    jo.open("/sign-in/lost-factor")
    jo.press("Text me a code")
    jo.page.fill("#code", outbox.last("mobile_code").code)
    jo.press("Start the wait of 24 hours")
    jo.expect_heading("The wait of 24 hours has begun")

    owner = jo.at(new_window("desktop"))
    owner.page.goto(outbox.last("recovery_notice").links[0])
    owner.press("Stop it")
    owner.expect_heading("You have stopped the removal")
    check_page(owner.page, "lost-factor-stopped")
