"""A partner's invitations of schools: what is refused, limits, states, and what happens when two come at once."""

from datetime import timedelta
from itertools import chain
from typing import NamedTuple

import pytest

from idp import worker
from idp.audit.models import Entry
from idp.estabs.links import LinkRefused
from idp.estabs.models import Estab, Membership
from idp.foundation.database import session
from idp.foundation.errors import NotFound
from idp.invitations import answer, invite, mailing, states, targets
from idp.invitations.mailing import Recipient
from idp.invitations.models import InvitationLink, SchoolInvitation
from idp.jobs import cleaning
from idp.partners import registry
from idp.partners.models import Client
from idp.schools.models import School, SchoolLink
from idp.sharing import authorise
from tests.factories import a_client, a_school, an_administrator, an_estab

HEAD_NAME, HEAD_EMAIL = "Al Bloggs", "head@oakhill.example"
COLLEAGUE = Recipient("Bo Bloggs", "bo@oakhill.example", is_forwarded=True)


class Ids(NamedTuple):
    """The ids of the partner's client and of the school."""

    client: str
    school: int


@pytest.fixture
def ids(transaction, clock):
    with transaction():
        return Ids(a_client(client_name="Assembly").id, a_school(name="Oakhill School").id)


@pytest.fixture
def send(ids, transaction, outbox):
    """`send()` invites the school and returns the invitation's id."""

    def send_invitation(key=None, client_id=ids.client, **overrides):
        with transaction():
            return invite.invite(registry.client(client_id), request(ids.school, **overrides), idempotency_key=key).id

    return send_invitation


@pytest.fixture
def secret(outbox):
    """`secret()` is the secret in the link of the last mail."""
    return lambda name="partner_invitation": outbox.last(name).secret


def request(school_id, **overrides):
    values = {"name": HEAD_NAME, "email": HEAD_EMAIL, "scopes": frozenset({"school", "students"}), "mis": "sims"}
    return invite.InvitationRequest(session().get_one(School, school_id), **(values | overrides))


def state(transaction, ids, invitation_id):
    with transaction():
        return states.find(ids.client, invitation_id).state


def authorise_for_school(ids):
    """Have a new owner of the school authorise the client."""
    estab = session().query(Estab).filter_by(school_id=ids.school).one_or_none()
    estab = estab or an_estab(session().get_one(School, ids.school))
    owner, client = an_administrator(estab, username=f"u{id(estab)}").memberships[0], registry.client(ids.client)
    return authorise.give(
        client, frozenset({"openid", "students"}), by=owner, agreement_version="1", until=authorise.default_end(client)
    )


def test_the_mail_of_an_invitation_says_who_asks_and_for_what(send, ids, transaction, outbox):
    invitation_id = send(reference="crm-17")
    mail = outbox.last("partner_invitation")
    assert mail.to == HEAD_EMAIL
    assert mail.subject == "Assembly asks Oakhill School to authorise sharing"
    for text in (f"Dear {HEAD_NAME},", "Assembly", "Showing schools what their data says.", "Begin Authorisation"):
        assert text in mail.text
        assert text in mail.html or text == mail.subject
    assert mail.links[0].startswith("http://localhost:5000/invitations/")
    assert "crm-17" not in mail.text
    with transaction():
        status = states.find(ids.client, invitation_id)
        assert (status.state, status.invitation.reference, status.invitation.mis) == ("sent", "crm-17", "sims")
        assert mail.secret.encode() not in session().query(InvitationLink).one().digest


def test_a_refusal_names_all_fields_that_are_wrong(ids, transaction, outbox):
    wrong = {
        "name": "Your refund is at evil.example", "email": "no-address",
        "scopes": frozenset({"timetable"}), "mis": "abacus",
        "reference": "two\nlines",
    }  # fmt: skip
    with transaction(), pytest.raises(invite.InvalidInvitation) as refused:
        invite.invite(registry.client(ids.client), request(ids.school, **wrong), idempotency_key="")
    assert [name for name, _ in refused.value.field_errors] == [
        "contact.name", "contact.email", "scope", "mis", "reference", "Idempotency-Key",
    ]  # fmt: skip
    assert outbox.all() == []


