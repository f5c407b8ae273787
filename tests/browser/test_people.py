"""The People page and the link of an invitation, in a real browser."""

import pytest
from playwright.sync_api import expect

from tests.actors import SchoolAdmin

OWN_PASSWORD = "wobbly kettle sings at dusk"


@pytest.fixture
def jo(a_member):
    """The owner of a school, signed in, on the People page."""
    owner = a_member(name="Jo Bloggs")
    owner.open("/sign-in?next=/manage/people")
    owner.sign_in()
    owner.expect_heading("People")
    return owner


def invite(owner, name, email, role):
    """Invite someone, from the People page."""
    owner.page.locator("#invite").click()
    owner.expect_heading("Invite someone")
    owner.page.locator("#name").fill(name)
    owner.page.locator("#email").fill(email)
    owner.page.get_by_role("radio", name=role).check()
    owner.page.locator("#send").click()
    owner.expect_heading("People")


def link_for(owner, email):
    """The link of the newest invitation to this person."""
    messages = [message for message in owner.outbox.all("invitation") if message.to == email]
    return messages[-1].links[0]


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
def test_an_invited_person_accepts_signs_in_and_is_signed_out_when_removed(jo, new_window, javascript):
    # On the school's own domain, if it has one; the two runs share a database, in which an address signs in one person.
    email = f"sam-{'with' if javascript else 'without'}-scripts@{jo.school.host or 'school.example'}"
    invite(jo, "Sam Carter", email, "Administrator")
    jo.expect_text("We have sent Sam Carter an e-mail", "The link works until")

    sam = SchoolAdmin(
        page=new_window("phone", java_script_enabled=javascript), issuer=jo.issuer, outbox=jo.outbox, school=jo.school,
        name="Sam Carter", email=email,
    )  # fmt: skip
    sam.page.goto(link_for(jo, email))
    sam.expect_heading(f"Act for {jo.school.name}?")
    sam.expect_text("Jo Bloggs invites you", "Administrator", email)
    sam.page.locator("#mobile").fill("07700 900124")
    sam.page.locator("#mobile").press("Enter")
    sam.expect_heading("Welcome, Sam Carter")
    sam.page.locator("#password").fill(OWN_PASSWORD)
    sam.page.locator("#choose").click()
    sam.sign_in(email, OWN_PASSWORD)
    sam.expect_heading(jo.school.name)
    sam.open("/manage/people")
    sam.expect_heading("People")
    sam.expect_text("Jo Bloggs", "Sam Carter")
    expect(sam.page.locator("#invite")).to_have_count(0)

    jo.open("/manage/people")
    jo.page.get_by_role("link", name="Remove Sam Carter").click()
    jo.expect_heading("Remove Sam Carter?")
    jo.page.locator("#remove").click()
    jo.expect_heading("People")
    jo.expect_text("Sam Carter no longer acts for your school.")
    sam.page.reload()
    expect(sam.page.locator("#username")).to_be_visible()

    jo.open("/manage")
    jo.follow_link("Activity")
    jo.expect_heading("Activity")
    jo.expect_text("Removed Sam Carter", "Invited Sam Carter to act for the school, as administrator")


def test_a_person_of_another_school_accepts_and_changes_between_the_two(jo, a_member, new_window):
    sam = a_member(page=new_window("phone"), name="Sam Carter")
    invite(jo, sam.name, sam.email, "Viewer")
    sam.page.goto(link_for(jo, sam.email))
    sam.expect_heading(f"Act for {jo.school.name}?")
    sam.page.locator("#sign-in").click()
    expect(sam.page.locator("#username")).to_have_value(sam.email)
    sam.page.locator("#password").fill(sam.password)
    sam.page.locator("#sign-in").click()
    sam.expect_heading(f"Act for {jo.school.name}?")
    sam.page.locator("#accept").click()
    sam.expect_heading(jo.school.name)
    sam.page.locator("main").get_by_role("link", name="Change school").click()
    sam.page.get_by_label(sam.school.name).check()
    sam.press("Continue")
    sam.open("/manage")
    sam.expect_heading(sam.school.name)


def test_the_pages_about_the_schools_people_are_accessible(jo, a_member, new_window, check_page):
    a_member(school=jo.school, role="viewer", name="Aoife Byrne")
    invite(jo, "Sam Carter", "sam.carter@oakhill.example", "Owner")
    check_page(jo.page, "people")
    jo.page.locator("#invite").click()
    check_page(jo.page, "people-invite")
    jo.page.locator("#send").click()
    jo.expect_errors("Enter their name", "Enter their e-mail address", "Choose what they may do")
    check_page(jo.page, "people-invite-refused")
    for link, heading, name in (
        ("Change role of Aoife Byrne", "Change the role of Aoife Byrne", "people-role"),
        ("Remove Aoife Byrne", "Remove Aoife Byrne?", "people-remove"),
        ("Hand over ownership", "Hand over ownership", "people-hand-over"),
        ("Leave the school's account", f"Leave the account of {jo.school.name}?", "people-leave"),
    ):
        jo.open("/manage/people")
        jo.follow_link(link)
        jo.expect_heading(heading)
        check_page(jo.page, name)

    jo.open("/manage/activity")
    jo.expect_text("Invited Sam Carter to act for the school, as owner")
    check_page(jo.page, "activity")

    link = link_for(jo, "sam.carter@oakhill.example")
    sam = new_window()
    sam.goto(link)
    check_page(sam, "invitation-new-person")
    jo.page.goto(link)
    jo.expect_heading("This invitation is for another person")
    check_page(jo.page, "invitation-other-person")
    sam.goto(f"{link}x")
    check_page(sam, "invitation-refused")
    other = a_member(page=new_window(), name="Marek Nowak")
    jo.open("/manage/people")
    invite(jo, other.name, other.email, "Administrator")
    other.page.goto(link_for(jo, other.email))
    check_page(other.page, "invitation-sign-in")
    other.page.locator("#sign-in").click()
    other.sign_in()
    other.expect_heading(f"Act for {jo.school.name}?")
    check_page(other.page, "invitation-accept")
