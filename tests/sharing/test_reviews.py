"""A service that asks for more, or has a new agreement, is reviewed; meanwhile the agreement continues."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp import worker
from idp.audit.models import Entry
from idp.estabs import authority
from idp.estabs.models import Administrator
from idp.foundation.database import session
from idp.outbox import post
from idp.partners import registry
from idp.partners.models import Client
from idp.sharing import agreement_state, authorise, protected_data, renewal, reviewing, reviews
from idp.sharing.models import Authorisation
from tests.factories import a_client, an_administrator

DAY = timedelta(days=1)
UNPROTECTED_SCOPES = frozenset({"attendance", "assessment"})


def give_agreement(owner=None, client=None, **overrides):
    """An agreement to all that is required, without the optional areas."""
    owner, client = owner or an_administrator(), client or a_client(optional_scopes=UNPROTECTED_SCOPES, **overrides)
    return authorise.give(
        client, client.required_scopes, by=owner.memberships[0], agreement_version=client.agreement_version,
        until=authorise.default_end(client), offered=client.scopes - {"assessment"}, second_step=True,
    )  # fmt: skip


@pytest.fixture
def agreement(transaction, clock):
    with transaction():
        return give_agreement()


def register(agreement, *, required=(), optional=(), **overrides):
    """Change the client's registration: more scopes, and other columns."""
    client = session().get_one(Client, agreement.client_id)
    client.required_scopes |= set(required)
    client.optional_scopes = (client.optional_scopes | set(optional)) - set(required)
    for name, value in overrides.items():
        setattr(client, name, value)
    registry.bump_version(client)
    return client


def current_agreement(agreement):
    (row,) = authorise.current(agreement.estab_id)
    return row


def giving_member(agreement):
    return session().get_one(Administrator, agreement.given_by).memberships[0]


def shown_review(agreement):
    """What a page of the review sends: the agreement and the review that it showed, and who decides."""
    row = current_agreement(agreement)
    return {"replaces": row.id, "shown": reviews.find_pending(row).shown, "by": giving_member(agreement)}


def agree(agreement, *ticked, second_step=False):
    return reviewing.agree(
        agreement.estab_id, agreement.client_id, frozenset(ticked), second_step=second_step, **shown_review(agreement)
    )


def decline(agreement):
    return reviewing.decline(agreement.estab_id, agreement.client_id, **shown_review(agreement))


def send_review_mails(transaction, outbox):
    worker.mail_reviews(transaction)
    return outbox.all("sharing_review")


class TestWhatIsReviewed:
    def test_there_is_no_review_when_a_school_has_just_agreed(self, transaction, agreement):
        """Although the client is registered for an optional area that it has not requested yet."""
        with transaction():
            assert reviews.find_pending(current_agreement(agreement)) is None

    def test_added_and_newly_required_scopes_and_a_new_agreement_version_are_reviewed(self, transaction, agreement):
        with transaction():
            register(agreement, required={"staff", "attendance"}, optional={"timetable"}, agreement_version="2")
            review = reviews.find_pending(current_agreement(agreement))
            assert (review.required, review.optional, review.version) == ({"staff", "attendance"}, {"timetable"}, "2")

    def test_a_shared_scope_that_becomes_required_is_not_reviewed(self, transaction):
        with transaction():
            agreed = give_agreement()
            ticked = agreed.scopes | {"attendance"}
            authorise.change(agreed.estab_id, agreed.client_id, ticked, by=giving_member(agreed))
            register(agreed, required={"attendance"})
            assert reviews.find_pending(current_agreement(agreed)) is None

    def test_a_scope_that_the_client_no_longer_has_is_not_reviewed(self, transaction, agreement):
        with transaction():
            client = register(agreement, required={"staff"})
            client.required_scopes -= {"staff"}
            registry.bump_version(client)
            assert reviews.find_pending(current_agreement(agreement)) is None

    def test_an_agreement_of_an_older_release_is_reviewed_only_for_a_new_agreement_version(
        self, transaction, agreement
    ):
        with transaction():
            row = current_agreement(agreement)
            row.considered_scopes = row.considered_required = row.considered_agreement = None
            register(agreement, required={"staff"})
            assert reviews.find_pending(row) is None
            register(agreement, agreement_version="2")
            assert (reviews.find_pending(row).version, reviews.find_pending(row).required) == ("2", frozenset())

    def test_an_ended_agreement_is_not_reviewed(self, transaction, agreement, clock):
        clock.move(366 * DAY)
        with transaction():
            register(agreement, required={"staff"})
            assert reviews.find_pending(current_agreement(agreement)) is None


