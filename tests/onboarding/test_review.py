"""The review of each new school by our staff: the queue, the notes of a case, and the decision, which is made once."""

from datetime import UTC, datetime, timedelta

import pytest

from idp.audit import events
from idp.audit.models import Entry
from idp.estabs import accounts
from idp.estabs.models import Estab
from idp.onboarding import review
from idp.onboarding.models import Review
from idp.outbox.models import Message
from tests.audit_entries import recorded
from tests.factories import a_school, an_estab
from tests.onboarding.registrations import a_registration, complete


@pytest.fixture
def estab_id(transaction, clock):
    """A school that has just registered."""
    with transaction() as database:
        complete(a_registration(a_school(dfe_number="3124567", name="Oak Hill School")))
        return database.query(Estab).one().estab_id


def state(database, estab_id):
    return database.query(Estab).filter_by(estab_id=estab_id).one().state


def test_verifying_a_school_informs_its_owners(transaction, estab_id, outbox):
    with transaction():
        review.verify(estab_id, by="cli")
    with transaction() as database:
        assert state(database, estab_id) == "verified"
        assert review.queue() == []
    assert outbox.last("school_verified").to == "office@oakhill.example"


def test_rejecting_informs_the_owners_of_the_reason_and_the_school_may_register_again(transaction, estab_id, outbox):
    with transaction():
        review.reject(estab_id, "  The school does not know you.  ", by="cli")
    with transaction() as database:
        rejected = database.query(Estab).one()
        assert rejected.state == "rejected"
        assert review.case(estab_id).review.reason == "The school does not know you."
        assert accounts.find_by_school(rejected.school_id) is None
    mail = outbox.last("school_rejected")
    assert "The school does not know you." in mail.text
    assert mail.links[0].endswith("/register")


@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_a_school_cannot_be_rejected_without_a_reason(transaction, estab_id, reason):
    with pytest.raises(review.ReasonMissing), transaction():
        review.reject(estab_id, reason, by="cli")
    with transaction() as database:
        assert state(database, estab_id) == "unverified"


def test_a_case_is_decided_once(transaction, estab_id, run_concurrently, outbox):
    outcomes = run_concurrently(4, lambda: review.verify(estab_id, by="cli"))

    assert sum(isinstance(outcome, Review) for outcome in outcomes) == 1
    assert len(outbox.all("school_verified")) == 1
    with pytest.raises(review.AlreadyDecided) as refused, transaction():
        review.reject(estab_id, "Changed our mind.", by="cli")
    assert refused.value.message == "This school was verified on Monday 2 March 2026."


def test_the_queue_has_the_most_urgent_case_first_and_says_which_are_overdue(transaction, clock):
    with transaction():
        for number, nation in ((1, "England"), (2, "Scotland"), (3, "England")):
            complete(a_registration(a_school(name=f"School {number}", country=nation), email=f"a{number}@s.example"))
            clock.move(timedelta(days=1))
    clock.move(timedelta(hours=1))
    with transaction():
        waiting = review.queue()

        assert [registration.estab.name for registration in waiting] == ["School 1", "School 2", "School 3"]
        assert [registration.is_overdue for registration in waiting] == [True, False, False]


def test_the_queue_is_in_the_order_of_due_dates_and_then_of_opening(transaction, clock):
    with transaction():
        estabs = [an_estab(state="unverified") for _ in range(3)]
        reviews = []
        for estab in estabs:
            reviews.append(review.open_for(estab))
            clock.move(timedelta(minutes=1))
        reviews[0].due_at, reviews[1].due_at = reviews[2].due_at, reviews[1].due_at - timedelta(days=1)
        reviews[0].opened_at, reviews[2].opened_at = reviews[2].opened_at, reviews[0].opened_at

    with transaction():
        assert [account.estab_id for account in review.queue()] == [estabs[index].id for index in (1, 2, 0)]


def test_the_due_date_of_a_case_in_scotland_is_by_scottish_bank_holidays(transaction, clock):
    clock.move(datetime(2026, 12, 31, 12, tzinfo=UTC) - clock.now())
    with transaction():
        english, scottish = (
            review.open_for(an_estab(a_school(country=nation), state="unverified"))
            for nation in ("England", "Scotland")
        )
        assert scottish.due_at == english.due_at + timedelta(days=1), "2 January, observed on Monday the 4th"


