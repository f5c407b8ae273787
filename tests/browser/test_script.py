"""What app.js does and does not do."""

import re

import pytest
from playwright.sync_api import expect

HIDE_PAGE_SCRIPT = """hidden => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""

READ_CLIPBOARD = """async expected => {
    const deadline = Date.now() + 60000;
    let text;
    while ((text = await navigator.clipboard.readText()) !== expected && Date.now() < deadline) {
        await new Promise((go) => { setTimeout(go, 20); });
    }
    return text;
}"""
"""The content of the clipboard, after waiting for the expected text: copying takes a moment."""

COUNT_TIMERS = """() => {
    const set = window.setTimeout;
    window.timers = 0;
    window.setTimeout = (...rest) => { window.timers += 1; return set(...rest); };
}"""

NOT_COUNTED = re.compile(r"blob:.*|http://[^/?]+/static/[^?]+")
"""Requests that do not count: the page's fonts and icon, and the file made in the browser."""


@pytest.fixture
def registered(an_admin, new_window):
    """A person on the page with the new username and password, whose browser lets pages use the clipboard."""
    admin = an_admin(page=new_window(permissions=["clipboard-read", "clipboard-write"]))
    admin.open("/register")
    admin.register()
    return admin


def test_username_and_password_can_be_copied(registered):
    page = registered.page
    for button, expected in (("Copy Password", registered.password), ("Copy Estab ID", registered.estab_id)):
        page.get_by_role("button", name=button).click()
        expect(page.locator(".unseen[role=status]")).to_have_text("Copied")
        assert page.evaluate(READ_CLIPBOARD, expected) == expected


def test_username_and_password_can_be_saved_as_a_file_without_a_request(registered):
    page, requests = registered.page, []
    page.on("request", lambda request: requests.append(request.url) if not NOT_COUNTED.fullmatch(request.url) else None)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()

    text = download.value.path().read_text("utf-8")
    assert download.value.suggested_filename == f"IDaaS {registered.estab_id}.txt"
    assert registered.estab_id in text
    assert registered.password in text
    assert requests == []


def test_only_the_credentials_are_printed(registered, check_page):
    page = registered.page
    check_page(page, "credentials")
    page.evaluate("() => { window.printed = 0; window.print = () => { window.printed += 1; }; }")
    page.get_by_role("button", name="Print").click()
    page.wait_for_function("() => window.printed === 1")

    page.emulate_media(media="print")
    heading, name = page.get_by_role("heading", level=1), page.locator(".marque .mark")
    assert heading.bounding_box()["x"] == name.bounding_box()["x"], "the sheet's margins are printed"
    for text in (registered.estab_id, registered.password, registered.school.name):
        expect(page.get_by_text(text).locator("visible=true").first).to_be_visible()
    for hidden in ("nav", "footer", "aside", "button", "form", ".actions", ".skip"):
        expect(page.locator(hidden).locator("visible=true"), hidden).to_have_count(0)


def test_a_password_can_be_shown_and_is_hidden_again_when_the_form_is_sent(a_member):
    admin = a_member()
    admin.open("/sign-in")
    field = admin.page.locator("#password")
    field.fill("what I typed")
    admin.press("Show password")
    expect(field).to_have_attribute("type", "text")
    admin.press("Hide password")
    expect(field).to_have_attribute("type", "password")

    admin.press("Show password")
    admin.page.evaluate(
        """() => document.addEventListener("submit", () => {
            sessionStorage.sentAs = document.querySelector("#password").type;
        })"""
    )
    admin.page.locator("#username").fill(admin.estab_id)
    admin.page.locator("#sign-in").click()
    admin.expect_errors("does not match")
    assert admin.page.evaluate("sessionStorage.sentAs") == "password"


def record_posts(page):
    """The URLs of the forms that the page sends from now on."""
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    return sent


def test_a_form_is_sent_once_by_a_double_click(an_admin):
    """Each step that changes something, with a double click."""
    admin = an_admin()
    sent = record_posts(admin.page)
    admin.open("/register")
    admin.open_details_page()
    admin.page.locator("#name").fill(admin.name)
    admin.page.locator("#email").fill(admin.email)
    admin.page.locator("#mobile").fill(admin.mobile)
    admin.page.locator("#declaration").check()
    for button, heading in (("#sign-up", "Check your e-mail"), ("#verify", "Sign up"), ("#sign-up", "Your username")):
        if button == "#verify":
            admin.open_verification_mail()
        before = len(sent)
        admin.page.locator(button).dblclick()
        admin.expect_heading(re.compile(heading))
        assert len(sent) == before + 1, sent
    admin.note_credentials()

    admin.follow_link("Next steps")
    admin.expect_heading("Next steps")
    assert len([message for message in admin.outbox.all("verify_email") if message.to == admin.email]) == 1


def test_signing_in_and_authorising_by_double_clicks_sends_each_form_once(a_member, partner):
    admin = a_member()
    sent = record_posts(admin.page)
    admin.start_sign_in_at(partner)
    admin.expect_heading("Sign in")
    admin.page.locator("#username").fill(admin.estab_id)
    admin.page.locator("#password").fill(admin.password)
    admin.page.locator("#sign-in").dblclick()
    admin.expect_heading("Authorise sharing with Assembly")
    admin.page.locator("#authority").check()
    admin.page.locator("#allow").dblclick()
    admin.expect_heading(admin.school.name)

    assert len([url for url in sent if ".json" not in url]) == 2  # the passkeys' options are asked for by script


