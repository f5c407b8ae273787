"""The page of the API for partners, in a real browser."""

from playwright.sync_api import expect


def test_the_page_of_the_api_leads_to_its_sections_on_a_phone(new_window, issuer, check_page):
    page = new_window("phone")
    page.goto(f"{issuer}/api")
    check_page(page, "api-reference")
    page.locator("section a[href='#Schools']").first.click()
    expect(page).to_have_url(f"{issuer}/api#Schools")
    expect(page.locator("h3#Schools")).to_be_visible()


def test_the_page_of_an_event_leads_back_to_the_list_on_a_phone(new_window, issuer, check_page):
    page = new_window("phone")
    page.goto(f"{issuer}/events")
    check_page(page, "events")
    page.goto(f"{issuer}/events/sharing-authorised")
    check_page(page, "event")
    page.locator("main a", has_text="events for partners").click()
    expect(page).to_have_url(f"{issuer}/events")