class TestUntilReview:
    def test_the_agreement_continues_and_a_sign_in_is_asked_only_where_its_request_needs_more(
        self, transaction, agreement
    ):
        with transaction():
            register(agreement, required={"staff"}, agreement_version="2")
            before = frozenset({"openid", "school", "students"})
            assert agreement_state.state(agreement.id).is_in_force
            assert authorise.agreement_in_force(agreement.estab_id, agreement.client_id, before).id == agreement.id
            assert authorise.agreement_in_force(agreement.estab_id, agreement.client_id, before | {"staff"}) is None

    def test_optional_areas_are_changed_without_the_new_ones(self, transaction, agreement):
        with transaction():
            register(agreement, required={"staff", "assessment"})
            changed = authorise.change(
                agreement.estab_id, agreement.client_id, agreement.scopes | {"attendance"}, by=giving_member(agreement)
            )
            assert changed.scopes == agreement.scopes | {"attendance"}
            assert reviews.find_pending(changed).required == {"staff", "assessment"}

    def test_renewing_includes_the_version_and_leaves_the_scopes_to_be_reviewed(self, transaction, agreement, clock):
        clock.move(340 * DAY)
        with transaction():
            register(agreement, required={"staff"}, agreement_version="2")
            renewed = renewal.renew(
                agreement.estab_id, agreement.client_id, replaces=agreement.id, version="2", by=giving_member(agreement)
            )
            assert (reviews.find_pending(renewed).required, reviews.find_pending(renewed).version) == ({"staff"}, None)

    def test_agreeing_to_one_scope_at_a_sign_in_leaves_the_others_to_be_reviewed(self, transaction, agreement):
        with transaction():
            client = register(agreement, required={"staff"}, optional={"timetable"})
            proposal = authorise.proposal(agreement.estab_id, client, frozenset({"staff"}))
            again = authorise.give(
                client, agreement.scopes | {"staff"}, by=giving_member(agreement),
                agreement_version=client.agreement_version, until=authorise.default_end(client),
                offered=proposal.offered,
            )  # fmt: skip
            review = reviews.find_pending(again)
            assert (review.required, review.optional, review.version) == (frozenset(), {"timetable"}, None)


class TestAgreeing:
    def test_agreeing_adds_required_and_ticked_scopes_and_keeps_the_others(self, transaction, agreement, outbox, clock):
        with transaction():
            register(agreement, required={"staff"}, optional={"timetable", "classes"}, agreement_version="2")
        clock.move(DAY)
        with transaction():
            again = agree(agreement, "classes", "nonsense")
            assert again.scopes == agreement.scopes | {"staff", "classes"}
            assert (again.until, again.line, again.agreement) == (agreement.until, agreement.line, "2")
            assert reviews.find_pending(again) is None
            scopes = agreement.scopes | {"staff", "timetable", "classes"}
            assert authorise.agreement_in_force(agreement.estab_id, agreement.client_id, scopes).id == again.id
            assert [decision.what for decision in authorise.history(agreement.estab_id)] == ["changed", "given"]
        assert "Staff" in outbox.last("sharing_receipt").text

    def test_agreeing_keeps_a_pause(self, transaction, agreement):
        with transaction():
            authorise.pause(agreement.estab_id, agreement.client_id, by=giving_member(agreement))
            register(agreement, required={"staff"})
            assert agree(agreement).state == "paused"

    def test_specially_protected_data_needs_a_second_step_and_what_was_agreed_before_does_not(self, transaction):
        with transaction():
            agreed = give_agreement(required_scopes=frozenset({"openid", "students.sen"}))
            register(agreed, required={"staff"}, optional={"students.medical"})
        with pytest.raises(protected_data.SecondStepNeeded), transaction():
            agree(agreed, "students.medical")
        with transaction():
            assert agree(agreed).scopes == {"openid", "students.sen", "staff"}

    def test_a_review_that_changed_since_it_was_shown_is_not_decided(self, transaction, agreement):
        with transaction():
            register(agreement, required={"staff"})
            shown = shown_review(agreement)
            register(agreement, required={"timetable"})
        for act in (reviewing.decline, lambda *args, **options: reviewing.agree(*args, frozenset(), **options)):
            with pytest.raises(authorise.ChangedMeanwhile), transaction():
                act(agreement.estab_id, agreement.client_id, **(shown | {"by": giving_member(agreement)}))

    def test_a_viewer_decides_nothing(self, transaction, agreement):
        with transaction():
            register(agreement, required={"staff"})
            giving_member(agreement).role = "viewer"
        for act in (agree, decline):
            with pytest.raises(authority.NotPermitted), transaction():
                act(agreement)

    def test_of_agreeing_and_declining_at_once_one_is_recorded(self, transaction, agreement, run_concurrently):
        with transaction():
            register(agreement, required={"staff"})
            shown = shown_review(agreement)
        acts = iter([True, False, True, False])

        def decide():
            at = {**shown, "by": giving_member(agreement)}
            if next(acts):
                return reviewing.agree(agreement.estab_id, agreement.client_id, frozenset(), **at)
            return reviewing.decline(agreement.estab_id, agreement.client_id, **at)

        outcomes = run_concurrently(4, decide)
        assert len([outcome for outcome in outcomes if isinstance(outcome, Authorisation)]) == 1, outcomes
        with transaction():
            assert len(authorise.history(agreement.estab_id)) == 2