def test_a_client_invites_only_for_systems_and_scopes_of_its_registration(ids, transaction):
    with transaction():
        selective_client = a_client(accepted_mis=frozenset({"isams", "arbor"})).id
    for wrong, field in (({"mis": "sims"}, "mis"), ({"scopes": frozenset()}, "scope")):
        with transaction(), pytest.raises(invite.InvalidInvitation) as refused:
            invite.invite(registry.client(selective_client), request(ids.school, **({"mis": "isams"} | wrong)))
        assert [name for name, _ in refused.value.field_errors] == [field]
    with transaction():
        assert invite.invite(registry.client(selective_client), request(ids.school, mis=None)).mis is None


def test_a_repeated_request_returns_the_same_invitation_and_another_with_its_key_is_refused(
    send, ids, transaction, outbox
):
    first = send("key-1")
    assert send("key-1") == first
    assert len(outbox.all("partner_invitation")) == 1
    with pytest.raises(invite.KeyReused):
        send("key-1", name="Bo Bloggs")
    with transaction():
        other = a_client().id
    assert send("key-1", client_id=other) != first
    assert send("key-2") != first


def test_of_several_requests_with_one_key_at_the_same_time_one_makes_the_invitation(
    ids, transaction, run_concurrently, outbox
):
    def job():
        return invite.invite(registry.client(ids.client), request(ids.school), idempotency_key="key-1").id

    outcomes = run_concurrently(4, job)
    assert len(set(outcomes)) == 1
    assert outcomes[0].startswith("sin_")
    assert len(outbox.all("partner_invitation")) == 1


def test_the_unique_index_refuses_a_second_invitation_with_the_same_key(
    ids, transaction, run_concurrently, outbox, monkeypatch
):
    monkeypatch.setattr(invite, "advisory_lock", lambda *what: None)

    def job():
        return invite.invite(registry.client(ids.client), request(ids.school), idempotency_key="key-1").id

    assert len(set(run_concurrently(4, job))) == 1
    assert len(outbox.all("partner_invitation")) == 1


def test_a_school_is_named_by_its_urn_or_its_dfe_number(transaction, clock):
    with transaction():
        school = a_school(register_id="123456", dfe_number="2131234")
        assert targets.by_urn("123456") is school
        for number in ("2131234", "213/1234"):
            assert targets.by_dfe_number(number) is school
        for wrong in ("123457", "2131234", "Oakhill", ""):
            with pytest.raises(targets.SchoolUnknown):
                targets.by_urn(wrong)


def test_a_closed_school_is_refused_and_those_that_followed_it_are_named(ids, send, transaction):
    closed = {"status_code": "2", "status_name": "Closed", "dfe_number": "2139999"}
    with transaction():
        old, new = a_school(register_id="100001", **closed), a_school(register_id="100002", name="Oakhill Academy")
        session().add(SchoolLink(from_urn="100001", to_urn="100002", kind="Successor", is_succession=True, name="",
                                 since=None))  # fmt: skip
        session().flush()
        with pytest.raises(targets.SchoolNotOpen) as refused:
            targets.by_urn("100001")
        assert [step.school.urn for step in refused.value.successors] == ["100002"]
        assert "It was followed by Oakhill Academy." in refused.value.message
        new.dfe_number = "2139999"  # which a successor may take over
        session().flush()
        assert targets.by_dfe_number("2139999") is new
        with pytest.raises(targets.SchoolNotOpen):
            invite.invite(registry.client(ids.client), request(old.id))


