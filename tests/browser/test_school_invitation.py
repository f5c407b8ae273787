"""A partner's invitation of a school in a real browser: passed on once, and then followed to the partner and back."""

import pytest

from idp.foundation.database import session
from idp.invitations import invite, states
from idp.partners import registry
from idp.schools.models import School


@pytest.fixture
def send_invitation(transaction, outbox, partner):
    """`send_invitation(person)` mails that person an invitation of their school, and returns the link."""

    def send(admin):
        with transaction():
            client = registry.client("assembly")
            scopes = frozenset({"school", "students", "students.sen"})
            request = invite.InvitationRequest(
                session().get_one(School, admin.school.id), admin.name, admin.email, scopes
            )
            invite.invite(client, request)
        return newest_link(outbox, "partner_invitation", admin.email)

    return send


def newest_link(outbox, name, email):
    """The link in the newest mail of this name to this person."""
    return [message for message in outbox.all(name) if message.to == email][-1].links[0]


def state(transaction):
    """The state of Assembly's newest invitation."""
    with transaction():
        return states.list_for_client("assembly")[-1].state


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
def test_an_invitation_is_forwarded_by_keyboard_and_leads_to_registration(
    an_admin, new_window, send_invitation, outbox, transaction, check_page, javascript
):
    office = an_admin(page=new_window(java_script_enabled=javascript))
    office.page.goto(send_invitation(office))
    office.expect_heading(f"Connect {office.school.name}?")
    office.expect_text("Assembly asks to connect to your school", "Do you have authority to agree to this?")
    if javascript:
        check_page(office.page, "school-invitation")
    office.page.locator("#someone-else").focus()
    office.page.keyboard.press("Enter")
    office.expect_heading(f"Who decides this at {office.school.name}?")
    office.page.locator("#pass-on").click()
    office.expect_errors("Enter their name", "Enter their e-mail address")
    if javascript:
        check_page(office.page, "school-invitation-without-a-recipient")
    head = an_admin(school=office.school, page=new_window("phone", java_script_enabled=javascript))
    office.page.locator("#name").fill(head.name)
    office.page.locator("#email").fill(head.email)
    office.page.locator("#email").press("Enter")
    office.expect_heading("We have written to your colleague")
    if javascript:
        check_page(office.page, "school-invitation-passed-on")
    assert state(transaction) == "forwarded"

    head.page.goto(newest_link(outbox, "partner_invitation_forwarded", head.email))
    head.expect_heading(f"Connect {head.school.name}?")
    head.page.locator("#yes").click()
    head.expect_heading("Sign in")
    head.expect_text("Assembly")
    assert head.page.url.startswith(head.issuer)
    assert state(transaction) == "opened"
    head.page.get_by_role("link", name="Register your school").click()
    head.expect_heading("Find your school")
    head.expect_text("Assembly")


def test_an_invitation_that_is_declined_no_longer_works(an_admin, send_invitation, check_page, transaction):
    office = an_admin()
    link = send_invitation(office)
    office.page.goto(link)
    office.page.locator("#not-for-us").click()
    office.expect_heading("Thank you for telling us")
    assert state(transaction) == "declined"
    office.page.goto(link)
    office.expect_heading("This invitation has been declined")
    check_page(office.page, "school-invitation-declined")
