"""A person who acts for two schools chooses one, in a real browser, and the page names it."""

import pytest
from playwright.sync_api import expect

from idp.estabs import accounts, people
from idp.schools.models import School
from idp.sharing import authorise
from tests.browser.conftest import WIDTHS
from tests.factories import a_membership, a_school, an_estab

LONG_NAME = "St Joseph's Catholic Primary School and Nursery"


@pytest.fixture
def jo(a_member, transaction, new_window):
    """An owner of one school who is an administrator of another, on a telephone, signed in."""
    member = a_member(page=new_window("phone"))
    with transaction():
        estab = an_estab(a_school(name=LONG_NAME, register_id="990001", dfe_number="2139901"))
        a_membership(people.by_name(member.email), estab, role="admin")
    member.open("/sign-in")
    member.page.fill("#username", member.email)
    member.page.fill("#password", member.password)
    member.press("Sign in")
    return member


def test_a_chosen_school_with_a_long_name_is_named_in_a_header_of_one_line(jo, check_page):
    jo.expect_heading("Which school are you acting for?")
    check_page(jo.page, "school-choice")
    jo.page.get_by_label(LONG_NAME).check()
    jo.press("Continue")
    jo.expect_heading(LONG_NAME)
    check_page(jo.page, "manage-of-one-of-several")

    jo.page.set_viewport_size(WIDTHS["phone"])
    name, school, out = (
        jo.page.locator(part).bounding_box()
        for part in (".marque", ".account a:first-of-type", ".account a:last-of-type")
    )
    assert name["x"] + name["width"] <= school["x"] < out["x"]
    assert abs(school["y"] - out["y"]) <= 2

    jo.page.locator("main").get_by_role("link", name="Change school").click()
    expect(jo.page.get_by_label(LONG_NAME)).to_be_checked()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_partner_is_authorised_for_two_of_three_schools_in_one_review(
    a_member, transaction, new_window, partner, schools, check_page, scripts
):
    jo = a_member(page=new_window("phone", java_script_enabled=scripts))
    entries = [next(schools) for _ in range(3)]
    with transaction() as session:
        person = people.by_name(jo.email)
        *estabs, as_viewer = [an_estab(session.get_one(School, entry.id)) for entry in entries]
        estabs[1].state = "unverified"
        for estab in estabs:
            a_membership(person, estab)
        a_membership(person, as_viewer, role="viewer")
        chosen_id, ticked_id, unticked_id = (estab.id for estab in (person.memberships[0].estab, *estabs))
    jo.start_sign_in_at(partner)
    jo.sign_in(jo.email)
    jo.page.get_by_label(jo.school.name).check()
    jo.press("Continue")
    jo.expect_heading("Authorise sharing with Assembly")
    jo.page.get_by_text("Also authorise for your other schools").press("Enter")
    jo.page.get_by_role("checkbox", name=entries[0].name).check()
    jo.expect_text(f"{entries[2].name}. Only an owner or an administrator of this school can authorise it.")
    if scripts:
        check_page(jo.page, "consent-several-schools")
    jo.authorise()

    jo.expect_heading(jo.school.name)
    with transaction():
        shared = [len(authorise.current(estab_id)) for estab_id in (chosen_id, ticked_id, unticked_id, as_viewer.id)]
    assert shared == [1, 1, 0, 0]


@pytest.mark.parametrize("scripts", [True, False])
def test_a_second_school_is_registered_during_a_partners_sign_in_with_the_existing_account(
    a_member, transaction, new_window, partner, schools, check_page, scripts
):
    jo = a_member(page=new_window("desktop", java_script_enabled=scripts))
    entry = next(schools)
    jo.start_sign_in_at(partner)
    jo.page.locator("#register").click()
    jo.expect_heading("Find your school")
    jo.page.locator("#q").fill(entry.name)
    jo.page.locator("#q").press("Enter")
    jo.page.locator(f"input[name=school][value='{entry.id}']").check()
    jo.press("Next")
    jo.expect_heading("Your details")
    jo.page.locator("#name").fill("Half a na")
    if scripts:
        check_page(jo.page, "details")
    jo.press("Sign in first")
    jo.expect_heading("Sign in")
    if scripts:
        check_page(jo.page, "sign-in-to-add-a-school")
    jo.sign_in(jo.email)
    jo.expect_heading(f"Add {entry.name}")
    jo.expect_text(f"You are signed in as {jo.name}.", "so that your school can use Assembly")
    jo.page.locator("#declaration").check()
    if scripts:
        check_page(jo.page, "add-school")
    jo.press("Add this school")
    jo.expect_heading(f"{entry.name} has been added to your account")
    if scripts:
        check_page(jo.page, "school-added")
    jo.follow_link("Continue to Assembly")
    jo.expect_heading("Authorise sharing with Assembly")
    jo.expect_text(entry.name)
    jo.authorise()
    jo.expect_heading(entry.name)
    with transaction():
        first, added = people.by_name(jo.email).memberships[0].estab_id, accounts.find_by_school(entry.id).id
        assert [len(authorise.current(estab_id)) for estab_id in (first, added)] == [0, 1]