def test_a_clients_open_invitations_and_those_of_a_day_are_limited(send, ids, transaction, change_settings, clock):
    change_settings(invitations={"max_open": 2, "max_a_day": 3})
    first = send(email="a@oakhill.example")
    send("key", email="b@oakhill.example")
    with pytest.raises(invite.TooManyInvitations) as too_many:
        send(email="c@oakhill.example")
    assert "wait for an answer" in too_many.value.message
    assert send("key", email="b@oakhill.example")  # the same key: the same invitation
    with transaction():
        invite.cancel(ids.client, first)
    send(email="c@oakhill.example")
    with transaction():
        invite.cancel(ids.client, states.list_for_client(ids.client)[1].invitation.id)
    with pytest.raises(invite.TooManyInvitations) as today:
        send(email="d@oakhill.example")
    assert "within 24 hours" in today.value.message
    with transaction():
        other = a_client().id
    assert send(client_id=other, email="d@oakhill.example")
    with transaction():
        invite.cancel(ids.client, states.list_for_client(ids.client, only="sent")[0].invitation.id)
    clock.move(timedelta(days=1))
    assert send(email="d@oakhill.example")


def test_the_mails_of_all_partners_to_one_address_a_day_are_limited(send, transaction, outbox, clock):
    for number in range(mailing.MAX_MAILS_TO_ADDRESS):
        with transaction():
            client_id = a_client().id
        send(client_id=client_id, email=HEAD_EMAIL.upper() if number % 2 else HEAD_EMAIL)
    with pytest.raises(mailing.TooManyMails):
        send()
    assert send(email="other@oakhill.example")
    clock.move(timedelta(days=1))
    assert send()


def test_the_limit_of_an_address_holds_for_clients_that_invite_at_the_same_time(
    ids, transaction, run_concurrently, outbox
):
    with transaction():
        clients = [a_client().id for _ in range(mailing.MAX_MAILS_TO_ADDRESS + 2)]
    queue = list(clients)
    outcomes = run_concurrently(
        len(clients), lambda: invite.invite(registry.client(queue.pop()), request(ids.school)).id
    )
    assert sum(isinstance(outcome, mailing.TooManyMails) for outcome in outcomes) == 2
    assert len(outbox.all("partner_invitation")) == mailing.MAX_MAILS_TO_ADDRESS


@pytest.mark.parametrize("known", ["nothing", "the school", "the address"])
def test_the_outcome_is_the_same_whether_or_not_an_account_exists(known, ids, transaction, send, outbox):
    with transaction() as database:
        if known == "the school":
            an_administrator(an_estab(database.get_one(School, ids.school)))
        elif known == "the address":
            an_administrator(email=HEAD_EMAIL)
    invitation_id = send()
    assert outbox.last("partner_invitation").to == HEAD_EMAIL
    assert state(transaction, ids, invitation_id) == "sent"


def test_the_states_an_invitation_goes_through(send, secret, ids, transaction, clock):
    first = send()
    assert state(transaction, ids, first) == "sent"
    with transaction():
        answer.forward(secret(), COLLEAGUE, disclose=False)
    assert state(transaction, ids, first) == "forwarded"
    with transaction():
        answer.begin(secret("partner_invitation_forwarded"))
    assert state(transaction, ids, first) == "opened"
    clock.move(timedelta(days=15))
    assert state(transaction, ids, first) == "expired"
    with transaction():
        authorise_for_school(ids)
    assert state(transaction, ids, first) == "accepted"
    clock.move(timedelta(minutes=1))
    second = send()
    assert state(transaction, ids, second) == "sent"  # the agreement is older than this one
    with transaction():
        assert answer.check(secret()).is_connected
        assert invite.cancel(ids.client, second).state == "cancelled"
    clock.move(timedelta(minutes=1))
    with transaction():
        withdraw(ids)
    third = send()
    with transaction():
        answer.decline(secret())
    with transaction():
        authorise_for_school(ids)
    assert [state(transaction, ids, invitation) for invitation in (first, second, third)] == [
        "accepted",
        "cancelled",
        "declined",
    ]


def test_an_agreement_of_an_account_that_was_rejected_is_no_acceptance(send, ids, transaction):
    invitation_id = send()
    with transaction() as database:
        authorise_for_school(ids)
        estab = database.query(Estab).one()
        for account_state, expected in (("unverified", "accepted"), ("suspended", "accepted"), ("rejected", "sent")):
            estab.state = account_state
            database.flush()
            assert states.find(ids.client, invitation_id).state == expected


