"""Invitations of people: limits, links, and what is decided when several things happen at once."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from idp import worker
from idp.estabs import accounts, authority, links, members, people, person_invitations
from idp.estabs.models import Administrator, Membership, PersonInvitation
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from tests.estabs.test_members import one_job_per_thread
from tests.factories import a_membership, an_administrator

AL_NAME, AL_EMAIL = "Al Bloggs", "al@oakhill.example"
NEW_PERSON = {"name": AL_NAME, "mobile": "+447700900124"}


@dataclass(frozen=True)
class School:
    """The ids of a school's account and of Jo, its owner."""

    estab: str
    owner: str

    @property
    def by(self):
        """Jo's membership, who invites and cancels."""
        return session().get_one(Membership, (self.owner, self.estab))


@pytest.fixture
def school(transaction, clock):
    with transaction():
        owner = an_administrator(name="Jo Bloggs", email="jo@oakhill.example").memberships[0]
        return School(owner.estab_id, owner.person_id)


@pytest.fixture
def secret(transaction, school, outbox, clock):
    """The secret in the link of the mail to Al."""
    with transaction():
        person_invitations.invite(AL_NAME, AL_EMAIL, "admin", by=school.by)
    return outbox.last("invitation").secret


def test_a_new_person_accepts_and_is_a_member_with_a_link_to_choose_a_password(transaction, school, secret, outbox):
    with transaction():
        person, welcome = person_invitations.accept_as_new(secret, **NEW_PERSON)
        member = people.membership(person.id, school.estab)
        assert (member.role, person.email, person.sign_in_email) == ("admin", AL_EMAIL, AL_EMAIL)
        assert links.check(welcome, links.WELCOME).person_id == person.id
    mail = outbox.last("account_made")
    assert (mail.to, mail.links) == (AL_EMAIL, [f"http://localhost:5000/welcome/{welcome}"])
    assert [mail.to for mail in outbox.all("person_joined")] == ["jo@oakhill.example"]
    with transaction(), pytest.raises(links.LinkUsed):
        person_invitations.check(secret)


def test_a_person_with_an_account_gets_a_second_membership_and_only_by_their_own_decision(
    transaction, school, outbox, clock
):
    with transaction():
        al = an_administrator(email=AL_EMAIL, name="Al")
        person_invitations.invite(AL_NAME, AL_EMAIL, "viewer", by=school.by)
        person_id = al.id
    secret = outbox.last("invitation").secret
    with transaction():
        assert people.membership(person_id, school.estab) is None
    with pytest.raises(person_invitations.HasAccount), transaction():
        person_invitations.accept_as_new(secret, **NEW_PERSON)
    with pytest.raises(person_invitations.InvitedSomeoneElse), transaction():
        person_invitations.accept(secret, an_administrator(email="other@oakhill.example"))
    with transaction():
        assert person_invitations.accept(secret, people.get(person_id)).role == "viewer"
        session().expire_all()
        assert len(people.get(person_id).memberships) == 2
    assert sorted(mail.to for mail in outbox.all("person_joined")) == [AL_EMAIL, "jo@oakhill.example"]
    assert outbox.all("account_made") == []


def test_a_person_who_was_removed_and_comes_back_has_the_same_membership_again(transaction, school, outbox, clock):
    with transaction():
        al = an_administrator(email=AL_EMAIL, name="Al")
        a_membership(al, session().get_one(Membership, (school.owner, school.estab)).estab, role="owner")
        members.remove(people.membership(al.id, school.estab), by=school.by)
        person_invitations.invite(AL_NAME, AL_EMAIL, "viewer", by=school.by)
        person_id = al.id
    secret = outbox.last("invitation").secret
    with transaction():
        member = person_invitations.accept(secret, people.get(person_id))
        assert (member.role, member.removed_at, member.signed_in_at) == ("viewer", None, None)


