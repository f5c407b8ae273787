"""The hint about a password while it is typed; without scripts, the form has the same result when it was sent."""

import pytest
from playwright.sync_api import expect

from idp.estabs import links, strength
from tests.browser.test_sign_in import make_person

GOOD_PASSWORD = "wobbly kettle sings at dusk"


@pytest.fixture
def welcome_link(transaction):
    """The welcome link of someone at St Cuthbert's School who chooses a password."""
    with transaction():
        return links.issue_welcome_url(make_person(name="Al Bloggs", password_hash=None))


def test_a_hint_about_the_password_is_shown_while_it_is_typed(page, welcome_link, check_page):
    requests = []
    page.on(
        "request", lambda request: requests.append(request) if request.url.endswith("/password/strength.json") else None
    )
    page.goto(welcome_link)
    hint = page.locator("#password-strength")
    expect(hint).to_be_empty()

    page.locator("#password").press_sequentially("St Cuth")
    expect(hint).to_have_text(strength.SHORT_TEXT)
    page.locator("#password").press_sequentially("bert's School")
    expect(hint).to_contain_text("Too much of this password is easy to guess")
    expect(hint).to_have_attribute("data-state", "refused")
    check_page(page, "strength-refused")

    page.fill("#password", "kettle badgers")
    expect(hint).to_have_text(strength.FAIR_TEXT)
    check_page(page, "strength-fair")
    page.fill("#password", GOOD_PASSWORD)
    expect(hint).to_have_text(strength.GOOD_TEXT)
    check_page(page, "strength-good")
    assert all(GOOD_PASSWORD not in sent.url and "password=" not in sent.url for sent in requests)

    page.fill("#password", "")
    expect(hint).to_be_empty()
    page.fill("#password", GOOD_PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your password is set.")).to_be_visible()


def test_the_hint_is_requested_after_a_pause_in_typing_and_has_the_role_status(page, welcome_link):
    requests = []
    page.on(
        "request", lambda request: requests.append(request) if request.url.endswith("/password/strength.json") else None
    )
    page.goto(welcome_link)
    page.locator("#password").press_sequentially("wobbly kettle sings")
    expect(page.locator("#password-strength")).to_have_text(strength.GOOD_TEXT)

    assert len(requests) < len("wobbly kettle sings") / 2
    expect(page.locator("#password-strength")).to_have_role("status")


def test_the_button_below_does_not_move_up_when_the_sentence_gets_shorter(page, welcome_link):
    page.set_viewport_size({"width": 375, "height": 800})
    page.goto(welcome_link)
    hint, button = page.locator("#password-strength"), page.locator("#choose")
    page.fill("#password", "St Cuthbert's School")
    expect(hint).to_contain_text("easy to guess")
    before = button.bounding_box()["y"]
    page.fill("#password", GOOD_PASSWORD)
    expect(hint).to_have_text(strength.GOOD_TEXT)

    assert button.bounding_box()["y"] == before


def test_without_a_response_no_hint_is_shown_and_the_form_works(page, welcome_link):
    page.goto(welcome_link)
    page.fill("#password", "kettle badgers")
    expect(page.locator("#password-strength")).to_have_text(strength.FAIR_TEXT)
    page.route("**/password/strength.json", lambda route: route.abort())
    page.fill("#password", "password1234")
    expect(page.locator("#password-strength")).to_be_empty()
    page.click("#choose")
    expect(page.locator(".error-summary")).to_contain_text("Very many people use this password")


def test_a_weak_password_is_refused_without_scripts_for_the_same_reason(new_window, welcome_link):
    page = new_window(java_script_enabled=False)
    page.goto(welcome_link)
    expect(page.locator("#password-strength")).to_be_hidden()
    page.fill("#password", "St Cuthbert's School")
    page.click("#choose")
    expect(page.locator(".error-summary")).to_contain_text("Too much of this password is easy to guess")