def test_a_mail_sent_again_does_not_name_an_area_that_the_client_may_no_longer_ask_for(
    send, ids, transaction, outbox, clock
):
    invitation_id = send(scopes=frozenset({"school", "attendance"}))
    assert "Attendance" in outbox.last("partner_invitation").text
    with transaction() as database:
        database.get_one(Client, ids.client).optional_scopes = frozenset({"students.sen"})
        registry.forget()
        clock.move(timedelta(minutes=1))
        invite.resend(registry.client(ids.client), invitation_id)
    assert "Attendance" not in outbox.last("partner_invitation").text


def withdraw(ids):
    owner = session().query(Membership).first()
    authorise.withdraw(owner.estab_id, ids.client, by=owner)


def test_a_list_has_the_oldest_invitations_first_and_takes_one_statement_a_page(
    send, ids, transaction, clock, record_statements
):
    sent: list[str] = []
    for _ in range(3):  # two at the same moment, which are in the order of their ids
        sent += sorted(send(email=f"a{len(sent) + number}@oakhill.example") for number in range(2))
        clock.move(timedelta(seconds=1))
    with transaction():
        invite.cancel(ids.client, sent[2])
    with transaction(), record_statements() as statements:
        pages, after = [], None
        while page := states.list_for_client(ids.client, after=after, limit=4):
            pages.append([status.invitation.id for status in page])
            after = page[-1].cursor
        assert len(statements) == 3  # the last page is empty
        assert [len(page) for page in pages] == [4, 2]
        assert list(chain.from_iterable(pages)) == sent
        assert [status.invitation.id for status in states.list_for_client(ids.client, only="cancelled")] == [sent[2]]
        assert states.list_for_client("another") == []


def test_another_clients_invitation_is_not_found(send, ids, transaction):
    invitation_id = send()
    with transaction():
        other = registry.client(a_client().id)
        for operation in (
            lambda: states.find(other.id, invitation_id),
            lambda: invite.resend(other, invitation_id),
            lambda: invite.cancel(other.id, invitation_id),
        ):
            with pytest.raises(NotFound):
                operation()


def test_sending_again_replaces_the_link_begins_its_lifetime_again_and_is_limited_to_four_mails(
    send, secret, ids, transaction, outbox, clock
):
    invitation_id, first = send(), secret()
    clock.move(timedelta(days=20))
    for number in range(2, invite.MAX_MAILS + 1):
        with transaction():
            status = invite.resend(registry.client(ids.client), invitation_id)
            assert (status.state, status.invitation.sent) == ("sent", number)
        clock.move(timedelta(days=1))
    with transaction():
        assert answer.check(secret()).invitation.id == invitation_id
        with pytest.raises(answer.InvitationSuperseded):
            answer.check(first)
        with pytest.raises(invite.TooManyInvitations):
            invite.resend(registry.client(ids.client), invitation_id)


def test_a_resend_goes_to_the_person_it_was_passed_on_to(send, secret, ids, transaction, outbox, clock):
    invitation_id = send()
    with transaction():
        answer.forward(secret(), COLLEAGUE, disclose=False)
    clock.move(timedelta(minutes=1))
    with transaction():
        invite.resend(registry.client(ids.client), invitation_id)
    assert [mail.to for mail in outbox.all("partner_invitation_forwarded")] == [COLLEAGUE.email] * 2
    assert state(transaction, ids, invitation_id) == "forwarded"


def test_an_accepted_invitation_can_be_neither_resent_nor_cancelled(send, secret, ids, transaction):
    invitation_id = send()
    with transaction():
        authorise_for_school(ids)
    for operation in (
        lambda: invite.resend(registry.client(ids.client), invitation_id),
        lambda: invite.cancel(ids.client, invitation_id),
    ):
        with transaction(), pytest.raises(invite.InvitationOver):
            operation()
    with transaction() as database:
        assert database.get_one(SchoolInvitation, invitation_id).cancelled_at is None


def test_cancelling_again_changes_nothing_and_is_recorded_once(send, ids, transaction):
    invitation_id = send()
    for _ in range(2):
        with transaction():
            assert invite.cancel(ids.client, invitation_id).state == "cancelled"
    with transaction() as database:
        assert database.query(Entry).filter_by(event="school_invitation.cancelled").count() == 1