def test_a_resent_link_replaces_the_one_before_and_four_mails_are_the_most(transaction, school, secret, outbox, clock):
    for _ in range(3):
        clock.move(timedelta(minutes=1))
        with transaction():
            [invitation] = person_invitations.waiting(school.estab)
            person_invitations.resend(invitation.id, by=school.by)
    newest = outbox.last("invitation").secret
    with transaction():
        [invitation] = person_invitations.waiting(school.estab)
        assert invitation.expires_at == clock.now() + timedelta(days=7)
        with pytest.raises(person_invitations.InvitationUnknown):
            person_invitations.check(secret)
        assert person_invitations.check(newest).id == invitation.id
        with pytest.raises(person_invitations.TooManyInvitations):
            person_invitations.resend(invitation.id, by=school.by)


def test_a_link_is_refused_when_expired_or_cancelled_or_while_the_school_is_suspended(
    transaction, school, secret, clock, outbox
):
    with transaction():
        estab = school.by.estab
        accounts.change_state(estab, "suspended", by="cli")
        with pytest.raises(person_invitations.SchoolNotActive):
            person_invitations.check(secret)
        accounts.change_state(estab, "verified", by="cli")
        assert person_invitations.check(secret)
    clock.move(timedelta(days=7))
    with transaction():
        with pytest.raises(person_invitations.InvitationExpired):
            person_invitations.check(secret)
        [invitation] = person_invitations.waiting(school.estab)
        person_invitations.resend(invitation.id, by=school.by)
        session().flush()
        person_invitations.cancel(invitation.id, by=school.by)
    newest = outbox.last("invitation").secret
    with transaction():
        with pytest.raises(person_invitations.InvitationCancelled):
            person_invitations.check(newest)
        assert person_invitations.waiting(school.estab) == []


def test_an_address_that_is_invited_or_a_members_already_is_refused(transaction, school, secret, clock):
    with transaction():
        with pytest.raises(person_invitations.InvitedAlready):
            person_invitations.invite("Al", "AL@oakhill.example", "viewer", by=school.by)
        with pytest.raises(person_invitations.MemberAlready):
            person_invitations.invite("Jo", "Jo@oakhill.example", "viewer", by=school.by)
    clock.move(timedelta(days=7, seconds=1))
    with transaction():
        person_invitations.invite("Al", "AL@oakhill.example", "viewer", by=school.by)
        assert len(person_invitations.waiting(school.estab)) == 1


def test_a_school_has_at_most_20_open_invitations_and_30_a_day(transaction, school, clock):
    with transaction():
        for number in range(person_invitations.MAX_OPEN):
            person_invitations.invite("Al", f"al{number}@oakhill.example", "viewer", by=school.by)
        with pytest.raises(person_invitations.TooManyInvitations, match="are open") as refused:
            person_invitations.invite("Al", "one.more@oakhill.example", "viewer", by=school.by)
        assert "20 people whom your school invited have not answered yet" in refused.value.message
        for number in range(person_invitations.MAX_A_DAY - person_invitations.MAX_OPEN):
            person_invitations.cancel(person_invitations.waiting(school.estab)[0].id, by=school.by)
            session().flush()
            person_invitations.invite("Al", f"bo{number}@oakhill.example", "viewer", by=school.by)
        person_invitations.cancel(person_invitations.waiting(school.estab)[0].id, by=school.by)
        session().flush()
        with pytest.raises(person_invitations.TooManyInvitations, match="within a day") as refused:
            person_invitations.invite("Al", "one.more@oakhill.example", "viewer", by=school.by)
        assert "Please try again tomorrow." in refused.value.message
    clock.move(timedelta(days=1))
    with transaction():
        person_invitations.invite("Al", "one.more@oakhill.example", "viewer", by=school.by)


def test_repeated_inviting_and_cancelling_is_limited_for_each_address(transaction, school, outbox, clock):
    with transaction():
        for _ in range(person_invitations.MAX_MAILS):
            invitation = person_invitations.invite(AL_NAME, AL_EMAIL, "viewer", by=school.by)
            person_invitations.cancel(invitation.id, by=school.by)
            session().flush()
        with pytest.raises(person_invitations.TooManyInvitations, match="to one address within a day"):
            person_invitations.invite("Al", "AL@oakhill.example", "viewer", by=school.by)
        person_invitations.invite("Bo", "bo@oakhill.example", "viewer", by=school.by)
    with transaction():
        person_invitations.invite(
            AL_NAME, AL_EMAIL, "viewer", by=an_administrator().memberships[0]
        )  # which is another school
    assert len([mail for mail in outbox.all("invitation") if mail.to == AL_EMAIL]) == person_invitations.MAX_MAILS + 1
    clock.move(timedelta(days=1))
    with transaction():
        person_invitations.invite(AL_NAME, AL_EMAIL, "viewer", by=school.by)


