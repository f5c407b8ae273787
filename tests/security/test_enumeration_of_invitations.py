"""security.md S29: an owner who invites an address learns nothing about whether it has an account, nor does a
bystander.
"""

import re
from typing import NamedTuple

import pytest

from idp.estabs.models import Administrator
from idp.foundation import runtime
from tests.factories import an_administrator
from tests.mail import Outbox
from tests.security.test_enumeration import comparable_parts
from tests.signin.person import Person


@pytest.fixture
def owner(web, transaction, clock):
    with transaction():
        an_administrator(username="jo", name="Jo Bloggs")
    person = Person(web)
    person.sign_in("jo")
    return person


class ObservedInvitation(NamedTuple):
    """All that can be observed of an invitation: pages, mails, how many there are, and how many hashes it costs."""

    pages: str
    mails: set[str]
    mail_count: int
    hashes: int


def invite_and_observe(owner, app, transaction, address):
    """Invite the address, send it again and cancel it."""
    hashed, pages = runtime.for_app(app).passwords.hashed, []
    owner.submit("/manage/people/invite", name="Al Bloggs", email=address, role="viewer")
    pages.append(comparable_parts(owner, address))
    owner.open("/manage/people")
    pages.append(comparable_parts(owner, address))
    resend, cancel = (form["action"] for form in owner.page.select("#invited form"))
    owner.submit("/manage/people/invite", name="Al Bloggs", email=address, role="viewer")
    pages.append(comparable_parts(owner, address))
    for path in (resend, cancel):
        owner.post(path)
        pages.append(comparable_parts(owner, address))
        owner.open("/manage/people")
        pages.append(comparable_parts(owner, address))
        owner.open("/manage/people/invite")
    messages = [message for message in Outbox(transaction).all("invitation") if message.to == address]
    mails = {
        re.sub(r"/invitation/[\w-]+", "", f"{message.subject} {message.text} {message.html}") for message in messages
    }
    comparable_pages = re.sub(r"inv_\w+", "", repr(pages))
    return ObservedInvitation(comparable_pages, mails, len(messages), runtime.for_app(app).passwords.hashed - hashed)


@pytest.mark.parametrize("kind", ["open", "suspended", "removed", "without a password"])
def test_inviting_an_address_looks_the_same_with_and_without_an_account(owner, app, transaction, kind):
    with transaction():
        person = an_administrator(email="al@elsewhere.example", username="al")
        estab = person.memberships[0].estab
        estab.state = "suspended" if kind == "suspended" else "verified"
        person.removed_at = person.created_at if kind == "removed" else None
        person.password_hash = None if kind == "without a password" else person.password_hash

    invitation = invite_and_observe(owner, app, transaction, "al@elsewhere.example")
    assert invitation == invite_and_observe(owner, app, transaction, "bo@elsewhere.example")
    assert invitation.mail_count == 2
    with transaction() as session:
        assert session.query(Administrator).count() == 2


def test_a_link_that_we_never_made_says_the_same_as_one_that_was_replaced(owner, new_browser, outbox, clock):
    """Only the holder of the newest link, and so of the mailbox, learns whether the address has an account."""
    owner.submit("/manage/people/invite", name="Al Bloggs", email="al@elsewhere.example", role="viewer")
    link = outbox.last("invitation").links[0]
    owner.open("/manage/people")
    owner.post(owner.page.select_one("#invited form")["action"])
    pages = []
    for path in (link.removeprefix("http://localhost:5000"), f"/invitation/{'A' * 43}"):
        stranger = Person(new_browser())
        for request in (stranger.open, stranger.post_directly):
            request(path)
            pages.append(comparable_parts(stranger, path))
    assert pages[:2] == pages[2:]
    assert pages[0].status == 404