def test_deciding_one_case_leaves_the_others_open_and_keeps_who_decided_and_why(transaction, estab_id):
    with transaction():
        others = review.open_for(an_estab(state="unverified")).estab_id
        review.reject(estab_id, "No such person.", by="opr_sam")
    with transaction() as database:
        decided, other = review.case(estab_id).review, database.get_one(Review, others)

        assert (decided.decision, decided.decided_by) == ("rejected", "opr_sam")
        assert (other.decision, other.decided_by, other.decided_at) == (None, None, None)
        assert review.queue() == [other]
        assert recorded(events.ESTAB_STATE_CHANGED)[-1][-1] == {"reason": "No such person."}


def test_a_note_is_kept_with_its_own_case(transaction, estab_id):
    with transaction():
        other = review.open_for(an_estab(state="unverified")).estab.estab_id
        review.note(other, "No answer.", by="cli")

        assert review.case(estab_id).notes == []


def test_mails_about_a_case_name_the_school_and_are_stored_with_its_id(transaction, estab_id, outbox, settings):
    with transaction():
        review.ask(estab_id, "Who is your head teacher?", by="cli")
        review.verify(estab_id, by="cli")
    with transaction():
        complete(a_registration(a_school(dfe_number="3124568", name="Elm School"), email="a@elm.example"))
        review.reject("3124568", "Nobody there knows you.", by="cli")

    question, verified, rejected = (outbox.last(f"school_{name}") for name in ("question", "verified", "rejected"))
    for mail, school in ((question, "Oak Hill School"), (verified, "Oak Hill School"), (rejected, "Elm School")):
        assert school in mail.subject
        assert f"{school} (Estab ID {'3124568' if school == 'Elm School' else estab_id})" in mail.text
    assert "Dear Jo Bloggs," in verified.text
    assert verified.links[0] == f"{settings.server.issuer}/"
    with transaction() as database:
        estabs_by_name = {message.name: message.estab for message in database.query(Message)}
        first, second = accounts.find(estab_id).id, accounts.find("3124568").id
        assert (
            estabs_by_name["school_question"],
            estabs_by_name["school_verified"],
            estabs_by_name["school_rejected"],
        ) == (first, first, second)


def test_a_case_shows_what_was_typed_beside_the_register_and_the_notes_in_order(transaction, estab_id, clock):
    with transaction():
        review.note(estab_id, "No answer.", by="cli")
    clock.move(timedelta(hours=1))
    with transaction():
        review.note(estab_id, "The head will call back.", by="cli")
        case = review.case(estab_id)

        assert [note.text for note in case.notes] == ["No answer.", "The head will call back."]
        assert [owner.email for owner in case.owners] == ["office@oakhill.example"]
        assert case.addresses == "oakhill.example is the domain of the school's website"


def test_a_question_goes_to_the_owners_and_into_the_notes_and_decides_nothing(transaction, estab_id, outbox):
    with transaction():
        review.ask(estab_id, "Who is your head teacher?", by="cli")
    with transaction() as database:
        assert state(database, estab_id) == "unverified"
        assert "Who is your head teacher?" in review.case(estab_id).notes[0].text
    assert "Who is your head teacher?" in outbox.last("school_question").text


@pytest.mark.parametrize(
    ("email", "host", "message"),
    [
        ("a@oakhill.sch.uk", "www.oakhill.sch.uk", "is the domain"),
        ("a@OAKHILL.sch.uk", "oakhill.sch.uk", "is the domain"),
        ("a@office.oakhill.sch.uk", "oakhill.sch.uk", "is related"),
        ("a@camden.sch.uk", "www.oakhill.camden.sch.uk", "is related"),
        ("a@hill.sch.uk", "oakhill.sch.uk", "is not the domain"),
        ("a@gmail.com", "oakhill.sch.uk", "public mail service"),
        ('"a@oakhill.sch.uk"@gmail.com', "oakhill.sch.uk", "public mail service"),
        ("a@oakhill.sch.uk", "", "no website"),
    ],
)
def test_addresses_are_compared_with_the_website(email, host, message):
    assert message in review.describe_address(email, host)


def test_an_estab_that_did_not_register_has_no_case(transaction):
    with pytest.raises(review.NoReview), transaction():
        review.verify(an_estab().estab_id, by="cli")


def test_an_unknown_estab_has_no_case(transaction, app):
    with pytest.raises(accounts.UnknownEstab), transaction():
        review.case("9999999")


def test_every_step_of_a_review_is_in_the_audit_log(transaction, estab_id):
    with transaction():
        review.note(estab_id, "Called.", by="opr_x")
        review.ask(estab_id, "Who?", by="opr_x")
        review.verify(estab_id, by="opr_x")
    with transaction() as database:
        names = [entry.event for entry in database.query(Entry).filter_by(actor="opr_x").order_by(Entry.id)]

    assert names == ["review.noted", "review.noted", "review.asked", "estab.state_changed", "estab.verified"]