def test_the_refusal_of_one_more_invitation_says_how_many_were_sent(transaction, school):
    with transaction():
        for resends in (person_invitations.MAX_MAILS - 2, person_invitations.MAX_MAILS - 1):
            invitation = person_invitations.invite(AL_NAME, AL_EMAIL, "viewer", by=school.by)
            for _ in range(resends):
                person_invitations.resend(invitation.id, by=school.by)
            person_invitations.cancel(invitation.id, by=school.by)
            session().flush()
        with pytest.raises(person_invitations.TooManyInvitations) as refused:
            person_invitations.invite(AL_NAME, AL_EMAIL, "viewer", by=school.by)
    assert f"We have sent {2 * person_invitations.MAX_MAILS - 1} invitations" in refused.value.message


def test_only_owners_invite_and_only_for_their_own_school(transaction, school, secret):
    with transaction():
        [invitation] = person_invitations.waiting(school.estab)
        stranger = an_administrator().memberships[0]
        person = an_administrator(school.by.estab, role="admin", username="admin", email="a@oakhill.example")
        admin = person.memberships[0]
        for act in (person_invitations.resend, person_invitations.cancel):
            with pytest.raises(NotFound):
                act(invitation.id, by=stranger)
            with pytest.raises(authority.NotPermitted):
                act(invitation.id, by=admin)
        with pytest.raises(authority.NotPermitted):
            person_invitations.invite("Al", "bo@oakhill.example", "viewer", by=admin)


def test_schools_of_one_owner_do_not_affect_each_other(transaction, school, secret, outbox, clock, monkeypatch):
    """The daily limit, and the loss of the owner's role, at one school change nothing at the other."""
    monkeypatch.setattr(person_invitations, "MAX_A_DAY", 2)
    with transaction():
        jo = people.get(school.owner)
        other = a_membership(jo).estab_id
        sam = an_administrator(school.by.estab, username="sam", email="sam@oakhill.example").memberships[0]
        for name in ("bo", "cy"):
            person_invitations.invite("Al", f"{name}@oakhill.example", "viewer", by=people.membership(jo.id, other))
        cancelled = person_invitations.invite("Al", "di@oakhill.example", "viewer", by=school.by).id
        person_invitations.cancel(cancelled, by=school.by)
        accepted = person_invitations.accept_as_new(secret, **NEW_PERSON)[0].id
        clock.move(timedelta(minutes=1))
        members.change_role(school.by, "viewer", by=sam)
        assert len(person_invitations.waiting(other)) == 2
        session().expire_all()
        assert session().get_one(PersonInvitation, cancelled).cancelled_at < clock.now()
        with pytest.raises(links.LinkUsed):
            person_invitations.check(secret)
        assert people.membership(accepted, school.estab)


def test_an_accepted_or_cancelled_invitation_is_neither_sent_again_nor_cancelled(transaction, school, secret, clock):
    with transaction():
        [answered] = person_invitations.waiting(school.estab)
        person_invitations.accept_as_new(secret, **NEW_PERSON)
        cancelled = person_invitations.invite("Bo", "bo@oakhill.example", "viewer", by=school.by)
        person_invitations.cancel(cancelled.id, by=school.by)
        for act in (person_invitations.resend, person_invitations.cancel):
            with pytest.raises(person_invitations.InvitationUsed):
                act(answered.id, by=school.by)
            with pytest.raises(person_invitations.InvitationCancelled):
                act(cancelled.id, by=school.by)
            with pytest.raises(NotFound):
                act("inv_unknown", by=school.by)
        with pytest.raises(ValueError, match="head"):
            person_invitations.invite("Cy", "cy@oakhill.example", "head", by=school.by)


