"""Pages used by keyboard alone: which control has the focus, and what Enter and Escape do."""

import pytest
from playwright.sync_api import expect


@pytest.fixture
def press(page):
    """`press("Tab", "Enter")` presses these keys, `press("Tab", times=3)` one key three times."""

    def press_keys(*keys, times=1):
        for key in keys * times:
            page.keyboard.press(key)

    return press_keys


def tab_to(page, control):
    """Tab until `control` has the focus; it has to be reachable from where the focus is."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if control.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{control} cannot be reached by Tab")


def test_the_first_tab_offers_to_skip_to_the_content(page, issuer, press):
    page.goto(f"{issuer}/sign-in")
    press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    press("Enter")
    page.wait_for_url("**#main")
    press("Tab")

    expect(page.locator("#username")).to_be_focused()


def test_signing_in_and_authorising_by_keyboard_alone(a_member, partner, press, page):
    admin = a_member(page=page)
    page.goto(partner.url)
    tab_to(page, page.get_by_role("link", name="Sign in with your school account"))
    press("Enter")
    admin.expect_heading("Sign in")
    tab_to(page, page.locator("#username"))
    page.keyboard.type(admin.estab_id)
    press("Tab")
    expect(page.locator("#password")).to_be_focused()
    page.keyboard.type(admin.password)
    press("Tab")
    expect(page.get_by_role("button", name="Show password")).to_be_focused()
    press("Shift+Tab", "Enter")

    admin.expect_heading("Authorise sharing with Assembly")
    tab_to(page, page.get_by_role("checkbox", name="Attendance"))
    press("Space")
    tab_to(page, page.locator("#authority"))
    press("Space")
    tab_to(page, page.locator("#allow"))
    press("Enter")

    admin.expect_heading(admin.school.name)
    expect(admin.sharing_state("Attendance")).to_have_text("Shared")


def test_every_focused_control_has_a_visible_outline(page, issuer):
    """Each control on the sign-in page, once reached, has an outline."""
    page.goto(f"{issuer}/sign-in")
    seen_controls = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => {
                const at = document.activeElement;
                if (at === document.body) return null;
                const style = getComputedStyle(at);
                return [at.outerHTML.slice(0, 80), style.outlineStyle, parseFloat(style.outlineWidth)];
            }"""
        )
        if focused is None or focused[0] in seen_controls:
            break
        seen_controls.add(focused[0])
        assert focused[1] != "none", focused
        assert focused[2] >= 2, focused
    assert len(seen_controls) >= 8


def test_the_error_summary_has_the_focus_and_its_links_lead_to_the_fields(page, issuer, press):
    page.goto(f"{issuer}/sign-in")
    page.locator("#username").focus()
    press("Enter")

    expect(page.locator("[data-error-summary]")).to_be_focused()
    press("Tab", "Enter")
    expect(page.locator("#username")).to_be_focused()
