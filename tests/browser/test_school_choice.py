"""A person who acts for two schools chooses one, in a real browser, and the page names it."""

import pytest
from playwright.sync_api import expect

from idp.estabs import people
from tests.browser.conftest import WIDTHS
from tests.factories import a_membership, a_school, an_estab

LONG_NAME = "St Joseph's Catholic Primary School and Nursery"


@pytest.fixture
def jo(a_member, behind, a_window):
    """An owner of one school who is an administrator of another, on a telephone, signed in."""
    member = a_member(page=a_window("phone"))
    with behind():
        estab = an_estab(a_school(name=LONG_NAME, register_id="990001", dfe_number="2139901"))
        a_membership(people.by_name(member.email), estab, role="admin")
    member.goes_to("/sign-in")
    member.page.fill("#username", member.email)
    member.page.fill("#password", member.password)
    member.presses("Sign in")
    return member


def test_the_school_is_chosen_and_named_and_its_long_name_keeps_the_header_on_one_line(jo, looks_right):
    jo.sees("Which school are you acting for?")
    looks_right(jo.page, "school-choice")
    jo.page.get_by_label(LONG_NAME).check()
    jo.presses("Continue")
    jo.sees(LONG_NAME)
    looks_right(jo.page, "desk-of-one-of-several")

    jo.page.set_viewport_size(WIDTHS["phone"])
    name, school, out = (
        jo.page.locator(part).bounding_box()
        for part in (".marque", ".account a:first-of-type", ".account a:last-of-type")
    )
    assert name["x"] + name["width"] <= school["x"] < out["x"]
    assert abs(school["y"] - out["y"]) <= 2

    jo.page.locator("main").get_by_role("link", name="Change school").click()
    expect(jo.page.get_by_label(LONG_NAME)).to_be_checked()