def test_the_back_button_leads_to_a_form_that_can_be_sent_again(an_admin):
    admin = an_admin()
    admin.open("/register")
    admin.open_details_page()
    admin.fill_in_details()
    admin.page.go_back()
    admin.expect_heading("Your details")
    expect(admin.page.locator("#email")).to_have_value(admin.email)
    expect(admin.page.locator("#sign-up")).not_to_have_attribute("aria-disabled", "true")

    admin.email = "right." + admin.email
    admin.fill_in_details()
    admin.expect_text(admin.email)
    admin.verify_address()
    admin.sign_up()


def test_the_back_button_after_signing_up_leads_to_the_page_of_the_registered_school(registered):
    registered.page.go_back()
    registered.expect_heading(re.compile("Sign up|Your school is registered|Verify your e-mail address"))
    registered.page.reload()
    registered.expect_heading("Your school is registered")


def test_the_back_button_after_signing_in_leads_to_a_form_that_works(a_member, partner):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.expect_heading("Authorise sharing with Assembly")
    admin.page.go_back()
    admin.expect_heading("Sign in")
    admin.sign_in()
    admin.expect_heading("Authorise sharing with Assembly")
    admin.authorise()
    admin.expect_heading(admin.school.name)


def test_the_back_button_after_authorising_leads_back_to_the_partner(a_member, partner):
    admin = a_member()
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.authorise()
    admin.expect_heading(admin.school.name)
    admin.page.go_back()
    admin.page.reload()
    admin.expect_heading("This sign-in cannot be continued")
    admin.expect_text("It has been answered already")
    admin.follow_link("Go to Assembly")
    admin.expect_heading(admin.school.name)


def test_a_reload_by_a_script_does_not_cancel_signing_out_at_assembly(a_member, partner):
    admin = a_member()
    page = admin.page
    admin.start_sign_in_at(partner)
    admin.sign_in()
    admin.authorise()
    admin.expect_heading(admin.school.name)
    page.goto(f"{partner.url}/connector")
    with page.expect_response("**/connector/status"):
        pass

    held_requests, reloads = [], []

    def record_reload(request):
        if request.is_navigation_request() and request.method == "GET":
            reloads.append(request.url)

    page.route("**/sign-out", lambda route: held_requests.append(route))  # noqa: PLW0108  Playwright marks it
    page.get_by_role("button", name="Sign out").click(no_wait_after=True)
    page.route("**/connector/status", lambda route: route.fulfill(status=401))
    page.on("request", record_reload)
    page.wait_for_timeout(3000)  # the page asks every two seconds
    assert reloads == []
    held_requests[0].continue_()
    admin.expect_heading("You are signed out")


@pytest.fixture
def waiting_person(an_admin, stop_page_clock):
    """A person on the page "Check your e-mail", whose clock is moved by the test."""
    admin = an_admin()
    stop_page_clock(admin.page)
    admin.open("/register")
    admin.open_details_page()
    admin.fill_in_details()
    admin.page.evaluate(COUNT_TIMERS)
    return admin


def wait_until_next_is_scheduled(page, times):
    """Wait until the page has processed this number of responses and scheduled the next request."""
    page.wait_for_function("times => window.timers === times", arg=times)


def test_a_waiting_page_polls_every_three_seconds_and_not_while_it_is_hidden(waiting_person):
    page, requests = waiting_person.page, []
    page.on("request", lambda request: requests.append(request.url) if request.url.endswith("status.json") else None)

    for times in (1, 2):
        page.clock.run_for(2_999)
        assert len(requests) == times - 1
        with page.expect_response("**/status.json"):
            page.clock.run_for(1)
        assert len(requests) == times
        wait_until_next_is_scheduled(page, times)

    page.evaluate(HIDE_PAGE_SCRIPT, True)
    page.clock.run_for(60_000)
    assert len(requests) == 2, "it polls while the page is hidden"

    with page.expect_response("**/status.json"):
        page.evaluate(HIDE_PAGE_SCRIPT, False)
    assert len(requests) == 3


def test_a_waiting_page_polls_less_often_while_the_server_does_not_respond(waiting_person):
    page, requests = waiting_person.page, []
    page.on(
        "requestfailed", lambda request: requests.append(request.url) if request.url.endswith("status.json") else None
    )
    page.route("**/status.json", lambda route: route.abort())

    for times, wait in enumerate((3_000, 6_000, 12_000), 1):
        with page.expect_event("requestfailed", lambda request: request.url.endswith("status.json")):
            page.clock.run_for(wait)
        wait_until_next_is_scheduled(page, times)
    assert len(requests) == 3

    page.unroute("**/status.json")
    waiting_person.at(page.context.new_page()).verify_address()
    with page.expect_response("**/status.json"):
        page.clock.run_for(24_000)
    waiting_person.expect_heading("Sign up")