def test_a_person_who_joined_or_whose_account_was_closed_meanwhile_cannot_accept(transaction, school, secret):
    with transaction():
        joined, closed = (an_administrator(email=AL_EMAIL, sign_in_email=item) for item in (AL_EMAIL, None))
        a_membership(joined, school.by.estab, role="viewer")
        closed.removed_at = closed.created_at
        session().flush()
        for person, refusal in (
            (joined, person_invitations.MemberAlready), (closed, person_invitations.InvitedSomeoneElse),
        ):  # fmt: skip
            with pytest.raises(refusal), session().begin_nested():
                person_invitations.accept(secret, person)


def test_of_two_acceptances_at_once_one_makes_the_account(transaction, school, secret, run_concurrently):
    outcomes = run_concurrently(2, lambda: person_invitations.accept_as_new(secret, **NEW_PERSON))

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["InvitationUsed", "tuple"]
    with transaction():
        assert session().query(Administrator).filter_by(email_folded=AL_EMAIL).count() == 1


@pytest.mark.parametrize("revocation", ["cancelled", "inviter removed", "inviter demoted"])
def test_of_an_acceptance_and_a_revocation_at_once_only_one_succeeds(
    transaction, school, secret, run_concurrently, revocation
):
    with transaction():
        sam = an_administrator(school.by.estab, name="Sam", username="sam", email="sam@oakhill.example").id
        [invitation] = [invitation.id for invitation in person_invitations.waiting(school.estab)]

    def revoke():
        by = session().get_one(Membership, (sam, school.estab))
        if revocation == "cancelled":
            person_invitations.cancel(invitation, by=by)
        elif revocation == "inviter removed":
            members.remove(school.by, by=by)
        else:
            members.change_role(school.by, "viewer", by=by)

    jobs = [revoke, lambda: person_invitations.accept_as_new(secret, **NEW_PERSON)]
    outcomes = run_concurrently(2, one_job_per_thread(jobs))

    with transaction():
        row = session().get_one(PersonInvitation, invitation)
        accounts_made = session().query(Administrator).filter_by(email_folded=AL_EMAIL).count()
    assert (row.used_at is None) != (row.cancelled_at is None)
    assert accounts_made == (1 if row.used_at else 0)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert len(refused) == (1 if revocation == "cancelled" or row.cancelled_at else 0)
    assert all(isinstance(refusal, links.LinkRefused) for refusal in refused)


def test_of_two_schools_invitations_accepted_at_once_one_makes_the_account(
    transaction, school, secret, clock, outbox, run_overlapping
):
    clock.move(timedelta(minutes=1))
    with transaction():
        person_invitations.invite(
            AL_NAME, AL_EMAIL, "viewer", by=an_administrator(email="head@hill.example").memberships[0]
        )
    other = outbox.last("invitation").secret

    outcome = run_overlapping(
        lambda: person_invitations.accept_as_new(secret, **NEW_PERSON),
        lambda: person_invitations.accept_as_new(other, **NEW_PERSON),
    )

    assert isinstance(outcome, person_invitations.HasAccount)


def test_an_acceptance_while_the_school_is_being_suspended_is_refused(transaction, school, secret, run_overlapping):
    def suspend():
        accounts.change_state(school.by.estab, "suspended", by="cli")

    outcome = run_overlapping(suspend, lambda: person_invitations.accept_as_new(secret, **NEW_PERSON))

    assert isinstance(outcome, person_invitations.SchoolNotActive)


def test_old_invitations_are_deleted_and_those_of_a_rejected_school_erased(transaction, school, secret, clock):
    clock.move(timedelta(days=7, hours=1))
    worker.clean(transaction)
    with transaction():
        assert session().query(PersonInvitation).count() == 1
    clock.move(timedelta(days=1))
    worker.clean(transaction)
    with transaction():
        assert session().query(PersonInvitation).count() == 0
        person_invitations.invite(AL_NAME, AL_EMAIL, "admin", by=school.by)
        people.erase(school.estab)
        assert session().query(PersonInvitation).count() == 0


def send_reminders(transaction, outbox):
    """Send the reminders that are due; returns all mails with reminders."""
    worker.remind_of_expiry(transaction)
    return outbox.all("invitation_reminder")


