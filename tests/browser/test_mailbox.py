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

HTML = "<h1>Verify</h1><p><a href='{address}/healthz'>Verify my e-mail address</a></p>"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "mailbox"


@pytest.fixture
def address(folder):
    port = free_port()
    with serving(create_app(folder), port):
        yield f"http://localhost:{port}"


@pytest.fixture
def arrives(folder, address):
    sent_at = [datetime(2026, 3, 2, 9, 30, tzinfo=UTC)]

    def arrive(subject, *, html=None, channel="email"):
        message = EmailMessage()
        message["Subject"], message["To"], message["X-Channel"] = subject, "office@oakhill.example", channel
        message.set_content("Your code is 123456")
        if html:
            message.add_alternative(html.format(address=address), subtype="html")
        sent_at.append(sent_at[-1] + timedelta(minutes=1))
        message["Date"] = format_datetime(sent_at[-1])
        return mailbox.Maildir(folder).add(message)

    return arrive


def test_new_mail_appears_by_itself(page, address, arrives, looks_right):
    page.goto(address)
    expect(page.get_by_text("No messages yet")).to_be_visible()
    looks_right(page, "mailbox-empty")

    arrives("Please verify your e-mail address")

    expect(page.get_by_role("link", name="Please verify")).to_be_visible()
    looks_right(page, "mailbox-list")


def test_while_a_message_is_read_new_mail_is_announced(page, address, arrives):
    arrives("First")
    page.goto(address)
    page.get_by_role("link", name="First").click()
    expect(page.locator("main")).to_contain_text("Your code is 123456")

    arrives("Second")

    page.get_by_role("link", name="New mail has arrived").click()
    expect(page.get_by_role("link", name="Second")).to_be_visible()


def test_no_click_is_lost_when_mail_arrives_while_a_link_is_pressed(page, address, arrives):
    arrives("First")
    page.goto(address)
    page.get_by_role("link", name="First").hover()
    page.mouse.down()

    arrives("Second")
    notices_new_mail(page)
    expect(page.get_by_role("link", name="Second")).to_have_count(0)
    page.mouse.up()

    expect(page.get_by_role("heading", level=1)).to_have_text("First")


def test_mail_that_arrives_does_not_keep_a_message_from_opening(page, address, arrives):
    arrives("First")
    page.goto(address)
    opening = []
    page.route("**/messages/*", lambda route: opening.append(route))  # noqa: PLW0108  it looks for the arguments' names
    page.get_by_role("link", name="First").click(no_wait_after=True)

    arrives("Second")
    notices_new_mail(page)
    opening[0].continue_()

    expect(page.get_by_role("heading", level=1)).to_have_text("First")


def test_new_mail_stands_at_its_place_and_the_focus_stays(page, address, arrives, folder):
    first = arrives("First")
    arrives("Second")
    page.goto(address)
    page.get_by_role("link", name="Second").focus()

    mailbox.Maildir(folder).remove(first)
    arrives("Third")

    expect(page.locator("nav strong")).to_have_text(["Third", "Second"])
    expect(page.get_by_role("link", name="Second")).to_be_focused()


def notices_new_mail(page):
    """Wait until the page has asked for news twice."""
    for _ in range(2):
        with page.expect_response("**/news"):
            pass


def test_a_link_in_a_mail_opens_in_a_new_tab(page, address, arrives, looks_right):
    arrives("Verify", html=HTML)
    page.goto(address)
    page.get_by_role("link", name="Verify").click()
    mail = page.frame_locator("iframe")
    expect(mail.get_by_role("heading", name="Verify")).to_be_visible()
    looks_right(page, "mailbox-mail")

    with page.context.expect_page() as opened:
        mail.get_by_role("link", name="Verify my e-mail address").click()

    expect(opened.value).to_have_url(f"{address}/healthz")
    assert "/messages/" in page.url


def test_a_text_message_looks_like_one(page, address, arrives, looks_right):
    arrives("", channel="sms")
    page.goto(address)
    page.get_by_role("link", name="Text message").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Text message")
    expect(page.locator(".bubble")).to_have_text("Your code is 123456")
    looks_right(page, "mailbox-text-message")
