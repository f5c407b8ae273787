"""Changes of the people who act for a school. There is always an owner who can sign in, also if two decide at once."""

from dataclasses import dataclass

import pytest

from idp.estabs import authority, links, members, owners, people, person_invitations
from idp.estabs.models import Administrator, Membership
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from tests.factories import a_membership, an_administrator, an_estab


@dataclass(frozen=True)
class Ids:
    """A school with two owners, an administrator and a viewer."""

    estab: str
    jo: str
    sam: str
    admin: str
    viewer: str

    def member(self, who):
        return session().get_one(Membership, (getattr(self, who), self.estab))


@pytest.fixture
def ids(transaction, clock):
    with transaction():
        estab = an_estab()
        jo = an_administrator(estab, name="Jo", email="jo@oakhill.example")
        others = [
            an_administrator(estab, username=name, name=name.title(), role=role, email=f"{name}@oakhill.example").id
            for name, role in (("sam", "owner"), ("admin", "admin"), ("viewer", "viewer"))
        ]
        return Ids(estab.id, jo.id, *others)


def roles(ids):
    return {member.person.name: member.role for member in people.list_for_estab(ids.estab)}


def test_an_owner_gives_a_colleague_another_role_and_it_is_told(transaction, ids, outbox):
    with transaction():
        assert members.change_role(ids.member("viewer"), "admin", by=ids.member("jo"))
        assert not members.change_role(ids.member("viewer"), "admin", by=ids.member("jo"))
        assert roles(ids)["Viewer"] == "admin"

    assert sorted(message.to for message in outbox.all("role_changed")) == [
        "sam@oakhill.example", "viewer@oakhill.example"
    ]  # fmt: skip


@pytest.mark.parametrize("who", ["admin", "viewer"])
def test_others_change_no_one_not_even_themselves(transaction, ids, who):
    with transaction():
        by = ids.member(who)
        for act in (
            lambda: members.change_role(ids.member("viewer"), "owner", by=by),
            lambda: members.change_role(by, "owner", by=by),
            lambda: members.hand_over(ids.member("admin" if who == "viewer" else "viewer"), "admin", by=by),
            lambda: members.remove(ids.member("sam"), by=by),
        ):
            with pytest.raises(authority.NotPermitted):
                act()
        assert roles(ids) == {"Jo": "owner", "Sam": "owner", "Admin": "admin", "Viewer": "viewer"}


def test_owners_of_another_school_find_no_one_here(transaction, ids):
    with transaction():
        stranger = an_administrator().memberships[0]
        with pytest.raises(NotFound):
            members.find(stranger, ids.jo)
        for act in (lambda m: members.remove(m, by=stranger), lambda m: members.change_role(m, "viewer", by=stranger)):
            with pytest.raises(NotFound):
                act(ids.member("jo"))


def test_what_no_form_offers_is_refused(transaction, ids):
    """A role that does not exist, a handover to oneself or without taking a lower role, and a person who has left."""
    with transaction():
        jo, sam, viewer = (ids.member(who) for who in ("jo", "sam", "viewer"))
        members.remove(viewer, by=jo)
        for act, refusal in (
            (lambda: members.change_role(sam, "head", by=jo), ValueError),
            (lambda: members.hand_over(sam, "head", by=jo), ValueError),
            (lambda: members.hand_over(sam, "owner", by=jo), ValueError),
            (lambda: members.hand_over(jo, "admin", by=jo), NotFound),
            (lambda: members.hand_over(viewer, "admin", by=jo), NotFound),
            (lambda: members.change_role(viewer, "admin", by=jo), NotFound),
            (lambda: members.remove(viewer, by=jo), NotFound),
        ):
            with pytest.raises(refusal):
                act()
        assert roles(ids) == {"Jo": "owner", "Sam": "owner", "Admin": "admin"}


def test_a_person_who_is_no_owner_may_leave(transaction, ids):
    with transaction():
        for who in ("viewer", "admin"):
            assert members.remove(ids.member(who), by=ids.member(who))
        assert roles(ids) == {"Jo": "owner", "Sam": "owner"}


def test_the_last_owner_stays(transaction, ids):
    with transaction():
        jo = ids.member("jo")
        members.change_role(ids.member("sam"), "admin", by=jo)
        for act in (
            lambda: members.change_role(jo, "viewer", by=jo),
            lambda: members.remove(jo, by=jo),
            lambda: members.remove(jo, by="cli"),
            lambda: members.change_role(jo, "admin", by="op_sam"),
        ):
            with pytest.raises(owners.LastOwner):
                act()


def test_an_owner_who_cannot_sign_in_yet_does_not_count(transaction, ids):
    with transaction():
        sam = ids.member("sam")
        sam.person.password_hash = None
        session().flush()
        jo = ids.member("jo")
        with pytest.raises(owners.LastOwner):
            members.remove(jo, by=jo)
        with pytest.raises(members.CannotSignInYet):
            members.hand_over(sam, "admin", by=jo)


