"""The page behind the link of an invitation."""

from datetime import timedelta
from typing import NamedTuple

import pytest

from idp.estabs import people, person_invitations
from idp.estabs.models import Membership, PersonInvitation
from tests.factories import an_administrator
from tests.signin.person import Person

AL_NAME, AL_EMAIL = "Al Bloggs", "al@oakhill.example"
OWN_PASSWORD = "wobbly kettle sings at dusk"


class Inviter(NamedTuple):
    """The owner who invites, and the school."""

    person_id: str
    estab_id: str
    school: str


@pytest.fixture
def inviter(transaction, clock):
    with transaction():
        owner = an_administrator(name="Jo Bloggs", username="jo", email="jo@oakhill.example").memberships[0]
        return Inviter(owner.person_id, owner.estab_id, owner.estab.name)


@pytest.fixture
def invite(transaction, inviter, outbox):
    """`invite()` invites Al, and returns the path of the link."""

    def send(role="admin"):
        with transaction() as session:
            person_invitations.invite(
                AL_NAME, AL_EMAIL, role, by=session.get_one(Membership, (inviter.person_id, inviter.estab_id))
            )
        return outbox.last("invitation").path

    return send


@pytest.fixture
def al(new_browser):
    return Person(new_browser())


def test_a_new_person_accepts_chooses_a_password_and_acts(al, invite, inviter, transaction):
    link = invite()
    al.open(link)
    for text in (f"Act for {inviter.school}?", "Jo Bloggs invites you", "Administrator. Sees what is shared", AL_EMAIL):
        assert text in al.page_text
    assert al.page.find(id="name")["value"] == AL_NAME
    al.post(link, name="Al B", mobile="")
    assert al.response.status_code == 422
    al.post(link, name="Alan Bloggs", mobile="07700 900124")
    assert al.response.location.startswith("/welcome/")
    assert not al.cookie("session")
    al.submit(al.response.location, password=OWN_PASSWORD)
    al.sign_in(AL_EMAIL, OWN_PASSWORD)
    al.open("/manage")
    assert inviter.school in al.page_text
    assert "Alan Bloggs" in al.page_text
    assert "How to install it" in al.page_text  # something that only an administrator may do


def test_a_person_who_was_interrupted_continues_by_a_new_mail(al, invite, outbox, new_browser):
    link = invite()
    al.submit(link, name="Al", mobile="07700 900124")
    later = Person(new_browser())
    assert later.open(link).status_code == 410
    assert later.page.find(id="error-code").text == "link_used"
    assert "You have not chosen a password yet." in later.page_text
    assert later.post(f"{link}/password").location == "/welcome/sent"
    assert outbox.last("welcome_link").to == AL_EMAIL
    later.submit(outbox.last("welcome_link").links[0], password=OWN_PASSWORD)
    later.open(link)
    assert "If it was you, you can sign in." in later.page_text
    assert not later.page.find(id="send-link")
    assert later.sign_in(AL_EMAIL, OWN_PASSWORD).status_code == 303


def test_opening_the_link_changes_nothing(invite, new_browser, transaction):
    link = invite()
    for _ in range(2):
        for request in (new_browser().get, new_browser().head, new_browser().options):
            assert request(link).status_code == 200
    with transaction() as session:
        assert session.query(PersonInvitation).one().used_at is None


def test_a_person_with_an_account_signs_in_decides_and_then_acts_for_both_schools(al, invite, inviter, transaction):
    with transaction():
        person = an_administrator(name="Al", username="al", email=AL_EMAIL)
        first, person_id = person.memberships[0].estab.name, person.id
    link = invite("viewer")
    al.open(link)
    assert "You already have an account with this e-mail address." in al.page_text
    assert al.post_directly(link, name="Al", mobile="07700 900124").status_code == 200
    al.open(link)
    al.open(al.page.find(id="sign-in")["href"])
    assert al.page.find(id="username")["value"] == AL_EMAIL
    al.post(al.response.request.full_path, username=AL_EMAIL, password="correct horse battery staple oak hill")
    assert al.response.location == link
    with transaction():
        assert people.membership(person_id, inviter.estab_id) is None  # signing in does not accept it
    al.open(link)
    for text in (
        f"Act for {inviter.school}?",
        "Jo Bloggs invites you, Al, to act for this school as well",
        "Viewer. Sees",
    ):
        assert text in al.page_text
    assert al.post(link).location == "/manage"
    al.open("/manage")
    assert f"You now act for {inviter.school}." in al.page_text
    header = al.page.find("header").get_text(" ")
    assert "Change school" in header
    assert inviter.school in header
    assert first in al.open("/sign-in/school").text
    assert al.open(link).status_code == 410


def test_another_person_who_is_signed_in_can_sign_out_first(al, invite, transaction):
    with transaction():
        an_administrator(name="Bo", username="bo", email="bo@oakhill.example")
    link = invite()
    al.sign_in("bo")
    al.open(link)
    assert "It was sent to al@oakhill.example. You are signed in as Bo" in al.page_text
    assert al.post(link).status_code == 200
    assert "This invitation is for another person" in al.page_text
    al.open(link)
    assert al.post(f"{link}/sign-out").location == link
    al.open(link)
    assert al.page.find(id="mobile")


def test_the_invitation_of_a_person_who_already_acts_for_the_school_says_so(al, invite, inviter, transaction):
    link = invite()
    with transaction() as session:
        an_administrator(
            session.get_one(Membership, (inviter.person_id, inviter.estab_id)).estab,
            name="Al",
            username="al",
            email=AL_EMAIL,
            role="viewer",
        )
    al.sign_in("al")
    al.open(link)
    assert f"You already act for {inviter.school}" in al.page_text
    assert not al.page.find(id="accept")


def test_a_link_that_cannot_be_used_says_why(al, invite, inviter, transaction, clock, outbox):
    link = invite()
    assert al.open(f"{link}x").status_code == 404
    assert al.page.find(id="error-code").text == "link_unknown"
    clock.move(timedelta(days=7))
    assert al.open(link).status_code == 410
    assert al.page.find(id="error-code").text == "link_expired"
    with transaction() as session:
        by = session.get_one(Membership, (inviter.person_id, inviter.estab_id))
        person_invitations.resend(person_invitations.waiting(inviter.estab_id)[0].id, by=by)
    link = outbox.last("invitation").links[0]
    assert al.open(link).status_code == 200
    with transaction() as session:
        person_invitations.cancel(
            person_invitations.waiting(inviter.estab_id)[0].id,
            by=session.get_one(Membership, (inviter.person_id, inviter.estab_id)),
        )
    assert al.open(link).status_code == 410
    assert al.page.find(id="error-code").text == "invitation_cancelled"
