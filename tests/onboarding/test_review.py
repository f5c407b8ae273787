"""Our staff check every new school: in order, against the register, with notes; and decide once."""

from datetime import timedelta

import pytest

from idp.audit.models import Entry
from idp.estabs import accounts
from idp.estabs.models import Estab
from idp.onboarding import review
from idp.onboarding.models import Review
from tests.factories import a_school, an_estab
from tests.onboarding.makes import a_registration, completed


@pytest.fixture
def estab_id(work, clock):
    """A school that has just registered."""
    with work() as database:
        completed(a_registration(a_school(dfe_number="3124567", name="Oak Hill School")))
        return database.query(Estab).one().estab_id


def state(database, estab_id):
    return database.query(Estab).filter_by(estab_id=estab_id).one().state


def test_verifying_lets_data_flow_and_tells_the_owners(work, estab_id, outbox):
    with work():
        review.verify(estab_id, by="cli")
    with work() as database:
        assert state(database, estab_id) == "verified"
        assert review.queue() == []
    assert outbox.last("school_verified").to == "office@oakhill.example"


def test_rejecting_tells_the_owners_why_and_lets_the_school_register_again(work, estab_id, outbox):
    with work():
        review.reject(estab_id, "  The school does not know you.  ", by="cli")
    with work() as database:
        rejected = database.query(Estab).one()
        assert rejected.state == "rejected"
        assert review.case(estab_id).review.reason == "The school does not know you."
        assert accounts.of_school(rejected.school_id) is None
    letter = outbox.last("school_rejected")
    assert "The school does not know you." in letter.text
    assert letter.links[0].endswith("/register")


@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_nobody_is_rejected_without_a_reason(work, estab_id, reason):
    with pytest.raises(review.ReasonMissing), work():
        review.reject(estab_id, reason, by="cli")
    with work() as database:
        assert state(database, estab_id) == "unverified"


def test_a_case_is_decided_once(work, estab_id, at_once, outbox):
    outcomes = at_once(4, lambda: review.verify(estab_id, by="cli"))

    assert sum(isinstance(outcome, Review) for outcome in outcomes) == 1
    assert len(outbox.all("school_verified")) == 1
    with pytest.raises(review.AlreadyDecided) as refused, work():
        review.reject(estab_id, "Changed our mind.", by="cli")
    assert refused.value.says == "This school was verified on Monday 2 March 2026."


def test_the_queue_begins_with_the_most_pressing_and_knows_what_is_overdue(work, clock):
    with work():
        for number, nation in ((1, "England"), (2, "Scotland"), (3, "England")):
            completed(a_registration(a_school(name=f"School {number}", country=nation), email=f"a{number}@s.example"))
            clock.move(timedelta(days=1))
    clock.move(timedelta(hours=1))
    with work():
        waiting = review.queue()

        assert [each.estab.name for each in waiting] == ["School 1", "School 2", "School 3"]
        assert [each.is_overdue for each in waiting] == [True, False, False]


def test_a_case_shows_what_was_typed_beside_the_register_and_the_notes_in_order(work, estab_id, clock):
    with work():
        review.note(estab_id, "No answer.", by="cli")
    clock.move(timedelta(hours=1))
    with work():
        review.note(estab_id, "The head will call back.", by="cli")
        case = review.case(estab_id)

        assert [note.text for note in case.notes] == ["No answer.", "The head will call back."]
        assert [owner.email for owner in case.owners] == ["office@oakhill.example"]
        assert case.addresses == "oakhill.example is the domain of the school's website"


def test_a_question_goes_to_the_owners_and_into_the_notes_and_decides_nothing(work, estab_id, outbox):
    with work():
        review.ask(estab_id, "Who is your head teacher?", by="cli")
    with work() as database:
        assert state(database, estab_id) == "unverified"
        assert "Who is your head teacher?" in review.case(estab_id).notes[0].text
    assert "Who is your head teacher?" in outbox.last("school_question").text


@pytest.mark.parametrize(
    ("email", "host", "says"),
    [
        ("a@oakhill.sch.uk", "www.oakhill.sch.uk", "is the domain"),
        ("a@OAKHILL.sch.uk", "oakhill.sch.uk", "is the domain"),
        ("a@office.oakhill.sch.uk", "oakhill.sch.uk", "is related"),
        ("a@camden.sch.uk", "www.oakhill.camden.sch.uk", "is related"),
        ("a@hill.sch.uk", "oakhill.sch.uk", "is not the domain"),
        ("a@gmail.com", "oakhill.sch.uk", "public mail service"),
        ("a@oakhill.sch.uk", "", "no website"),
    ],
)
def test_addresses_are_compared_with_the_website(email, host, says):
    assert says in review.compare_address(email, host)


def test_an_estab_that_was_never_new_has_no_case(work):
    with pytest.raises(review.NoReview), work():
        review.verify(an_estab().estab_id, by="cli")


def test_an_unknown_estab_has_no_case(work, app):
    with pytest.raises(accounts.UnknownEstab), work():
        review.case("9999999")


def test_every_act_is_in_the_audit_log(work, estab_id):
    with work():
        review.note(estab_id, "Called.", by="opr_x")
        review.ask(estab_id, "Who?", by="opr_x")
        review.verify(estab_id, by="opr_x")
    with work() as database:
        events = [entry.event for entry in database.query(Entry).filter_by(actor="opr_x").order_by(Entry.id)]

    assert events == ["review.noted", "review.noted", "review.asked", "estab.state_changed", "estab.verified"]
