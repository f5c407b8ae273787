"""The pages on which our staff check new schools and requests to join, as `idp onboarding` does."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.estabs.models import Estab, Membership
from idp.onboarding import join, review
from idp.onboarding.models import JoinRequest, Review
from idp.operate import suspension
from tests.factories import a_school, an_administrator, an_estab
from tests.onboarding.registrations import a_registration, complete

SCHOOLS = "/operate/schools"


@pytest.fixture
def estab_id(transaction, clock):
    """The Estab ID of a school that has just registered."""
    with transaction() as database:
        school = a_school(
            dfe_number="3124567", name="Oak Hill School", telephone_e164="+442079460001", head_teacher="Ms F Wong"
        )
        complete(a_registration(school))
        return database.query(Estab).one().estab_id


@pytest.fixture
def request_id(transaction, clock, outbox):
    """The id of a request to join that no owner answered in time."""
    with transaction() as database:
        school = a_school(name="Ash School")
        an_administrator(an_estab(school), email="owner@ash.example")
        complete(a_registration(school, email="al@ash.example"))
        join_request = database.scalars(select(JoinRequest)).one()
        join_request.expires_at = clock.now()
        return join_request.id


def act(operator, estab_id, **fields):
    """Open the school's page and send its form; returns the response."""
    return operator.submit(f"{SCHOOLS}/{estab_id}", **fields)


def state(transaction):
    with transaction() as database:
        return database.query(Estab).one().state


def test_a_new_school_is_found_called_and_verified(operator, estab_id, transaction, outbox):
    operator.open("/operate")
    operator.open(operator.page.find("a", string="Schools to check")["href"])
    assert "New school" in operator.page_text
    operator.open(operator.page.find("a", string="Oak Hill School")["href"])
    for text in ("020 7946 0001", "Ms F Wong", "Jo Bloggs", "office@oakhill.example (verified)", "About the e-mail"):
        assert text in operator.page_text
    assert act(operator, estab_id, action="verify", text="Spoke to the bursar.").status_code == 303
    assert state(transaction) == "verified"
    assert outbox.last("school_verified").to == "office@oakhill.example"
    operator.open(f"{SCHOOLS}/{estab_id}")
    assert "This school was verified on 2 March 2026" in operator.page_text
    assert "Ola Perez: Spoke to the bursar." in operator.page_text
    operator.open(SCHOOLS)
    assert "Nothing is waiting" in operator.page_text


def test_a_rejection_needs_a_reason_which_the_owners_receive(operator, estab_id, transaction, outbox):
    for nothing in ("  ", "\u200b \u2060"):
        assert act(operator, estab_id, action="reject", text=nothing).status_code == 422
    assert "Please enter a text" in operator.page_text
    assert operator.page.find(id="action-3").has_attr("checked")
    assert state(transaction) == "unverified"
    assert act(operator, estab_id, action="reject", text="The school does not know you.").status_code == 303
    assert state(transaction) == "rejected"
    assert "The school does not know you." in outbox.last("school_rejected").text
    operator.open(f"{SCHOOLS}/{estab_id}")
    assert "The reason was: The school does not know you." in operator.page_text


def test_a_note_is_for_our_staff_and_a_question_goes_to_the_owners(operator, estab_id, transaction, outbox):
    assert act(operator, estab_id, action="note", text="Nobody answered.").status_code == 303
    assert act(operator, estab_id, action="ask", text="Who is the head teacher?").status_code == 303
    operator.open(f"{SCHOOLS}/{estab_id}")
    notes = [note.get_text(" ", strip=True) for note in operator.page.select("#notes li")]
    assert [note.partition("Ola Perez: ")[2] for note in notes] == [
        "Nobody answered.", "Asked the school: Who is the head teacher?",
    ]  # fmt: skip
    assert "Who is the head teacher?" in outbox.last("school_question").text
    assert "Nobody answered." not in outbox.last("school_question").text
    assert state(transaction) == "unverified"


@pytest.mark.parametrize(
    ("action", "shown"), [("", "Choose what to do"), ("delete", "What you chose can no longer be done.")]
)
def test_what_was_typed_stays_where_nothing_was_chosen(operator, estab_id, action, shown):
    assert act(operator, estab_id, action=action, text="A long note.").status_code == 422
    assert shown in operator.page_text
    assert operator.page.find(id="text").text.strip() == "A long note."


@pytest.mark.parametrize("action", ["note", "ask", "verify", "reject"])
def test_a_text_that_the_database_cannot_store_is_refused(operator, estab_id, transaction, action):
    assert act(operator, estab_id, action=action, text="They\0 hung up.").status_code == 422
    assert "This has a character that cannot be stored." in operator.page_text
    assert state(transaction) == "unverified"


def test_a_school_that_a_colleague_decided_is_not_decided_again_and_the_text_stays(operator, estab_id, transaction):
    operator.open(f"{SCHOOLS}/{estab_id}")
    with transaction():
        review.verify(estab_id, by="cli")
    operator.post(f"{SCHOOLS}/{estab_id}", action="reject", text="They hung up.")
    assert operator.response.status_code == 422
    assert "This school was verified on" in operator.page_text
    assert "They hung up." in operator.page.find(id="text").text
    assert state(transaction) == "verified"
    assert operator.page.select("input[name=action]")[0]["value"] == "note"
    assert len(operator.page.select("input[name=action]")) == 1, "only a note is left to do"


