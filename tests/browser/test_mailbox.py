"""The demo mailbox in a real browser: new mail appears by itself, and links open in a new tab."""

import mailbox
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime

import pytest
from playwright.sync_api import expect

from clients.mailbox.app import create_app
from tests.ports import free_port
from tests.serving import serving

HTML = "<h1>Verify</h1><p><a href='{url}/healthz'>Verify my e-mail address</a></p>"


@pytest.fixture
def folder(tmp_path):
    """The Maildir that the mailbox shows."""
    return tmp_path / "mailbox"


@pytest.fixture
def url(folder):
    """The URL of a mailbox that is served."""
    port = free_port()
    with serving(create_app(folder), port):
        yield f"http://localhost:{port}"


@pytest.fixture
def deliver_mail(folder, url):
    """`deliver_mail("Subject")` puts a message into the Maildir, a minute after the one before; returns its key."""
    sent_at = [datetime(2026, 3, 2, 9, 30, tzinfo=UTC)]

    def deliver(subject, *, html=None, channel="email"):
        message = EmailMessage()
        message["Subject"], message["To"], message["X-Channel"] = subject, "office@oakhill.example", channel
        message.set_content("Your code is 123456")
        if html:
            message.add_alternative(html.format(url=url), subtype="html")
        sent_at.append(sent_at[-1] + timedelta(minutes=1))
        message["Date"] = format_datetime(sent_at[-1])
        return mailbox.Maildir(folder).add(message)

    return deliver


def test_new_mail_appears_by_itself(page, url, deliver_mail, check_page):
    page.goto(url)
    expect(page.get_by_text("No messages yet")).to_be_visible()
    check_page(page, "mailbox-empty")

    deliver_mail("Please verify your e-mail address")

    expect(page.get_by_role("link", name="Please verify")).to_be_visible()
    check_page(page, "mailbox-list")


def test_while_a_message_is_read_new_mail_is_announced(page, url, deliver_mail):
    deliver_mail("First")
    page.goto(url)
    page.get_by_role("link", name="First").click()
    expect(page.locator("main")).to_contain_text("Your code is 123456")

    deliver_mail("Second")

    page.get_by_role("link", name="New mail has arrived").click()
    expect(page.get_by_role("link", name="Second")).to_be_visible()


def test_a_click_during_which_mail_arrives_opens_the_message(page, url, deliver_mail):
    deliver_mail("First")
    page.goto(url)
    page.get_by_role("link", name="First").hover()
    page.mouse.down()

    deliver_mail("Second")
    wait_for_polls(page)
    expect(page.get_by_role("link", name="Second")).to_have_count(0)
    page.mouse.up()

    expect(page.get_by_role("heading", level=1)).to_have_text("First")


def test_a_message_opens_although_mail_arrives_meanwhile(page, url, deliver_mail):
    deliver_mail("First")
    page.goto(url)
    held_requests = []
    page.route("**/messages/*", lambda route: held_requests.append(route))  # noqa: PLW0108  Playwright looks at the names of the arguments
    page.get_by_role("link", name="First").click(no_wait_after=True)

    deliver_mail("Second")
    wait_for_polls(page)
    held_requests[0].continue_()

    expect(page.get_by_role("heading", level=1)).to_have_text("First")


def test_new_mail_is_inserted_in_order_and_the_focus_stays(page, url, deliver_mail, folder):
    first = deliver_mail("First")
    deliver_mail("Second")
    page.goto(url)
    page.get_by_role("link", name="Second").focus()

    mailbox.Maildir(folder).remove(first)
    deliver_mail("Third")

    expect(page.locator("nav strong")).to_have_text(["Third", "Second"])
    expect(page.get_by_role("link", name="Second")).to_be_focused()


def wait_for_polls(page):
    """Wait until the page has polled for news twice."""
    for _ in range(2):
        with page.expect_response("**/news"):
            pass


def test_a_link_in_a_mail_opens_in_a_new_tab(page, url, deliver_mail, check_page):
    deliver_mail("Verify", html=HTML)
    page.goto(url)
    page.get_by_role("link", name="Verify").click()
    mail = page.frame_locator("iframe")
    expect(mail.get_by_role("heading", name="Verify")).to_be_visible()
    check_page(page, "mailbox-mail")

    with page.context.expect_page() as opened:
        mail.get_by_role("link", name="Verify my e-mail address").click()

    expect(opened.value).to_have_url(f"{url}/healthz")
    assert "/messages/" in page.url


def test_a_text_message_is_shown_as_a_speech_bubble(page, url, deliver_mail, check_page):
    deliver_mail("", channel="sms")
    page.goto(url)
    page.get_by_role("link", name="Text message").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Text message")
    expect(page.locator(".bubble")).to_have_text("Your code is 123456")
    check_page(page, "mailbox-text-message")
