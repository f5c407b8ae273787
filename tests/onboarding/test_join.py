"""A request to join goes to the owners, then to our staff; it is decided once, and the applicant does not learn who the
owners are.
"""

from datetime import timedelta

import pytest

from idp.estabs import authority, people
from idp.estabs.models import Administrator
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.onboarding import join
from idp.onboarding.models import JoinRequest
from idp.outbox.models import Message
from tests.conftest import MONDAY
from tests.factories import an_administrator, an_estab
from tests.onboarding.registrations import a_registration, complete

SAM = {"email": "sam@oakhill.example"}


@pytest.fixture
def owner(transaction, clock):
    with transaction():
        return an_administrator(an_estab(state="verified"), email="owner@oakhill.example", name="Pat Head")


@pytest.fixture
def join_request_id(transaction, owner):
    """A request of Jo Bloggs to join the owner's school."""
    with transaction() as database:
        assert complete(a_registration(database.merge(owner).memberships[0].estab.school, **SAM)) == "joining"
        return database.query(JoinRequest).one().id


def owner_and_request(database, owner, join_request_id):
    """The owner, and the request as they find it."""
    me = database.get_one(Administrator, owner.id)
    return me, join.find_for_owner(me.memberships[0], join_request_id)


def test_the_owners_are_asked_and_the_viewers_are_not(transaction, owner, outbox, settings):
    with transaction() as database:
        estab = database.merge(owner).memberships[0].estab
        an_administrator(estab, email="second@oakhill.example", username="second")
        an_administrator(estab, email="viewer@oakhill.example", username="viewer", role="viewer")
        complete(a_registration(estab.school, **SAM))
        request_id = database.query(JoinRequest).one().id

    messages = outbox.all("join_request")
    assert {message.to for message in messages} == {"owner@oakhill.example", "second@oakhill.example"}
    assert all(message.links == [f"{settings.server.issuer}/join/{request_id}"] for message in messages)
    assert {message.text.partition(",")[0] for message in messages} == {"Dear Pat Head", "Dear Jo Bloggs"}
    assert "Name: Jo Bloggs" in messages[0].text
    assert "answer by Monday 16 March 2026" in messages[0].text
    assert owner.memberships[0].estab.school.name in messages[0].subject
    assert "s…@oakhill.example" in messages[0].text
    assert "sam@oakhill.example" not in messages[0].text


def test_a_second_request_of_the_same_person_sends_no_second_mail(transaction, owner, join_request_id, outbox):
    with transaction() as database:
        school = database.merge(owner).memberships[0].estab.school
        assert complete(a_registration(school, email="SAM@oakhill.example")) == "joining"
        assert database.query(JoinRequest).count() == 1

    assert len(outbox.all("join_request")) == 1


def test_an_approved_person_gets_a_link_to_choose_a_password_and_no_rights_beyond_their_role(
    transaction, owner, join_request_id, outbox, settings
):
    with transaction() as database:
        me, request = owner_and_request(database, owner, join_request_id)
        person = join.approve(request, "viewer", by=me.memberships[0])
        assert (person.memberships[0].estab_id, person.memberships[0].role, person.password_hash) == (
            me.memberships[0].estab_id,
            "viewer",
            None,
        )
        username = person.username

    message = outbox.last("join_approved")
    assert message.to == "sam@oakhill.example"
    assert "Dear Jo Bloggs," in message.text
    assert owner.memberships[0].estab.school.name in message.subject
    assert f"Your username: {username}" in message.text
    assert "for 7 days" in message.text
    assert message.links[0].startswith(f"{settings.server.issuer}/welcome/")


@pytest.mark.parametrize("role", ["owner", "", "superuser"])
def test_no_one_joins_as_more_than_an_admin(transaction, owner, join_request_id, role):
    with transaction() as database:
        me, request = owner_and_request(database, owner, join_request_id)
        with pytest.raises(ValueError, match="is not a role to join with"):
            join.approve(request, role, by=me.memberships[0])


def test_a_declined_person_gets_a_mail_that_does_not_name_the_owner(transaction, owner, join_request_id, outbox):
    with transaction() as database:
        me, request = owner_and_request(database, owner, join_request_id)
        join.decline(request, by=me.memberships[0])
        assert len(people.owners(me.memberships[0].estab_id)) == 1

    message = outbox.last("join_declined")
    assert message.to == "sam@oakhill.example"
    assert owner.memberships[0].estab.school.name in message.subject
    assert "owner@oakhill.example" not in message.text


def test_mails_about_a_request_have_the_schools_id_and_expire_with_what_they_link_to(transaction, owner, clock):
    with transaction() as database:
        school = database.merge(owner).memberships[0].estab.school
        for email in ("sam@oakhill.example", "al@oakhill.example"):
            complete(a_registration(school, email=email))
        for request, decide in zip(join_requests(database), ("approve", "decline"), strict=True):
            me = database.get_one(Administrator, owner.id)
            if decide == "approve":
                join.approve(request, "admin", by=me.memberships[0])
            else:
                join.decline(request, by=me.memberships[0])
    with transaction() as database:
        messages = database.query(Message).where(Message.name.like("join%"))

        assert {(message.name, message.estab, message.expires_at) for message in messages} == {
            ("join_request", owner.memberships[0].estab_id, clock.now() + timedelta(days=14)),
            ("join_approved", owner.memberships[0].estab_id, clock.now() + timedelta(days=7)),
            ("join_declined", owner.memberships[0].estab_id, None),
        }