@pytest.mark.parametrize("action", ["verify", "reject"])
def test_a_decision_does_not_end_a_suspension(operator, estab_id, transaction, action):
    operator.open(f"{SCHOOLS}/{estab_id}")
    with transaction():
        suspension.suspend(estab_id, by="cli", reason="No one at the school knows the owner.")
    assert operator.post(f"{SCHOOLS}/{estab_id}", action=action, text="They hung up.").status_code == 422
    assert "The account is suspended. Restore the account first" in operator.page_text
    assert "They hung up." in operator.page.find(id="text").text
    assert [button["value"] for button in operator.page.select("input[name=action]")] == ["note", "ask"]
    assert state(transaction) == "suspended"
    with transaction():
        suspension.restore(estab_id, by="cli")
    assert act(operator, estab_id, action=action, text="They called back.").status_code == 303


def test_an_overdue_school_is_marked_and_first(operator, estab_id, transaction, clock):
    with transaction():
        complete(a_registration(a_school(name="Ash School"), email="office@ash.example"))
    with transaction() as database:
        case = database.scalars(select(Review).join(Estab).where(Estab.estab_id == estab_id)).one()
        case.due_at = clock.now() - timedelta(hours=1)
    operator.open(SCHOOLS)
    rows = [row.get_text(" ", strip=True) for row in operator.page.select("tbody tr")]
    assert rows[0].startswith("Oak Hill School")
    assert rows[0].endswith("Overdue")
    assert rows[1].startswith("Ash School")
    assert "Overdue" not in rows[1]


@pytest.mark.parametrize(("decision", "role"), [("admin", "admin"), ("viewer", "viewer")])
def test_a_person_who_asked_to_join_is_let_in(operator, request_id, transaction, outbox, decision, role):
    operator.open(SCHOOLS)
    operator.open(operator.page.find("a", string="Ash School")["href"])
    for text in ("Jo Bloggs asks to join Ash School", "al@ash.example (verified)", "Call the school before you decide"):
        assert text in " ".join(operator.page.find("main").get_text(" ").split())
    assert operator.post(f"/operate/requests-to-join/{request_id}", decision=decision).status_code == 303
    with transaction() as database:
        person_id = database.get_one(JoinRequest, request_id).decided_by
        assert person_id.startswith("opr_")
        joined = database.scalars(select(Membership).where(Membership.role == role)).all()
        assert [member.person.email for member in joined] == ["al@ash.example"]
    operator.open(f"/operate/requests-to-join/{request_id}")
    assert "It was approved on" in operator.page_text
    assert operator.page.find(id="continue") is None


def test_a_request_to_join_is_declined(operator, request_id, transaction, outbox):
    assert operator.submit(f"/operate/requests-to-join/{request_id}", decision="decline").status_code == 303
    assert outbox.last("join_declined").to == "al@ash.example"
    with transaction() as database:
        assert database.get_one(JoinRequest, request_id).decision == "declined"


def test_a_request_that_a_colleague_declined_is_not_approved(operator, request_id, transaction):
    operator.open(f"/operate/requests-to-join/{request_id}")
    with transaction():
        join.decline(join.find(request_id), by="cli")
    assert operator.post(f"/operate/requests-to-join/{request_id}", decision="admin").status_code == 422
    assert "Someone has answered this request already" in operator.page_text
    with transaction() as database:
        assert database.get_one(JoinRequest, request_id).decision == "declined"


def test_a_request_to_a_school_that_is_not_active_stays_undecided(operator, request_id, transaction):
    with transaction() as database:
        database.query(Estab).one().state = "suspended"
    assert operator.submit(f"/operate/requests-to-join/{request_id}", decision="admin").status_code == 422
    assert "Nobody can join" in operator.page_text
    with transaction() as database:
        assert database.get_one(JoinRequest, request_id).decision is None


def test_a_request_that_owners_may_still_answer_is_shown_without_a_decision(operator, transaction, clock, outbox):
    with transaction() as database:
        school = a_school(name="Ash School")
        an_administrator(an_estab(school), email="owner@ash.example")
        complete(a_registration(school, email="al@ash.example"))
        request_id = database.scalars(select(JoinRequest.id)).one()
    operator.open(f"/operate/requests-to-join/{request_id}")
    assert "The owners of the school have until" in operator.page_text
    assert operator.page.find(id="continue") is None
    assert operator.post_directly(f"/operate/requests-to-join/{request_id}", decision="admin").status_code == 422
    with transaction():
        assert join.find(request_id).decision is None


def test_a_decision_has_to_be_chosen(operator, request_id):
    assert operator.submit(f"/operate/requests-to-join/{request_id}").status_code == 422
    assert "Choose what you decide" in operator.page_text


@pytest.mark.parametrize("path", [f"{SCHOOLS}/9999999", f"{SCHOOLS}/%00", "/operate/requests-to-join/joi_unknown"])
def test_what_does_not_exist_is_not_found(operator, path):
    assert operator.open(path).status_code == 404


def test_only_our_staff_open_them(jo, transaction, estab_id, request_id):
    with transaction():
        an_administrator(an_estab(), username="jo", email="jo@oakhill.example")
    for path in (SCHOOLS, f"{SCHOOLS}/{estab_id}", f"/operate/requests-to-join/{request_id}"):
        assert jo.open(path).status_code == 404
    jo.sign_in("jo")
    for path in (SCHOOLS, f"{SCHOOLS}/{estab_id}", f"/operate/requests-to-join/{request_id}"):
        assert jo.open(path).status_code == 404
    assert jo.post_directly(f"{SCHOOLS}/{estab_id}", action="verify").status_code == 404
    with transaction():
        assert review.case(estab_id).review.decided_at is None