@pytest.mark.parametrize("cancels_first", [True, False])
def test_of_cancelling_and_declining_at_the_same_time_one_succeeds(
    cancels_first, send, secret, ids, transaction, run_overlapping
):
    invitation_id, link = send(), secret()

    def cancel():
        return invite.cancel(ids.client, invitation_id)

    def decline():
        return answer.decline(link)

    outcome = run_overlapping(cancel, decline) if cancels_first else run_overlapping(decline, cancel)
    assert isinstance(outcome, answer.InvitationCancelled if cancels_first else invite.InvitationOver)
    assert state(transaction, ids, invitation_id) == ("cancelled" if cancels_first else "declined")


def test_of_several_answers_at_the_same_time_one_is_recorded(send, secret, ids, transaction, run_concurrently, outbox):
    send()
    link = secret()
    jobs = [
        lambda: answer.begin(link),
        lambda: answer.decline(link),
        lambda: answer.forward(link, COLLEAGUE, disclose=True),
        lambda: answer.begin(link),
    ]
    outcomes = run_concurrently(4, lambda: jobs.pop()())  # noqa: PLW0108  each thread takes one
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 3, outcomes
    assert all(not isinstance(outcome, Exception) or isinstance(outcome, LinkRefused) for outcome in outcomes), outcomes
    with transaction() as database:
        assert database.query(Entry).filter(Entry.event.in_([
            "school_invitation.opened", "school_invitation.declined", "school_invitation.forwarded",
        ])).count() == 1  # fmt: skip


def test_passing_on_an_invitation_that_is_just_resent_is_refused(
    send, secret, ids, transaction, run_overlapping, outbox
):
    invitation_id, link = send(), secret()
    outcome = run_overlapping(
        lambda: invite.resend(registry.client(ids.client), invitation_id),
        lambda: answer.forward(link, COLLEAGUE, disclose=False),
    )
    assert isinstance(outcome, answer.InvitationSuperseded)
    with transaction() as database:
        assert database.query(InvitationLink).filter_by(used_at=None, superseded_at=None).count() == 1
    assert outbox.all("partner_invitation_forwarded") == []


def test_a_resend_while_the_invitation_is_passed_on_goes_to_the_new_person(
    send, secret, ids, transaction, run_overlapping, outbox
):
    invitation_id, link = send(), secret()
    outcome = run_overlapping(
        lambda: answer.forward(link, COLLEAGUE, disclose=False),
        lambda: invite.resend(registry.client(ids.client), invitation_id).state,
    )
    assert outcome == "forwarded"
    assert [mail.to for mail in outbox.all("partner_invitation_forwarded")] == [COLLEAGUE.email] * 2
    assert len(outbox.all("partner_invitation")) == 1


def test_five_resends_at_the_same_time_send_three_mails(send, ids, transaction, run_concurrently, outbox):
    invitation_id = send()
    outcomes = run_concurrently(5, lambda: invite.resend(registry.client(ids.client), invitation_id).state)
    assert outcomes.count("sent") == 3, outcomes
    assert sum(isinstance(outcome, invite.TooManyInvitations) for outcome in outcomes) == 2, outcomes
    with transaction() as database:
        links = database.query(InvitationLink)
        assert sorted(link.number for link in links) == [1, 2, 3, 4]
        assert links.filter_by(superseded_at=None).count() == 1


def test_the_invitations_of_a_disabled_client_are_cancelled(send, secret, ids, transaction):
    send()
    with transaction():
        registry.disable(ids.client, by="cli")
    with transaction(), pytest.raises(answer.InvitationCancelled):
        answer.check(secret())


def test_rows_are_deleted_thirty_days_after_they_expired(send, secret, ids, transaction, clock):
    send()
    with transaction():
        answer.forward(secret(), COLLEAGUE, disclose=True)
    for days, count in ((43, 1), (2, 0)):
        clock.move(timedelta(days=days))
        cleaning.clean(transaction, worker.RETENTION)
        with transaction() as database:
            assert database.query(SchoolInvitation).count() == count
    with transaction() as database:
        assert database.query(InvitationLink).count() == 0
