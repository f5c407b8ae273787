"""The People page: what each role sees there, and what owners do."""

from datetime import timedelta

import pytest

from idp.estabs import people
from idp.estabs.models import Estab
from idp.onboarding.models import JoinRequest
from idp.signin.models import BrowserSession
from tests.factories import PASSWORD, a_membership, an_administrator, an_estab
from tests.onboarding.registrations import a_registration, complete
from tests.signin.person import Person

AL = {"name": "Al Bloggs", "email": "al@oakhill.example", "role": "viewer"}
PEOPLE = "/manage/people"


@pytest.fixture
def estab_id(transaction, clock):
    with transaction():
        return an_estab().id


@pytest.fixture
def member(transaction, new_browser, estab_id):
    """`member("sam", "owner")` is a person of the school at a browser of their own, signed in."""

    def sign_in(name, role):
        with transaction() as session:
            facts = {"name": name.title(), "username": name, "email": f"{name}@oakhill.example", "role": role}
            person_id = an_administrator(session.get_one(Estab, estab_id), **facts).id
        person = Person(new_browser(), id=person_id)
        person.sign_in(name)
        return person

    return sign_in


def card_texts(person, part="people"):
    """The text of each card of a list on the People page."""
    person.open(PEOPLE)
    return [" ".join(card.get_text(" ").split()) for card in person.page.select(f"#{part} > li")]


def test_everyone_sees_who_acts_for_the_school_and_owners_see_what_protects_their_accounts(
    member, transaction, estab_id
):
    jo, vi = member("jo", "owner"), member("vi", "viewer")
    with transaction() as session:
        al = {"name": "Al", "username": "al", "role": "admin", "email": "al@oakhill.example"}
        estab = session.get_one(Estab, estab_id)
        an_administrator(estab, **al)
        bo = {"name": "Bo", "username": "bo", "role": "viewer", "email": "bo@oakhill.example"}
        an_administrator(estab, **bo, password_hash=None)
        an_administrator(name="Stranger")
    seen = {card.split()[0]: card for card in card_texts(jo)}
    assert next(iter(seen)) == "Jo"
    assert seen.keys() == {"Jo", "Al", "Bo", "Vi"}
    assert "jo@oakhill.example Added on 2 March 2026. Last signed in for your school on 2 March" in seen["Jo"]
    assert "al@oakhill.example Added on 2 March 2026. Has not signed in for your school yet." in seen["Al"]
    assert "Signs in with a password alone." in seen["Vi"]
    assert "Has not chosen a password yet." in seen["Bo"]

    assert {card.split()[0] for card in card_texts(vi)} == seen.keys()
    assert "password alone" not in vi.page_text
    assert "Change role" not in vi.page_text
    assert not vi.page.find(id="invite")
    assert vi.page_text.count("Leave the school's account") == 1


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_only_owners_may_open_the_forms_that_change_people(member, role):
    jo, other = member("jo", "owner"), member("other", role)
    for path in ("/invite", f"/{jo.facts['id']}/role", f"/{jo.facts['id']}/remove", "/hand-over"):
        assert other.open(PEOPLE + path).status_code == 403, path
        other.open("/sign-out")
        assert other.post(PEOPLE + path, **AL).status_code == 403, path


def test_a_person_is_invited_and_listed_until_they_answer_and_sent_a_new_link(member, outbox, clock):
    jo = member("jo", "owner")
    assert jo.submit(f"{PEOPLE}/invite", **AL).location == PEOPLE
    card = "Al Bloggs Viewer al@oakhill.example Invited by Jo. The link works until 9 March 2026 at 09:30."
    assert card in card_texts(jo, "invited")[0]
    assert "We have sent Al Bloggs an e-mail" in jo.page_text
    message = outbox.last("invitation")
    assert message.to == AL["email"]
    for text in ("Dear Al Bloggs,", "invited by Jo", "Viewer. Sees what is shared", "until 9 March 2026 at 09:30"):
        assert text in message.text

    clock.move(timedelta(minutes=1))
    resend, cancel = (form["action"] for form in jo.page.select("#invited form"))
    jo.post(resend)
    assert outbox.last("invitation").links != message.links
    jo.open(PEOPLE)
    jo.post(cancel)
    assert card_texts(jo, "invited") == []
    assert "The invitation to Al Bloggs has been cancelled." in jo.page_text
    jo.submit(f"{PEOPLE}/invite", name="")
    jo.post(cancel)  # pressed twice
    jo.open(jo.response.location)
    assert "has taken this invitation back" in jo.page_text


def test_each_error_of_the_invitation_form_is_explained_and_typed_values_are_kept(member):
    jo = member("jo", "owner")
    jo.submit(f"{PEOPLE}/invite", name="Call 123", email="al@gmial.com")
    assert jo.response.status_code == 422
    for text in ("Enter their name with letters", "Did you mean al@gmail.com?", "Choose what they may do"):
        assert text in jo.page_text
    jo.submit(f"{PEOPLE}/invite", **AL | {"email": ""})
    assert "Enter their e-mail address" in jo.page_text
    assert jo.page.find(id="name")["value"] == AL["name"]
    jo.submit(f"{PEOPLE}/invite", **AL | {"email": "JO@oakhill.example"})
    assert "already acts for the school" in jo.page_text