@pytest.mark.parametrize(("decision", "settles"), [("approved", True), ("declined", False)])
def test_a_decision_is_stored_with_its_time_and_who_made_it(
    transaction, owner, join_request_id, clock, decision, settles
):
    clock.move(timedelta(hours=1))
    with transaction() as database:
        me, request = owner_and_request(database, owner, join_request_id)
        if decision == "approved":
            join.approve(request, "admin", by=me.memberships[0])
        else:
            join.decline(request, by=me.memberships[0])
    decided_at = clock.now()
    with transaction() as database:
        request = database.get_one(JoinRequest, join_request_id)
        assert (request.decision, request.decided_by, request.used_at) == (decision, owner.id, decided_at)
        assert request.settled_at == (decided_at if settles else None)
        if not settles:
            join.decline(request, by="cli")
            assert (request.decided_by, request.settled_at) == ("cli", decided_at)


def test_an_owner_of_another_school_decides_nothing_even_holding_the_request(transaction, join_request_id):
    with transaction():
        other = an_administrator(an_estab()).memberships[0]
        for decide in (
            lambda: join.approve(join.find(join_request_id), "admin", by=other),
            lambda: join.decline(join.find(join_request_id), by=other),
        ):
            with pytest.raises(join.WithStaff):
                decide()
    with transaction() as database:
        assert database.get_one(JoinRequest, join_request_id).used_at is None


def test_our_staff_see_the_oldest_request_first(transaction, owner, clock):
    emails = ["b@oakhill.example", "c@oakhill.example", "a@oakhill.example"]
    with transaction() as database:
        estab = database.get_one(Administrator, owner.id).memberships[0].estab
        estab.state = "unverified"
        for email in emails:
            clock.move(timedelta(minutes=1))
            complete(a_registration(estab.school, email=email))
        database.query(JoinRequest).where(JoinRequest.email == emails[2]).one().expires_at = MONDAY
    with transaction():
        assert [join_request.email for join_request in join.requests_for_staff()] == [emails[2], *emails[:2]]


def test_a_request_to_join_is_decided_once(transaction, owner, join_request_id, run_concurrently):
    def press():
        me, request = owner_and_request(session(), owner, join_request_id)
        return join.approve(request, "admin", by=me.memberships[0])

    outcomes = run_concurrently(4, press)

    assert sum(isinstance(outcome, Administrator) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, join.DecidedAlready) for outcome in outcomes) == 3


def test_an_owner_of_another_school_finds_nothing(transaction, join_request_id):
    with pytest.raises(NotFound), transaction():
        join.find_for_owner(an_administrator(an_estab()).memberships[0], join_request_id)


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_only_owners_decide_requests_to_join(transaction, owner, join_request_id, role):
    with transaction() as database:
        colleague = an_administrator(database.merge(owner).memberships[0].estab, role=role, username=role)
        with pytest.raises(authority.NotPermitted):
            join.find_for_owner(colleague.memberships[0], join_request_id)


def test_a_request_unanswered_for_14_days_is_decided_by_our_staff_and_not_by_owners(
    transaction, owner, join_request_id, clock
):
    with transaction() as database:
        assert join.requests_for_staff() == []
        with pytest.raises(join.StillWithOwners):
            join.decline(join.find(join_request_id), by="cli")

    clock.move(timedelta(days=14))
    with transaction() as database:
        me, request = owner_and_request(database, owner, join_request_id)
        with pytest.raises(join.WithStaff):
            join.approve(request, "admin", by=me.memberships[0])
    with transaction():
        assert [join_request.id for join_request in join.requests_for_staff()] == [join_request_id]
        assert join.approve(join.find(join_request_id), "admin", by="cli").memberships[0].role == "admin"
    with transaction():
        assert join.requests_for_staff() == []


def test_requests_to_join_a_school_that_is_not_verified_go_to_our_staff_alone(transaction, owner, outbox):
    with transaction() as database:
        squatter = database.merge(owner)
        squatter.memberships[0].estab.state = "unverified"
        assert complete(a_registration(squatter.memberships[0].estab.school, **SAM)) == "joining"
        request_id = database.query(JoinRequest).one().id
    assert outbox.all("join_request") == []

    with transaction() as database:
        assert [join_request.id for join_request in join.requests_for_staff()] == [request_id]
        me, request = owner_and_request(database, owner, request_id)
        with pytest.raises(join.WithStaff):
            join.approve(request, "admin", by=me.memberships[0])
    with transaction() as database:  # also after it is verified: the request was never for the owners
        database.merge(owner).memberships[0].estab.state = "verified"
        assert [join_request.id for join_request in join.requests_for_staff()] == [request_id]


