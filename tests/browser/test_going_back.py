"""Going back after a form, and reloading the page after it: a real browser never asks to send the form again."""

from playwright.sync_api import expect


def leave_and_go_back(page):
    """Go to another page and back; the page must be loaded again by GET, without sending a form."""
    page.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/")[2] + "/register")
    page.go_back()
    page.wait_for_load_state("domcontentloaded")
    assert page.evaluate("location.protocol") == "http:"  # a page of the browser itself has another title


def reload(page):
    """Reload the page, which must send no form."""
    with page.expect_request(lambda request: request.is_navigation_request()) as request:
        page.reload()
    assert request.value.method == "GET"


def test_going_back_after_a_wrong_password_is_safe(a_member):
    admin = a_member()
    admin.open("/sign-in")
    admin.sign_in(password="not the password")
    admin.expect_errors("does not match")
    for return_to_page in (leave_and_go_back, reload):
        return_to_page(admin.page)
        admin.expect_heading("Sign in")
        admin.expect_errors("does not match")
        expect(admin.page.locator("#username")).to_have_value(admin.estab_id)


def test_going_back_to_the_sign_in_page_when_signed_in_redirects_once(a_member):
    admin = a_member()
    admin.open("/sign-in")
    admin.sign_in(password="not the password")
    admin.sign_in()
    expect(admin.page.get_by_role("link", name="Sign out")).to_be_visible()
    requested_urls = []
    admin.page.on("request", lambda request: requested_urls.append(request.url))
    admin.page.go_back()
    expect(admin.page.get_by_role("link", name="Sign out")).to_be_visible()
    admin.page.wait_for_load_state("networkidle")
    assert len([url for url in requested_urls if "_answer=" in url]) == 1


def test_going_back_after_wrong_details_is_safe(an_admin):
    admin = an_admin()
    admin.open("/register")
    admin.open_details_page()
    admin.page.locator("#name").fill("Jo Bloggs")
    admin.page.locator("#email").fill("no address")
    admin.page.locator("#sign-up").click()
    admin.expect_errors("Enter your mobile number")
    for return_to_page in (leave_and_go_back, reload):
        return_to_page(admin.page)
        expect(admin.page.locator("#name")).to_have_value("Jo Bloggs")
        expect(admin.page.locator("#email")).to_have_value("no address")


def test_going_back_to_the_page_that_shows_a_password_once_is_safe(an_admin):
    admin = an_admin()
    admin.register()
    password = admin.password
    for return_to_page in (leave_and_go_back, reload):
        return_to_page(admin.page)
        expect(admin.page.locator("h1")).to_be_visible()
        assert "/done" in admin.page.url
        assert password not in admin.page.content()


def test_going_back_after_a_decision_about_sharing_is_safe(a_member, partner):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.page.locator("#allow").click()  # without the declaration
    admin.expect_errors("Tick the box if you have authority")
    leave_and_go_back(admin.page)
    admin.expect_errors("Tick the box if you have authority")
    admin.authorise()
    admin.expect_heading(admin.school.name)
