"""Finding a school: the search box and the labelled fields, suggestions while typing, and no results."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from idp.schools import search as school_search

DEBOUNCE_MS = 150
"""As in idp/static/school-search.js: the time between the last key and the request."""


@pytest.fixture
def page(page, issuer):
    """A page that shows the search."""
    page.goto(f"{issuer}/register")
    return page


@pytest.fixture
def box(page):
    """The search box."""
    return page.get_by_role("combobox", name="Your school's name, postcode, DfE number or URN")


@pytest.fixture
def search(box):
    """`search("willow bank")` types the text and presses Enter."""

    def type_and_search(text):
        box.fill(text)
        box.press("Enter")

    return type_and_search


@pytest.fixture
def suggestions(page):
    """The schools in the list below the search box."""
    return page.get_by_role("listbox", name="Schools").get_by_role("option")


def result(page, name):
    return page.get_by_role("radio", name=name)


def wait_until_settled(page):
    """Wait until the list of suggestions has not changed for long enough to accept clicks."""
    expect(page.locator("[role=listbox][data-settled]")).to_be_visible()


def continue_with(page, name):
    page.get_by_role("button", name="Next").click()
    expect_details_page(page, name)


def expect_details_page(page, name):
    expect(page.get_by_role("heading", level=1)).to_have_text("Your details")
    expect(page.locator("main")).to_contain_text(name)


@pytest.mark.parametrize(
    "typed", ["ub81wb", "UB8 1WB", "3124567", "312/4567", "900001", "willow bank", "wilow bank primry"]
)
def test_the_search_box_accepts_a_postcode_a_dfe_number_a_urn_and_a_name(page, search, typed):
    search(typed)

    result(page, "Willow Bank Primary School").check()
    expect(page.locator("main")).to_contain_text("UB8 1WB")
    continue_with(page, "Willow Bank Primary School")


@pytest.mark.parametrize(
    ("field", "typed"), [("School postcode", "ub8 1wb"), ("DfE number", "3124567"), ("School URN", "900001")]
)
def test_each_labelled_field_finds_the_school(page, field, typed):
    page.get_by_text("Search by postcode, DfE number or URN only").click()
    page.get_by_role("textbox", name=field).fill(typed)
    page.get_by_role("button", name="Search by these").click()

    expect(page.get_by_role("textbox", name=field)).to_have_value(typed)
    result(page, "Willow Bank Primary School").check()
    continue_with(page, "Willow Bank Primary School")


def test_every_match_is_listed_with_details_that_distinguish_it(page, search, check_page):
    search("st josephs")

    for detail in ("St Joseph's Catholic Primary School", "Uxbridge", "Leeds", "URN 900002", "Primary", "Open"):
        expect(page.locator("main")).to_contain_text(detail)
    check_page(page, "find-several")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("[data-error-summary]")).to_contain_text("Select your school")
    check_page(page, "find-none-selected")


def test_a_closed_school_is_explained_and_leads_to_its_successor(page, search, check_page):
    search("birch green")

    expect(page.get_by_role("radio")).to_have_count(1)
    expect(page.get_by_role("heading", name="Birch Green Primary School")).to_be_visible()
    expect(page.locator("main")).to_contain_text("This school has closed")
    check_page(page, "find-closed")
    result(page, "Birch Green Academy").check()
    continue_with(page, "Birch Green Academy")


def test_the_details_page_of_a_closed_school_leads_to_its_successor(page, issuer, transaction, check_page):
    with transaction():
        closed = next(result.school.id for result in school_search.find("birch green").results if result.refusal_reason)
    page.goto(f"{issuer}/register/details?school={closed}")

    expect(page.get_by_role("heading", level=1)).to_have_text("This school cannot register")
    check_page(page, "cannot-register")
    page.get_by_role("link", name="Register Birch Green Academy").click()
    expect(page.locator("main")).to_contain_text("Birch Green Academy")


def test_a_search_without_results_links_to_help_and_to_the_national_register(page, search, check_page):
    search("zzyzx")

    expect(page.get_by_role("heading", name="No school found")).to_be_visible()
    expect(page.locator("main").get_by_role("link", name="national register")).to_have_attribute(
        "href", "https://get-information-schools.service.gov.uk/"
    )
    expect(page.locator("main").get_by_role("link", name="020 7946 0000")).to_be_visible()
    check_page(page, "find-nothing")


def test_a_search_with_too_little_text_asks_for_more(page, box, check_page):
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("[data-error-summary]")).to_contain_text("Type your school's name")
    box.fill("s")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("[data-error-summary]")).to_contain_text("at least two letters")
    check_page(page, "find-too-little")


# Suggestions while typing. `fill` sets the whole text, so there is one list; key by key there may be several.


def test_arrow_keys_and_enter_choose_from_the_list(page, box, suggestions, check_page):
    box.fill("st jos")
    expect(suggestions.first).to_be_visible()
    expect(box).to_have_attribute("aria-expanded", "true")
    check_page(page, "find-typing")

    box.press("ArrowDown")
    box.press("ArrowDown")
    expect(suggestions.nth(1)).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", suggestions.nth(1).get_attribute("id"))
    box.press("ArrowUp")
    expect(suggestions.nth(0)).to_have_attribute("aria-selected", "true")
    chosen = suggestions.nth(0).inner_text().partition("\n")[0]
    expect(box).to_be_focused()
    box.press("Enter")

    expect_details_page(page, chosen)
    page.go_back()
    expect(page.get_by_role("radio", name=chosen).and_(page.locator(":checked"))).to_have_count(1)


def test_arrow_up_from_the_first_suggestion_returns_to_the_typed_text(page, box, suggestions):
    box.fill("willow bank")
    expect(suggestions).to_have_count(1)
    box.press("ArrowUp")
    expect(suggestions.first).to_have_attribute("aria-selected", "true")
    box.press("ArrowUp")
    expect(suggestions.first).to_have_attribute("aria-selected", "false")
    expect(box).to_have_value("willow bank")


def test_escape_closes_the_list_and_the_typed_text_stays(page, box, suggestions):
    box.fill("willow")
    expect(suggestions.first).to_be_visible()
    box.press("Escape")
    expect(suggestions).to_have_count(0)
    expect(box).to_have_value("willow")

    box.press("ArrowDown")
    expect(suggestions.first).to_be_visible()
    box.press("Tab")
    expect(suggestions).to_have_count(0)


def test_enter_without_a_choice_searches(page, box, suggestions):
    box.press_sequentially("willow bank")
    expect(suggestions.first).to_be_visible()
    box.press("Enter")

    expect(result(page, "Willow Bank Primary School")).to_be_visible()


def test_a_click_chooses_a_school_from_the_list(page, box, suggestions):
    box.fill("willow bank")
    wait_until_settled(page)
    suggestions.filter(has_text="UB8 1WB").click()

    expect_details_page(page, "Willow Bank Primary School")


def test_a_closed_school_in_the_list_leads_to_its_explanation(page, box, suggestions, check_page):
    box.fill("last bell")
    wait_until_settled(page)
    suggestions.first.click()

    expect(page.locator("main")).to_contain_text("This school has closed, so it cannot register.")
    expect(page.get_by_role("heading", name="What you can do")).to_be_visible()
    expect(page.get_by_role("button", name="Next")).to_have_count(0)
    check_page(page, "find-closed-for-good")


@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, {"width": 375, "height": 667}])
def test_the_list_of_suggestions_covers_no_control_and_moves_none(page, box, suggestions, size):
    page.set_viewport_size(size)
    button = page.get_by_role("button", name="Search", exact=True)
    box.fill("willow bank")
    expect(suggestions.first).to_be_visible()
    wait_until_settled(page)

    expect(suggestions.first).to_be_in_viewport(ratio=1)
    field_box, list_box = box.bounding_box(), page.get_by_role("listbox", name="Schools").bounding_box()
    button_box = button.bounding_box()
    assert button_box["y"] + button_box["height"] <= list_box["y"]
    assert abs(button_box["y"] - field_box["y"]) < 8
    for control in page.locator("main a:visible, main button:visible, main summary:visible").all():
        control_box = control.bounding_box()
        assert (
            control_box["y"] >= list_box["y"] + list_box["height"] - 1
            or control_box["y"] + control_box["height"] <= list_box["y"] + 1
        )
    page.mouse.click(button_box["x"] + button_box["width"] / 2, button_box["y"] + button_box["height"] / 2)
    expect(page.get_by_role("heading", name="found for")).to_be_visible()
    expect(page).to_have_url(re.compile("q=willow"))


def test_a_click_right_after_the_list_appeared_chooses_nothing(page, box, suggestions):
    page.clock.install(time=0)
    page.clock.pause_at(1000)  # from here on the page's time passes only by `run_for`, however busy the machine is
    box.fill("willow bank")
    page.clock.run_for(DEBOUNCE_MS + 50)
    expect(suggestions.first).to_be_visible()
    suggestions.first.click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Find your school")
    page.clock.run_for(400)
    suggestions.first.click()
    expect_details_page(page, "Willow Bank Primary School")


def test_a_slow_response_never_replaces_a_newer_one(page, box, suggestions):
    held_requests: list[Any] = []

    def hold(route):
        held_requests.append(route)

    page.route("**/search.json?q=st+jo", hold)
    with page.expect_request("**/search.json?q=st+jo"):
        box.press_sequentially("st jo")
    box.fill("willow bank")
    expect(suggestions).to_contain_text(["Willow Bank Primary School"])

    late = {"id": 1, "name": "St Joseph's", "place": "", "phase": "", "status": "Open", "urn": "", "dfe_number": "",
            "can_register": True}  # fmt: skip
    assert held_requests
    for route in held_requests:
        route.fulfill(json={"results": [late], "more": False})
    page.wait_for_timeout(500)  # long enough for a response that is not ignored to be shown
    expect(suggestions).to_have_count(1)
    expect(suggestions).to_contain_text(["Willow Bank Primary School"])