class TestDeclining:
    def test_declining_keeps_the_agreement_and_is_not_asked_again(self, transaction, agreement, outbox):
        with transaction():
            register(agreement, required={"staff"}, optional={"timetable"}, agreement_version="2")
            declined = decline(agreement)
            assert (declined.id, declined.scopes, declined.agreement) == (agreement.id, agreement.scopes, "2026-01")
            assert reviews.find_pending(declined) is None
            scopes = agreement.scopes | {"timetable"}
            in_force = authorise.agreement_in_force(agreement.estab_id, agreement.client_id, scopes)
            assert in_force.scopes & scopes == agreement.scopes
            assert authorise.agreement_in_force(agreement.estab_id, agreement.client_id, scopes | {"staff"}) is None
            what = [decision.what for decision in authorise.history(agreement.estab_id)]
            assert what == ["review_declined", "given"]
            assert session().scalars(select(Entry).where(Entry.event == "sharing.review_declined")).one()
        assert "does not agree to what Assembly" in outbox.last("sharing_review_declined").text

    def test_scopes_added_after_declining_are_a_new_review(self, transaction, agreement):
        with transaction():
            register(agreement, required={"staff"})
            decline(agreement)
            register(agreement, optional={"timetable"}, agreement_version="2")
            review = reviews.find_pending(current_agreement(agreement))
            assert (review.required, review.optional, review.version) == (frozenset(), {"timetable"}, "2")

    def test_the_optional_areas_can_still_be_changed_and_a_declined_one_added(self, transaction, agreement):
        with transaction():
            register(agreement, optional={"timetable"})
            decline(agreement)
            wanted = agreement.scopes | {"timetable"}
            assert authorise.change(agreement.estab_id, agreement.client_id, wanted, by=giving_member(agreement))


class TestMails:
    def test_owners_get_one_mail_however_often_the_registration_changes(self, transaction, agreement, outbox, clock):
        assert send_review_mails(transaction, outbox) == []
        with transaction():
            register(agreement, required={"staff"}, agreement_version="2")
        [message] = send_review_mails(transaction, outbox)
        assert message.subject.endswith("to agree to more")
        assert "- Staff" in message.text
        assert "new version: 2" in message.text
        assert f"/manage/sharing/{agreement.client_id}/review?school=" in message.text
        for number in range(3):
            clock.move(DAY)
            with transaction():
                register(agreement, agreement_version=f"3.{number}")
            assert len(send_review_mails(transaction, outbox)) == 1

    def test_after_a_decision_the_next_review_is_mailed(self, transaction, agreement, outbox, clock):
        with transaction():
            register(agreement, required={"staff"})
        assert len(send_review_mails(transaction, outbox)) == 1
        with transaction():
            decline(agreement)
        assert len(send_review_mails(transaction, outbox)) == 1
        clock.move(DAY)
        with transaction():
            register(agreement, agreement_version="2")
        [_, message] = send_review_mails(transaction, outbox)
        assert message.subject.endswith("to look at its new agreement")

    @pytest.mark.parametrize("reason", ["paused", "withdrawn", "over", "school closed", "disabled"])
    def test_unused_agreements_are_not_mailed_about(self, transaction, agreement, outbox, clock, reason):
        with transaction():
            if reason in {"paused", "withdrawn"}:
                act = authorise.pause if reason == "paused" else authorise.withdraw
                act(agreement.estab_id, agreement.client_id, by=giving_member(agreement))
            elif reason == "school closed":
                giving_member(agreement).estab.state = "closed"
            register(agreement, required={"staff"})
            if reason == "disabled":
                registry.disable(agreement.client_id, by="cli")
        if reason == "over":
            clock.move(366 * DAY)
        assert send_review_mails(transaction, outbox) == []

    def test_every_school_gets_one_mail_from_three_workers_in_batches(
        self, transaction, agreement, outbox, run_concurrently, monkeypatch
    ):
        monkeypatch.setattr(reviewing, "BATCH_SIZE", 2)
        with transaction():
            client = session().get_one(Client, agreement.client_id)
            for _ in range(4):
                give_agreement(an_administrator(), client)
            register(agreement, required={"staff"})
        assert not [outcome for outcome in run_concurrently(3, reviewing.mail_due) if isinstance(outcome, Exception)]
        assert (
            len({message.to for message in send_review_mails(transaction, outbox)})
            == len(outbox.all("sharing_review"))
            == 5
        )

    def test_a_mail_that_fails_does_not_stop_others(self, transaction, agreement, outbox, monkeypatch, caplog):
        with transaction():
            give_agreement(an_administrator(), session().get_one(Client, agreement.client_id))
            bad = giving_member(agreement).person.email
            register(agreement, required={"staff"})
        email = post.email

        def failing(name, /, *, to, **options):
            if to == bad:
                raise RuntimeError("cannot be written")
            return email(name, to=to, **options)

        monkeypatch.setattr(post, "email", failing)
        assert [message.to != bad for message in send_review_mails(transaction, outbox)] == [True]
        assert "row set aside" in caplog.text