def one_job_per_thread(jobs):
    """A job for `run_concurrently` that runs another function in each thread."""

    def run_next():
        return jobs.pop()()

    return run_next


def competing_acts(ids, actor, colleague):
    """What two owners do to each other at the same moment."""
    return {
        "removes": lambda: members.remove(ids.member(colleague), by=ids.member(actor)),
        "demotes": lambda: members.change_role(ids.member(colleague), "viewer", by=ids.member(actor)),
        "leaves": lambda: members.remove(ids.member(actor), by=ids.member(actor)),
        "steps down": lambda: members.change_role(ids.member(actor), "admin", by=ids.member(actor)),
        "hands over": lambda: members.hand_over(ids.member("admin"), "viewer", by=ids.member(actor)),
    }


PAIRS = [
    ("removes", "removes"), ("demotes", "demotes"), ("removes", "demotes"), ("leaves", "leaves"),
    ("steps down", "leaves"), ("removes", "leaves"), ("hands over", "removes"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_owners_at_the_same_moment_one_stays_an_owner(transaction, ids, run_concurrently, first, second):
    jobs = [competing_acts(ids, "jo", "sam")[first], competing_acts(ids, "sam", "jo")[second]]

    outcomes = run_concurrently(2, one_job_per_thread(jobs))

    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert {type(refusal) for refusal in refused} <= {owners.LastOwner, authority.NotPermitted, NotFound}, refused
    with transaction():
        assert people.owners(ids.estab)
    if "hands over" not in (first, second):
        assert len(refused) == 1


def test_an_owner_who_is_made_a_viewer_at_that_moment_removes_no_one(transaction, ids, run_overlapping):
    outcome = run_overlapping(
        lambda: members.change_role(ids.member("sam"), "viewer", by=ids.member("jo")),
        lambda: members.remove(ids.member("admin"), by=ids.member("sam")),
    )

    assert isinstance(outcome, authority.NotPermitted)


def test_handing_over_makes_an_owner_and_steps_down_in_one_step(transaction, ids, outbox):
    with transaction():
        members.change_role(ids.member("sam"), "viewer", by=ids.member("jo"))
        members.hand_over(ids.member("admin"), "viewer", by=ids.member("jo"))
        assert roles(ids) == {"Admin": "owner", "Jo": "viewer", "Sam": "viewer", "Viewer": "viewer"}
    assert sorted(message.to for message in outbox.all("ownership_handed_over")) == [
        "admin@oakhill.example",
        "jo@oakhill.example",
    ]


def test_removing_the_last_membership_closes_the_account_and_frees_the_address(transaction, ids, clock):
    with transaction():
        link = links.issue_welcome_url(ids.member("viewer").person).rpartition("/")[2]
        assert members.remove(ids.member("viewer"), by=ids.member("jo"))
        assert people.by_name("viewer@oakhill.example") is None
        with pytest.raises(links.LinkRevoked):
            links.check(link, links.WELCOME)
    with transaction():
        again = people.add(an_estab(), name="V", email="viewer@oakhill.example", mobile="+447700900124", role="owner")
        assert people.by_name("viewer@oakhill.example") is again


def test_a_person_of_two_schools_keeps_the_other(transaction, ids):
    with transaction():
        a_membership(ids.member("viewer").person)
        assert not members.remove(ids.member("viewer"), by=ids.member("jo"))
        person = session().get_one(Administrator, ids.viewer)
        session().expire(person, ["memberships"])
        assert person.removed_at is None
        assert people.membership(ids.viewer, ids.estab) is None
        assert len(person.memberships) == 1


def test_of_two_schools_that_remove_a_person_at_once_one_closes_the_account(transaction, ids, run_concurrently):
    with transaction():
        other_owner = an_administrator()
        estab = other_owner.memberships[0].estab
        a_membership(ids.member("viewer").person, estab, role="viewer")
        keys = [(ids.estab, ids.jo), (estab.id, other_owner.id)]

    def job():
        estab_id, owner_id = keys.pop()
        member, by = (session().get_one(Membership, (who, estab_id)) for who in (ids.viewer, owner_id))
        return members.remove(member, by=by)

    assert sorted(run_concurrently(2, job)) == [False, True]
    with transaction():
        assert session().get_one(Administrator, ids.viewer).removed_at is not None


def test_a_person_who_stops_being_an_owner_has_invited_no_one(transaction, ids):
    with transaction():
        for who in ("jo", "sam"):
            person_invitations.invite("Al", f"al.{who}@oakhill.example", "owner", by=ids.member(who))
        members.change_role(ids.member("sam"), "admin", by=ids.member("jo"))

        assert [invitation.email for invitation in person_invitations.waiting(ids.estab)] == ["al.jo@oakhill.example"]
