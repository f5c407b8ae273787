"""Posting messages: rendered, sealed and stored with the change that they report."""

import pytest
from jinja2 import TemplateNotFound
from sqlalchemy import select, text

from idp.foundation.crypto import UnsealError
from idp.outbox import post
from idp.outbox.models import Message


def test_a_mail_is_rendered_with_its_subject_as_plain_text_and_html(queue_message, row, transaction):
    with transaction() as session:
        outgoing = post.unseal(session.get(Message, queue_message(name="Jo & <Al>")))
    assert outgoing.to == "jo@oakhill.example"
    assert outgoing.subject == "Hello Jo & <Al>"
    assert "Dear Jo & <Al>, see https://us.example/v/x" in outgoing.text
    assert "Hello Jo" not in outgoing.text
    assert "support@idaas.example" in outgoing.text
    assert "Jo &amp; &lt;Al&gt;" in outgoing.html
    assert "Jo & <Al>" not in outgoing.html


def test_a_text_message_is_one_line_with_our_name_first(queue_message, transaction):
    with transaction() as session:
        outgoing = post.unseal(session.get(Message, queue_message("+447700900123")))
    assert (outgoing.subject, outgoing.html) == ("", "")
    assert outgoing.text == "IDaaS: your code is 123456"


def test_nothing_is_sent_about_a_change_that_was_rolled_back(transaction, outbox):
    def change():
        with transaction():
            post.email("hello", to="jo@oakhill.example", name="Jo", link="x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        change()
    assert outbox.all() == []


def test_a_missing_template_rolls_the_change_back(transaction, outbox):
    def change():
        with transaction():
            post.email("hello", to="jo@oakhill.example", name="Jo", link="x")
            post.email("no_such", to="jo@oakhill.example")

    with pytest.raises(TemplateNotFound, match="no_such"):
        change()
    assert outbox.all() == []


def test_a_sealed_message_cannot_be_moved_to_another_row(queue_message, transaction):
    first, second = queue_message(), queue_message()
    with transaction() as session:
        stored = str(session.execute(text("SELECT * FROM outbox")).all())
        assert "us.example/v/x" not in stored
        assert "Dear" not in stored
        rows = {row.id: row for row in session.scalars(select(Message))}
        rows[first].sealed, rows[second].sealed = rows[second].sealed, rows[first].sealed
        with pytest.raises(UnsealError):
            post.unseal(rows[first])


@pytest.mark.parametrize(
    "to",
    ["", "jo", "jo@", "@oakhill.example", "jo@oakhill.example, al@evil.example", "Jo <jo@oakhill.example>",
     "jo@oakhill.example\nBcc: al@evil.example", "jo@oakhill.example\r\n\r\nhello", "jo al@oakhill.example"],
)  # fmt: skip
def test_a_mail_to_anything_but_one_valid_address_is_refused(transaction, to):
    with transaction(), pytest.raises(ValueError, match="not one e-mail address"):
        post.email("hello", to=to, name="Jo", link="x")


@pytest.mark.parametrize("to", ["", "07700900123", "+44 7700 900123", "+447700900123\n", "+0", "+44770090012345678"])
def test_a_text_message_to_an_invalid_number_is_refused(transaction, to):
    with transaction(), pytest.raises(ValueError, match=r"E\.164"):
        post.sms("hello", to=to, code="1")


def test_a_line_break_in_a_name_cannot_end_the_subject(queue_message, transaction):
    with transaction() as session:
        outgoing = post.unseal(session.get(Message, queue_message(name="Jo\r\nBcc: al@evil.example")))
    assert outgoing.subject == "Hello Jo Bcc: al@evil.example"