def test_a_declined_request_is_reviewed_by_our_staff(transaction, owner, join_request_id, outbox):
    with transaction() as database:
        me, request = owner_and_request(database, owner, join_request_id)
        join.decline(request, by=me.memberships[0])
    with transaction() as database:
        me, request = owner_and_request(database, owner, join_request_id)
        with pytest.raises(join.DecidedAlready):
            join.approve(request, "admin", by=me.memberships[0])

    with transaction():
        assert [join_request.id for join_request in join.requests_for_staff()] == [join_request_id]
        join.decline(join.find(join_request_id), by="cli")
    with transaction():
        assert join.requests_for_staff() == []
        with pytest.raises(join.DecidedAlready):
            join.approve(join.find(join_request_id), "admin", by="cli")
    assert len(outbox.all("join_declined")) == 1, "the person is told once"


def test_our_staff_may_approve_a_request_that_an_owner_declined(transaction, owner, join_request_id, outbox):
    with transaction() as database:
        me, request = owner_and_request(database, owner, join_request_id)
        join.decline(request, by=me.memberships[0])
    with transaction():
        assert join.approve(join.find(join_request_id), "admin", by="cli").email == "sam@oakhill.example"

    assert outbox.last("join_approved").to == "sam@oakhill.example"


@pytest.mark.parametrize("state", ["suspended", "rejected", "closed"])
def test_no_one_joins_an_account_that_is_not_active(transaction, owner, join_request_id, clock, state):
    clock.move(timedelta(days=14))
    with transaction() as database:
        database.merge(owner).memberships[0].estab.state = state
    with pytest.raises(join.SchoolNotActive), transaction():
        join.approve(join.find(join_request_id), "admin", by="cli")


def test_a_request_to_join_a_school_without_an_owner_is_for_our_staff_at_once(transaction, owner, outbox, clock):
    with transaction() as database:
        owner = database.merge(owner)
        owner.memberships[0].removed_at = clock.now()
        complete(a_registration(owner.memberships[0].estab.school, **SAM))
        database.flush()

        assert len(join.requests_for_staff()) == 1
    assert outbox.all("join_request") == []


def test_a_member_of_the_school_is_recognised_and_no_owner_is_asked(transaction, owner, outbox):
    with transaction() as database:
        school = database.merge(owner).memberships[0].estab.school
        assert complete(a_registration(school, email="Owner@oakhill.example")) == "member"
        assert database.query(JoinRequest).count() == 0
    assert outbox.all("join_request") == []


def test_a_member_of_another_school_and_a_removed_member_of_this_one_ask_to_join(transaction, owner, outbox):
    with transaction() as database:
        estab = database.merge(owner).memberships[0].estab
        an_administrator(an_estab(), **SAM)
        an_administrator(estab, email="al@oakhill.example", username="al", removed_at=MONDAY)
        for email in ("sam@oakhill.example", "al@oakhill.example"):
            assert complete(a_registration(estab.school, email=email)) == "joining"
    assert len(outbox.all("join_request")) == 2


def test_requests_of_others_and_to_other_schools_are_separate(transaction, owner, join_request_id, outbox):
    with transaction() as database:
        other = an_administrator(an_estab(), email="head@elm.example").memberships[0].estab
        for school, email in (
            (other.school, SAM["email"]),
            (database.merge(owner).memberships[0].estab.school, "al@oakhill.example"),
        ):
            assert complete(a_registration(school, email=email)) == "joining"
        assert database.query(JoinRequest).count() == 3
    assert sorted(message.to for message in outbox.all("join_request")) == [
        "head@elm.example", "owner@oakhill.example", "owner@oakhill.example",
    ]  # fmt: skip


def join_requests(database):
    return database.query(JoinRequest).all()


def test_deciding_one_request_leaves_the_others_open(transaction, owner, join_request_id):
    with transaction() as database:
        me = database.merge(owner)
        complete(a_registration(me.memberships[0].estab.school, email="al@oakhill.example"))
        request_ids = [
            join.find_for_owner(me.memberships[0], known_id).id
            for known_id in sorted(request.id for request in join_requests(database))
        ]
        assert request_ids == sorted(set(request_ids))
        assert len(request_ids) == 2
        join.decline(join.find_for_owner(me.memberships[0], join_request_id), by=me.memberships[0])
        database.expire_all()

        decisions = {row.id == join_request_id: row.decision for row in join_requests(database)}
        assert decisions == {True: "declined", False: None}


def test_a_person_who_was_declined_may_ask_again(transaction, owner, join_request_id, outbox):
    with transaction() as database:
        me, request = owner_and_request(database, owner, join_request_id)
        join.decline(request, by=me.memberships[0])
        assert complete(a_registration(me.memberships[0].estab.school, **SAM)) == "joining"
    assert len(outbox.all("join_request")) == 2