def test_a_reminder_with_a_new_link_is_sent_once_two_days_before_the_end(transaction, school, secret, clock, outbox):
    clock.move(timedelta(days=5) - timedelta(seconds=1))
    assert send_reminders(transaction, outbox) == []
    clock.move(timedelta(seconds=1))
    [mail] = send_reminders(transaction, outbox)
    assert send_reminders(transaction, outbox) == [mail]
    assert (mail.to, "until 9 March 2026 at 09:30" in mail.text) == (AL_EMAIL, True)
    assert "Some days ago you were invited by Jo Bloggs" in mail.text
    with transaction():
        with pytest.raises(person_invitations.InvitationUnknown):
            person_invitations.check(secret)
        person_invitations.accept_as_new(mail.secret, **NEW_PERSON)
    assert any(job.run is worker.remind_of_expiry for job in worker.JOBS)


def test_a_new_link_has_a_reminder_of_its_own(transaction, school, secret, clock, outbox):
    clock.move(timedelta(days=6))
    assert len(send_reminders(transaction, outbox)) == 1
    with transaction():
        [invitation] = person_invitations.waiting(school.estab)
        person_invitations.resend(invitation.id, by=school.by)
    assert len(send_reminders(transaction, outbox)) == 1
    clock.move(timedelta(days=5))
    assert len(send_reminders(transaction, outbox)) == 2


@pytest.mark.parametrize("end", ["accepted", "cancelled", "expired", "suspended", "member"])
def test_no_reminder_is_sent_of_an_invitation_that_was_accepted_or_no_longer_works(
    transaction, school, secret, clock, outbox, end
):
    with transaction():
        [invitation] = person_invitations.waiting(school.estab)
        if end == "accepted":
            person_invitations.accept_as_new(secret, **NEW_PERSON)
        elif end == "cancelled":
            person_invitations.cancel(invitation.id, by=school.by)
        elif end == "suspended":
            accounts.change_state(school.by.estab, "suspended", by="cli")
        elif end == "member":
            a_membership(an_administrator(email=AL_EMAIL), school.by.estab, role="viewer")
    clock.move(timedelta(days=7 if end == "expired" else 6))
    assert send_reminders(transaction, outbox) == []


@pytest.mark.parametrize("where", ["another school", "this one, before"])
def test_a_reminder_is_sent_to_a_person_of_another_school_and_to_a_former_member(
    transaction, school, secret, clock, outbox, where
):
    with transaction():
        an_administrator(username="bo", email="bo@oakhill.example")
        al = an_administrator(email=AL_EMAIL)
        if where == "this one, before":
            a_membership(al, school.by.estab, role="viewer").removed_at = clock.now()
    clock.move(timedelta(days=6))
    assert len(send_reminders(transaction, outbox)) == 1


def test_the_reminder_of_an_invitation_that_lasts_a_day_is_sent_after_half_a_day(
    transaction, school, clock, outbox, change_settings
):
    change_settings(onboarding={"invitation_lifetime_days": 1})
    with transaction():
        person_invitations.invite(AL_NAME, AL_EMAIL, "admin", by=school.by)
    clock.move(timedelta(hours=11))
    assert send_reminders(transaction, outbox) == []
    clock.move(timedelta(hours=1))
    assert len(send_reminders(transaction, outbox)) == 1


def test_of_two_workers_one_sends_the_reminder(transaction, secret, clock, outbox, run_overlapping):
    clock.move(timedelta(days=6))
    assert run_overlapping(person_invitations.remind_due, person_invitations.remind_due) is None
    assert len(outbox.all("invitation_reminder")) == 1


def test_a_person_who_is_turned_away_at_that_moment_is_not_reminded(
    transaction, school, secret, clock, outbox, run_overlapping
):
    clock.move(timedelta(days=6))

    def cancel():
        [invitation] = person_invitations.waiting(school.estab)
        person_invitations.cancel(invitation.id, by=school.by)

    assert run_overlapping(cancel, person_invitations.remind_due) is None
    assert outbox.all("invitation_reminder") == []
