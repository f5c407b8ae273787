"""How pages look in cases that axe does not check: with errors, and with long names."""

from playwright.sync_api import expect


def padding(locator, side):
    return locator.evaluate(f"element => parseFloat(getComputedStyle(element).padding{side})")


PUNCTUATION_AT_LINE_STARTS = """() => [...document.querySelectorAll('main code')].filter(code => {
  const following = code.nextSibling;
  if (following?.nodeType !== Node.TEXT_NODE || !/^[,.;:)]/.test(following.data)) return false;
  const sign = document.createRange();
  sign.setStart(following, 0);
  sign.setEnd(following, 1);
  return sign.getBoundingClientRect().top > [...code.getClientRects()].at(-1).bottom - 2;
}).map(code => code.textContent)"""
"""The `code` elements after which a punctuation mark begins the next line."""


def test_a_comma_after_long_code_does_not_begin_the_next_line(new_window, issuer):
    page = new_window("phone")
    page.goto(f"{issuer}/developers/guide")
    assert page.evaluate(PUNCTUATION_AT_LINE_STARTS) == []


def test_the_text_of_a_listing_does_not_touch_its_edge(page, issuer):
    page.goto(f"{issuer}/api")
    listing = page.locator("pre").first
    assert listing.locator("code").bounding_box()["x"] - listing.bounding_box()["x"] >= 12
    assert padding(listing.locator("code"), "Left") == 0


def test_text_in_a_field_with_an_error_does_not_move(page, issuer):
    page.goto(f"{issuer}/register")
    box = page.locator("#q")
    before = padding(box, "Left")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(box).to_have_attribute("aria-invalid", "true")
    page.wait_for_load_state()

    assert padding(box, "Left") == before


def test_the_text_of_a_password_field_with_an_error_does_not_overlap_its_button(page, issuer):
    page.goto(f"{issuer}/sign-in")
    page.locator("#sign-in").click()
    field = page.locator("#password")
    expect(field).to_have_attribute("aria-invalid", "true")
    page.wait_for_load_state()
    button = page.get_by_role("button", name="Show password").bounding_box()

    assert padding(field, "Right") >= button["width"]


def test_a_tick_box_with_an_error_stays_square(an_admin):
    admin = an_admin()
    admin.open("/register")
    admin.open_details_page()
    admin.page.locator("#sign-up").click()
    box = admin.page.locator("#declaration")
    expect(box).to_have_attribute("aria-invalid", "true")
    admin.page.wait_for_load_state()
    size = box.bounding_box()

    assert size["width"] == size["height"]


def test_long_names_and_addresses_are_broken_and_not_cut(an_admin, check_page):
    """Names of the greatest length, without a space at which a line could break."""
    admin = an_admin(name="Wolfeschlegelsteinhausenbergerdorff" * 2, email=f"{'office' * 10}@{'school' * 10}.example")
    admin.open("/register")
    admin.open_details_page()
    admin.fill_in_details()
    check_page(admin.page, "long-check-email")
    admin.open_verification_mail()
    check_page(admin.page, "long-verify")
    admin.press("Yes, verify my e-mail address")
    admin.sign_up()
    admin.open("/")
    check_page(admin.page, "long-overview")