def test_a_request_to_join_is_linked(member, transaction, estab_id):
    jo = member("jo", "owner")
    with transaction() as session:
        complete(a_registration(session.get_one(Estab, estab_id).school, email=AL["email"]))
        person_id = session.query(JoinRequest).one().id
    assert "Jo Bloggs a…@oakhill.example" in card_texts(jo, "asking")[0]
    assert jo.page.select_one("#asking a")["href"] == f"/join/{person_id}"


def test_another_role_takes_effect_at_the_persons_next_click(member):
    jo, vi = member("jo", "owner"), member("vi", "viewer")
    jo.submit(f"{PEOPLE}/{vi.facts['id']}/role", role="owner")
    assert "Vi has a new role:" in jo.open(PEOPLE).text
    assert "Change role" in vi.open(PEOPLE).text
    vi.submit(f"{PEOPLE}/{jo.facts['id']}/role", role="viewer")
    assert "Change role" not in jo.open(PEOPLE).text


def test_a_removed_person_is_signed_out_at_the_next_click_and_no_one_else_is(member, transaction, estab_id):
    jo, vi, al = member("jo", "owner"), member("vi", "viewer"), member("al", "viewer")
    remove = f"{PEOPLE}/{vi.facts['id']}/remove"
    jo.open(remove)
    assert "What they authorised for your school stays in force" in jo.page_text
    jo.post(remove)
    assert "Vi no longer acts for your school." in jo.open(PEOPLE).text
    assert vi.open(PEOPLE).location.startswith("/sign-in")
    assert al.open(PEOPLE).status_code == 200
    jo.open(f"{PEOPLE}/invite")
    assert jo.post(remove).location == PEOPLE  # pressed twice
    for page in ("role", "remove", "reset", "lost-factor"):  # opened in another tab before
        assert jo.open(f"{PEOPLE}/{vi.facts['id']}/{page}").location == PEOPLE, page
        assert "This person no longer acts for your school." in jo.open(PEOPLE).text
    with transaction() as session:
        [ended] = session.query(BrowserSession).filter_by(person_id=vi.facts["id"])
        assert ended.why_ended == "removed"
    assert vi.sign_in("vi").status_code == 422


def test_a_person_of_two_schools_is_signed_out_of_the_one_and_stays_in_the_other(
    member, transaction, new_browser, estab_id
):
    jo, vi = member("jo", "owner"), member("vi", "viewer")
    with transaction():
        other = a_membership(people.get(vi.facts["id"]), role="viewer").estab
        names = other.estab_id, other.name
    elsewhere = Person(new_browser())
    elsewhere.sign_in("vi")
    elsewhere.submit("/sign-in/school", school=names[0])
    jo.submit(f"{PEOPLE}/{vi.facts['id']}/remove")

    assert vi.open(PEOPLE).location.startswith("/sign-in")
    assert names[1] in elsewhere.open("/manage").text
    assert vi.sign_in("vi").status_code == 303


def test_a_member_leaves_and_the_last_owner_cannot(member, outbox):
    jo, vi = member("jo", "owner"), member("vi", "viewer")
    assert vi.submit(f"{PEOPLE}/leave").location == "/signed-out"
    assert "You no longer act for" in vi.open("/signed-out").text
    assert vi.open(PEOPLE).location.startswith("/sign-in")
    assert {message.to for message in outbox.all("person_removed")} == {"jo@oakhill.example", "vi@oakhill.example"}
    assert jo.submit(f"{PEOPLE}/leave").status_code == 409
    assert "make another person an owner first" in jo.page_text
    assert jo.open(PEOPLE).status_code == 200


def test_the_ownership_is_handed_over_in_one_step(member):
    jo, vi = member("jo", "owner"), member("vi", "viewer")
    jo.submit(f"{PEOPLE}/hand-over", role="owner", person=vi.facts["id"])
    assert jo.response.status_code == 422
    jo.submit(f"{PEOPLE}/hand-over", role="admin", person=vi.facts["id"])
    assert [card.split()[:2] for card in card_texts(jo)] == [["Vi", "Owner"], ["Jo", "Administrator"]]
    assert "Vi is now an owner of your school's account." in jo.page_text
    assert "Change role" in vi.open(PEOPLE).text


def test_owners_sign_in_again_before_they_change_people_and_find_the_form_filled_in(
    member, clock, outbox, transaction, estab_id
):
    jo, vi = member("jo", "owner"), member("vi", "viewer")
    jo.open(f"{PEOPLE}/invite")
    with transaction() as session:  # a person of several schools may have chosen another one in between
        assert f"They act for {session.get_one(Estab, estab_id).name} once" in jo.page_text
    clock.move(timedelta(minutes=6))
    for path in ("invite", f"{vi.facts['id']}/role", f"{vi.facts['id']}/remove", "hand-over", "leave"):
        again = jo.web.get(f"{PEOPLE}/{path}").location
        assert again.startswith("/sign-in?next=/manage/people"), path
    jo.post(f"{PEOPLE}/invite", **AL)
    again = jo.response.location
    jo.submit(again, username="jo", password=PASSWORD)
    jo.open(jo.response.location)
    assert jo.page.find(id="email")["value"] == AL["email"]

    jo.post(f"{PEOPLE}/invite", **AL)
    jo.open(PEOPLE)
    clock.move(timedelta(minutes=6))
    for form in jo.page.select("#invited form"):
        assert jo.post(form["action"]).location.startswith(f"/sign-in?next={PEOPLE}&"), form["action"]
        jo.open(PEOPLE)
    assert len(card_texts(jo, "invited")) == len(outbox.all("invitation")) == 1
