"""What a school agrees to, and for how long it is in force."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp.estabs import authority
from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from idp.foundation.database import session
from idp.foundation.errors import BadRequest, NotFound
from idp.outbox import post
from idp.outbox.models import Message
from idp.partners import registry
from idp.partners.models import Client
from idp.sharing import authorise, mis
from idp.sharing.models import Authorisation
from tests.factories import a_client, a_partner, an_administrator, an_estab

SIGN_IN = frozenset({"openid", "profile", "email"})
REQUESTED_SCOPES = SIGN_IN | {"school", "students", "attendance", "students.sen"}

ALL_SCOPES = REQUESTED_SCOPES | {"phone", "organisation", "offline_access"}
"""`REQUESTED_SCOPES` and all that `a_client` requires."""


@pytest.fixture
def agreement(transaction, clock):
    """An owner has agreed to all that is required, and to attendance; not to special needs."""
    with transaction():
        client, owner = a_client(), an_administrator()
        proposal = authorise.proposal(owner.memberships[0].estab_id, client, REQUESTED_SCOPES)
        return give(client, owner, REQUESTED_SCOPES - {"students.sen"}, offered=proposal.offered)


def give(client, by, scopes, **overrides):
    values = {
        "by": by.memberships[0],
        "agreement_version": client.agreement_version,
        "until": authorise.default_end(client),
    }
    values |= {"second_step": True}
    return authorise.give(client, frozenset(scopes), **(values | overrides))


def in_force(agreement, *names):
    return authorise.agreement_in_force(agreement.estab_id, agreement.client_id, frozenset(names))


def giver(agreement):
    return session().get_one(Administrator, agreement.given_by)


def client_of(agreement):
    return session().get_one(Client, agreement.client_id)


def test_what_was_agreed_is_not_asked_again(transaction, agreement):
    with transaction():
        assert in_force(agreement, *SIGN_IN).id == agreement.id
        assert in_force(agreement, "openid", "students", "attendance").id == agreement.id


def test_an_optional_area_that_was_left_out_is_neither_granted_nor_asked_about_again(transaction, agreement):
    with transaction():
        stands = in_force(agreement, *REQUESTED_SCOPES)

        assert stands.id == agreement.id
        assert stands.scopes & REQUESTED_SCOPES == REQUESTED_SCOPES - {"students.sen"}


def test_an_area_that_was_never_put_to_the_school_is_asked_about(transaction, agreement):
    with transaction():
        assert in_force(agreement, "openid", "organisation") is None


def test_an_area_that_has_become_required_is_asked_about_if_it_was_left_out(transaction, agreement):
    with transaction():
        client = client_of(agreement)
        client.required_scopes |= {"students.sen"}
        client.optional_scopes -= {"students.sen"}
        session().flush()

        assert in_force(agreement, *REQUESTED_SCOPES) is None
        assert in_force(agreement, *SIGN_IN).id == agreement.id, "the old agreement goes on until the school decides"


def test_another_school_and_another_client_have_agreed_to_nothing(transaction, agreement):
    with transaction():
        assert authorise.agreement_in_force(an_estab().id, agreement.client_id, SIGN_IN) is None
        assert authorise.agreement_in_force(agreement.estab_id, a_client().id, SIGN_IN) is None


def test_an_agreement_expires_after_a_year(transaction, agreement, clock):
    clock.move(timedelta(days=365, seconds=-1))
    with transaction():
        assert in_force(agreement, *SIGN_IN)
    clock.move(timedelta(seconds=1))
    with transaction():
        assert in_force(agreement, *SIGN_IN) is None
        assert [agreement.state for agreement in authorise.current(agreement.estab_id)] == ["expired"]


def test_a_client_may_have_a_shorter_duration(transaction, clock):
    with transaction():
        assert authorise.default_end(a_client(authorisation_days=30)) == clock.now() + timedelta(days=30)


def test_withdrawing_pausing_and_resuming_act_at_once(transaction, agreement):
    with transaction():
        authorise.pause(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])
        assert in_force(agreement, *SIGN_IN) is None
        authorise.resume(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])
        assert in_force(agreement, *SIGN_IN)
        ended = authorise.withdraw(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])
        assert (ended.withdrawn_by, ended.withdrawn_at) == (agreement.given_by, clocks.now())
        assert in_force(agreement, *SIGN_IN) is None
        assert authorise.current(agreement.estab_id) == []


def test_the_history_is_one_schools_newest_first_and_limited(transaction, agreement, clock):
    with transaction():
        give(
            a_client(), an_administrator(), SIGN_IN | {"phone", "organisation", "offline_access", "school", "students"}
        )
        for act in (authorise.pause, authorise.resume):  # at the same moment
            act(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])
        clock.move(timedelta(days=1))
        authorise.withdraw(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])

        kinds = [decision.what for decision in authorise.history(agreement.estab_id)]
        assert kinds == ["withdrawn", "resumed", "paused", "given"]
        assert [decision.what for decision in authorise.history(agreement.estab_id, limit=2)] == kinds[:2]


def test_the_agreement_that_was_stopped_last_is_returned(transaction, agreement, clock):
    with transaction():
        client = client_of(agreement)
        assert authorise.last_withdrawn(agreement.estab_id, client.id) is None
        for _ in range(2):
            clock.move(timedelta(days=1))
            newest = give(client, giver(agreement), agreement.scopes)
            authorise.withdraw(agreement.estab_id, client.id, by=giver(agreement).memberships[0])

        assert authorise.last_withdrawn(agreement.estab_id, client.id).id == newest.id
        assert authorise.last_withdrawn(agreement.estab_id, a_client().id) is None
        assert authorise.last_withdrawn(an_estab().id, client.id) is None


@pytest.mark.parametrize("act", [authorise.withdraw, authorise.pause, authorise.resume])
def test_sharing_with_a_client_without_an_agreement_cannot_be_stopped_paused_or_resumed(transaction, act):
    with transaction():
        owner, client = an_administrator(), a_client()
        with pytest.raises(authorise.NothingShared):
            act(owner.memberships[0].estab_id, client.id, by=owner.memberships[0])


def test_an_expired_agreement_can_be_withdrawn_but_not_paused_resumed_or_changed(transaction, agreement, clock):
    with transaction():
        authorise.pause(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])
    clock.move(timedelta(days=366))
    for act in (authorise.pause, authorise.resume, lambda *of, by: authorise.change(*of, agreement.scopes, by=by)):
        with pytest.raises(authorise.NothingShared), transaction():
            act(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])
    with transaction():
        assert [decision.what for decision in authorise.history(agreement.estab_id)] == ["paused", "given"]
        authorise.withdraw(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])


@pytest.mark.parametrize("act", [authorise.withdraw, authorise.pause, authorise.resume])
def test_a_person_cannot_decide_for_another_school(transaction, agreement, act):
    with pytest.raises(NotFound), transaction():
        act(agreement.estab_id, agreement.client_id, by=an_administrator().memberships[0])


def test_a_viewer_cannot_decide(transaction, agreement):
    with transaction():
        viewer = an_administrator(
            giver(agreement).memberships[0].estab, role="viewer", username="viewer", sign_in_email=None
        )
        client = client_of(agreement)
        with pytest.raises(authority.NotPermitted):
            give(client, viewer, REQUESTED_SCOPES)
        with pytest.raises(authority.NotPermitted):
            authorise.withdraw(agreement.estab_id, agreement.client_id, by=viewer.memberships[0])
        assert in_force(agreement, *SIGN_IN).id == agreement.id


@pytest.mark.parametrize("state", ["rejected", "suspended", "closed"])
def test_a_school_whose_account_is_not_active_cannot_authorise(transaction, state):
    with pytest.raises(authority.SchoolCannotAct), transaction():
        give(a_client(), an_administrator(an_estab(state=state)), SIGN_IN)


def test_an_unverified_school_can_authorise(transaction, clock):
    with transaction():
        assert give(a_client(), an_administrator(an_estab(state="unverified")), SIGN_IN).state == "active"


def test_agreeing_again_replaces_the_agreed_scopes_by_those_ticked_now(transaction, agreement):
    with transaction():
        again = give(client_of(agreement), giver(agreement), SIGN_IN | {"school", "students", "students.sen"})

        assert again.scopes == SIGN_IN | {"school", "students", "students.sen"}
        assert again.line == agreement.line
        assert [agreement.id for agreement in authorise.current(agreement.estab_id)] == [again.id]


def test_a_page_offers_the_earlier_areas_and_ticks_those_agreed(transaction, agreement):
    with transaction():
        proposal = authorise.proposal(agreement.estab_id, client_of(agreement), frozenset({"openid", "organisation"}))

        assert proposal.required == SIGN_IN | {"organisation", "school", "students"}
        assert proposal.optional == {"attendance", "students.sen"}
        assert proposal.ticked == {"attendance"}
        assert proposal.offered == proposal.required | proposal.optional


def test_nothing_is_ticked_for_a_school_that_decides_for_the_first_time(transaction):
    with transaction():
        proposal = authorise.proposal(an_estab().id, a_client(), REQUESTED_SCOPES)

        assert proposal.ticked == frozenset()
        assert proposal.offered == REQUESTED_SCOPES


def test_more_than_was_offered_or_than_the_client_may_have_cannot_be_given(transaction):
    with transaction():
        client, owner = a_client(), an_administrator()
        with pytest.raises(BadRequest):
            give(client, owner, SIGN_IN | {"attendance"}, offered=SIGN_IN)
        with pytest.raises(BadRequest):
            give(client, owner, SIGN_IN | {"students.medical"})


def test_required_areas_cannot_be_left_out(transaction):
    with pytest.raises(BadRequest), transaction():
        give(a_client(), an_administrator(), SIGN_IN, offered=REQUESTED_SCOPES)


def test_optional_areas_are_changed_within_what_was_offered(transaction, agreement, clock):
    clock.move(timedelta(days=10))
    with transaction():
        fewer = authorise.change(
            agreement.estab_id,
            agreement.client_id,
            REQUESTED_SCOPES - {"attendance"},
            by=giver(agreement).memberships[0],
            second_step=True,
        )

        assert fewer.scopes == REQUESTED_SCOPES - {"attendance"}
        assert (fewer.until, fewer.agreement, fewer.offered) == (
            agreement.until,
            agreement.agreement,
            agreement.offered,
        )


def test_all_offered_areas_can_be_added_later(transaction, agreement):
    with transaction():
        changed = authorise.change(
            agreement.estab_id,
            agreement.client_id,
            agreement.offered,
            by=giver(agreement).memberships[0],
            second_step=True,
        )
        assert changed.scopes == agreement.offered


def test_a_change_leaves_a_paused_agreement_paused(transaction, agreement, clock):
    with transaction():
        paused = authorise.pause(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0]).paused_at
        clock.move(timedelta(hours=1))
        changed = authorise.change(
            agreement.estab_id,
            agreement.client_id,
            agreement.offered,
            by=giver(agreement).memberships[0],
            second_step=True,
        )

        assert (changed.state, changed.paused_at) == ("paused", paused)
        assert in_force(agreement, *SIGN_IN) is None
        assert authorise.proposal(agreement.estab_id, client_of(agreement), REQUESTED_SCOPES).is_paused


def test_an_agreement_cannot_be_changed_from_the_second_it_ends(transaction, agreement, clock):
    clock.move(agreement.until - clock.now())
    with transaction():
        for act in (authorise.pause, authorise.resume):
            with pytest.raises(authorise.NothingShared):
                act(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])
        with pytest.raises(authorise.NothingShared):
            authorise.change(
                agreement.estab_id, agreement.client_id, agreement.scopes, by=giver(agreement).memberships[0]
            )


def test_a_paused_agreement_cannot_be_paused_and_an_active_one_not_resumed(transaction, agreement, clock):
    with transaction():
        with pytest.raises(authorise.NothingShared):
            authorise.resume(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])
        since = authorise.pause(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0]).paused_at
        clock.move(timedelta(hours=1))
        with pytest.raises(authorise.NothingShared):
            authorise.pause(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])
        assert [agreement.paused_at for agreement in authorise.current(agreement.estab_id)] == [since]


def tick_all(estab_id, client_id, *, by):
    return authorise.change(estab_id, client_id, REQUESTED_SCOPES, by=by, second_step=True)


@pytest.mark.parametrize("act", [authorise.pause, authorise.withdraw, tick_all])
def test_a_decision_is_about_one_school_and_one_client(transaction, agreement, act):
    """Agreements of the school with others, and of others with the client, stay as they are."""
    with transaction():
        other_client, other_school = a_client(), an_administrator()
        others = [
            give(other_client, giver(agreement), ALL_SCOPES, offered=other_client.scopes),
            give(client_of(agreement), other_school, ALL_SCOPES, offered=client_of(agreement).scopes),
        ]
        session().flush()
        act(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])

        for other in others:
            session().refresh(other)
            assert (other.state, other.superseded_at) == ("active", None)
        assert [agreement.id for agreement in authorise.current(other_school.memberships[0].estab_id)] == [others[1].id]


@pytest.mark.parametrize("scopes", [REQUESTED_SCOPES | {"organisation"}, REQUESTED_SCOPES - {"school"}])
def test_a_change_adds_nothing_that_was_not_offered_and_drops_nothing_required(transaction, agreement, scopes):
    with pytest.raises(BadRequest), transaction():
        authorise.change(agreement.estab_id, agreement.client_id, scopes, by=giver(agreement).memberships[0])
    with transaction():
        assert in_force(agreement, *SIGN_IN).id == agreement.id


def test_refusing_changes_no_agreement_and_is_recorded(transaction, agreement):
    with transaction():
        authorise.refuse(client_of(agreement), frozenset({"students.sen"}), by=giver(agreement).memberships[0])

        assert in_force(agreement, *SIGN_IN).id == agreement.id
        assert authorise.history(agreement.estab_id)[0].what == "refused"


def test_the_history_lists_decisions_newest_first(transaction, agreement, clock):
    steps = [
        lambda by: give(client_of(agreement), by, REQUESTED_SCOPES),
        lambda by: authorise.pause(agreement.estab_id, agreement.client_id, by=by.memberships[0]),
        lambda by: authorise.resume(agreement.estab_id, agreement.client_id, by=by.memberships[0]),
        lambda by: authorise.withdraw(agreement.estab_id, agreement.client_id, by=by.memberships[0]),
        lambda by: give(client_of(agreement), by, REQUESTED_SCOPES),
    ]
    for step in steps:
        clock.move(timedelta(minutes=1))
        with transaction():
            step(giver(agreement))

    with transaction():
        kinds = [decision.what for decision in authorise.history(agreement.estab_id)]
        assert kinds == ["given", "withdrawn", "resumed", "paused", "changed", "given"]


def test_two_decisions_at_once_leave_one_agreement(transaction, agreement, run_concurrently):
    outcomes = run_concurrently(4, lambda: give(client_of(agreement), giver(agreement), REQUESTED_SCOPES))

    won = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert won
    assert all(isinstance(item, authorise.ChangedMeanwhile) for item in lost), lost
    with transaction():
        assert len(authorise.current(agreement.estab_id)) == 1


@pytest.mark.parametrize("act", [authorise.withdraw, authorise.pause])
def test_stopping_and_pausing_also_apply_to_a_change_made_at_that_moment(transaction, agreement, run_overlapping, act):
    outcome = run_overlapping(
        lambda: give(client_of(agreement), giver(agreement), REQUESTED_SCOPES),
        lambda: act(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0]),
    )

    assert isinstance(outcome, Authorisation)
    with transaction():
        assert in_force(agreement, *SIGN_IN) is None


def test_a_change_at_the_moment_of_a_colleagues_change_leaves_one_agreement(transaction, agreement, run_overlapping):
    outcome = run_overlapping(
        lambda: give(client_of(agreement), giver(agreement), REQUESTED_SCOPES),
        lambda: authorise.change(
            agreement.estab_id,
            agreement.client_id,
            agreement.scopes,
            by=giver(agreement).memberships[0],
            second_step=True,
        ),
    )

    assert isinstance(outcome, authorise.ChangedMeanwhile | Authorisation), "on SQLite it runs after the other change"
    with transaction():
        assert len(authorise.current(agreement.estab_id)) == 1


def test_every_owner_gets_a_receipt_that_says_what_was_agreed(transaction, agreement, outbox, clock):
    clock.move(timedelta(minutes=1))
    with transaction():
        an_administrator(giver(agreement).memberships[0].estab, email="head@oakhill.example", username="head")
        give(client_of(agreement), giver(agreement), REQUESTED_SCOPES)
    mails = outbox.all("sharing_receipt")

    assert len(mails) == 3, "one owner at first, then two"
    assert ["This replaces" in mail.text for mail in mails] == [False, True, True], "the first replaces nothing"
    mail = mails[-1]
    assert "Attendance" in mail.text
    assert "Pupils: special educational needs (specially protected by law)" in mail.text
    assert "2 March 2027" in mail.text
    assert "https://assembly.example/agreement" in mail.links


def test_receipts_name_the_company_and_its_documents_where_there_are_any(transaction, outbox):
    with transaction():
        papers = {"agreement_uri": "", "agreement_version": "", "policy_uri": ""}
        bare = a_client(a_partner(name="Timetabler"), client_name="Timetabler", **papers)
        person = an_administrator()
        give(bare, person, SIGN_IN | {"school", "students"})
        authorise.withdraw(person.memberships[0].estab_id, bare.id, by=person.memberships[0])
    for name in ("sharing_receipt", "sharing_stopped"):
        mail = outbox.last(name)
        for part in (mail.text, mail.html):
            assert "Timetabler, from Timetabler" not in part
            for phrase in ("version", "rivacy notice", "sharing agreement", "says how", 'href=""'):
                assert phrase not in part, phrase
    assert "please ask Timetabler.\n" in outbox.last("sharing_stopped").text


def test_the_receipt_of_a_change_says_that_it_replaces_what_was_agreed(transaction, agreement, outbox, clock):
    replaces = "This replaces what your school had agreed with"
    assert replaces not in outbox.last("sharing_receipt").text
    clock.move(timedelta(minutes=1))
    with transaction():
        authorise.change(
            agreement.estab_id,
            agreement.client_id,
            agreement.offered,
            by=giver(agreement).memberships[0],
            second_step=True,
        )
    assert replaces in outbox.last("sharing_receipt").text


def test_the_receipt_of_an_unverified_school_says_that_nothing_is_sent_yet(transaction, clock, outbox):
    with transaction():
        give(a_client(), an_administrator(an_estab(state="unverified")), SIGN_IN | {"school", "students"})

    assert "None of this is sent until our staff have checked" in outbox.last("sharing_receipt").text


def test_stopping_tells_the_owners_that_the_partner_keeps_what_it_has(transaction, agreement, outbox):
    with transaction():
        authorise.withdraw(agreement.estab_id, agreement.client_id, by=giver(agreement).memberships[0])
    mail = outbox.last("sharing_stopped")

    assert "has stopped sharing with Assembly" in mail.subject
    assert "keeps what it has already received" in mail.text


def test_names_with_markup_are_escaped_in_the_mail(transaction, clock):
    hostile = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    with transaction():
        client = a_client(a_partner(name=hostile), client_name=hostile)
        owner = an_administrator(name=hostile)
        agreement = give(client, owner, SIGN_IN)
        authorise.withdraw(agreement.estab_id, client.id, by=owner.memberships[0])
        mails = [post.unseal(message) for message in session().scalars(select(Message))]

    assert len(mails) == 2
    for mail in mails:
        assert "<script" not in mail.html
        assert "<img" not in mail.html
        assert "&lt;script&gt;" in mail.html


def test_the_error_for_a_school_whose_mis_is_not_accepted_names_the_accepted_ones(transaction):
    with transaction():
        booking = a_client(client_name="SchoolBooking", accepted_mis=frozenset({"isams", "arbor"}))
        owner = an_administrator(an_estab(mis="sims"))
        with pytest.raises(mis.MisNotAccepted, match="mis_not_accepted") as refused:
            give(booking, owner, SIGN_IN)

        assert "SchoolBooking works with iSAMS or Arbor" in refused.value.message
        assert "recorded as SIMS" in refused.value.message


def test_a_school_is_asked_for_its_system_only_if_the_client_restricts_it(transaction):
    with transaction():
        owner = an_administrator(an_estab(mis=None))
        restricted_client, unrestricted_client = a_client(accepted_mis=frozenset({"isams"})), a_client()

        assert mis.is_asked(owner.memberships[0].estab, restricted_client)
        assert not mis.is_asked(owner.memberships[0].estab, unrestricted_client)
        with pytest.raises(mis.MisUnknown):
            give(restricted_client, owner, SIGN_IN)
        mis.set_by_school("isams", by=owner.memberships[0])
        assert give(restricted_client, owner, SIGN_IN).state == "active"


def test_an_agreement_is_suspended_while_the_schools_system_is_not_accepted(transaction, clock):
    with transaction():
        owner = an_administrator(an_estab(mis="isams"))
        agreement = give(a_client(accepted_mis=frozenset({"isams"})), owner, SIGN_IN)
        for code, stands in (("sims", False), ("isams", True)):
            mis.set_by_school(code, by=owner.memberships[0])
            session().flush()
            assert authorise.is_in_force(agreement.id) is stands
            assert bool(in_force(agreement, *SIGN_IN)) is stands


def test_an_unknown_system_cannot_be_recorded(transaction):
    with pytest.raises(BadRequest), transaction():
        mis.set_by_school("abacus", by=an_administrator().memberships[0])


def test_a_disabled_client_has_no_agreement_in_force(transaction, agreement):
    with transaction():
        registry.disable(agreement.client_id, by="cli")
        assert in_force(agreement, *SIGN_IN) is None
