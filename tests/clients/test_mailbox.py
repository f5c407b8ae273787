"""The demo mailbox shows the messages of a Maildir; nothing in a message is executed."""

import mailbox
import smtplib
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime

import pytest

from clients.mailbox.app import create_app
from tests.browser.assembly import receive_mail
from tests.html import parse

STARTED_AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    """The Maildir that the mailbox shows."""
    return tmp_path / "mailbox"


@pytest.fixture
def web(folder):
    return create_app(folder).test_client()


@pytest.fixture
def deliver_mail(folder):
    """`deliver_mail("Subject")` puts a message into the Maildir; returns its key."""

    def deliver(subject="Please verify your e-mail address", *, text="Follow https://idp.example/verify/abc", minutes=0,
               html=None, to="office@willowbank.example", channel="email"):  # fmt: skip
        message = EmailMessage()
        message["To"], message["From"] = to, "IDaaS <no-reply@idaas.example>"
        if subject:
            message["Subject"] = subject
        message["Date"] = format_datetime(STARTED_AT + timedelta(minutes=minutes))
        message["X-Channel"] = channel
        message.set_content(text)
        if html:
            message.add_alternative(html, subtype="html")
        return mailbox.Maildir(folder).add(message)

    return deliver


def test_an_empty_mailbox_says_that_there_are_no_messages(web):
    page = web.get("/")

    assert page.status_code == 200
    assert "No messages yet" in page.text


def test_the_newest_message_comes_first(web, deliver_mail):
    deliver_mail("First", minutes=0)
    deliver_mail("Third", minutes=2)
    deliver_mail("Second", minutes=1)

    listed = parse(web.get("/").text).select("nav strong")

    assert [message.text for message in listed] == ["Third", "Second", "First"]


def test_links_in_plain_text_can_be_followed(web, deliver_mail):
    page = parse(web.get(f"/messages/{deliver_mail()}").text)

    [link] = page.select("main a[target=_blank]")
    assert link["href"] == "https://idp.example/verify/abc"
    assert link["rel"] == ["noopener"]


def test_a_text_message_is_shown_with_its_number(web, deliver_mail):
    key = deliver_mail(None, text="Your code is 123456", to="+447700900123", channel="sms")

    page = web.get(f"/messages/{key}").text

    assert "Text message" in page
    assert "+447700900123" in page
    assert "Your code is 123456" in page


def test_html_is_shown_in_a_frame_that_can_only_open_links(web, deliver_mail):
    key = deliver_mail(html="<p>Hello <a href='https://idp.example/verify/abc'>verify</a><script>steal()</script></p>")

    page = parse(web.get(f"/messages/{key}").text)
    [frame] = page.select("iframe")
    framed_page = web.get(str(frame["src"]))

    assert "allow-scripts" not in frame["sandbox"]
    assert "allow-forms" not in frame["sandbox"]
    assert framed_page.headers["Content-Security-Policy"].startswith("sandbox ")
    assert "script" not in framed_page.headers["Content-Security-Policy"]
    assert '<base target="_blank">' in framed_page.text
    assert "steal()" not in str(page)


def test_text_of_a_message_is_escaped(web, deliver_mail):
    key = deliver_mail("<b>Bold</b>", text="<script>alert(1)</script>")

    page = web.get(f"/messages/{key}").text

    assert "<b>Bold" not in page
    assert "<script>alert" not in page


def test_the_state_at_news_changes_when_a_message_arrives(web, deliver_mail):
    before = web.get("/news").json
    assert web.get("/news").json == before

    deliver_mail()

    assert web.get("/news").json != before
    assert web.get("/news").json["state"] in web.get("/").text


@pytest.mark.parametrize("key", ["nothing", "..%2F..%2Fetc%2Fpasswd", ".", "a" * 300])
def test_an_unknown_message_is_not_found(web, deliver_mail, key):
    deliver_mail()

    page = web.get(f"/messages/{key}")

    assert page.status_code == 404


def test_a_message_received_by_smtp_is_listed(web, folder):
    message = EmailMessage()
    message["To"], message["From"], message["Subject"] = "office@willowbank.example", "a@partner.example", "By SMTP"
    message.set_content("Hello")
    with receive_mail(folder) as port, smtplib.SMTP("localhost", port) as smtp_client:
        smtp_client.send_message(message)

    assert "By SMTP" in web.get("/").text


def test_a_request_with_a_foreign_host_header_is_refused(web):
    assert web.get("/", base_url="http://evil.example").status_code == 400
