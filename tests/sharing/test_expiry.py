"""Owners are reminded, once each, that sharing ends, and told when it has; and they renew it."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from idp import worker
from idp.audit.models import Entry
from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from idp.foundation.database import session
from idp.outbox import post
from idp.partner_events.models import PartnerEvent
from idp.partners import event_types, registry
from idp.partners.models import Client
from idp.sharing import agreement_state, authorise, expiry, mis, protected_data, renewal
from idp.sharing.models import Authorisation
from tests.factories import a_client, an_administrator, an_estab

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def give_agreement(days=365, owner=None, **client):
    """An agreement for this number of days."""
    owner, service = owner or an_administrator(), a_client(authorisation_days=days, **client)
    return authorise.give(
        service, service.required_scopes | {"attendance"}, by=owner.memberships[0], agreement_version="2026-01",
        until=authorise.default_end(service), offered=service.scopes,
    )  # fmt: skip


@pytest.fixture
def agreement(transaction, clock):
    with transaction():
        return give_agreement()


def send_reminders(transaction, outbox, name="sharing_expires"):
    """Send the reminders that are due; returns how many there are."""
    worker.remind_of_expiry(transaction)
    return outbox.all(name)


def giving_member(agreement):
    return session().get_one(Administrator, agreement.given_by).memberships[0]


def renew(agreement, **overrides):
    values = {"replaces": agreement.id, "version": "2026-01", "by": giving_member(agreement)} | overrides
    return renewal.renew(agreement.estab_id, agreement.client_id, **values)


class TestReminders:
    def test_reminders_are_sent_once_30_and_7_days_before_the_end(self, transaction, agreement, clock, outbox):
        clock.move(335 * DAY - SECOND)
        assert send_reminders(transaction, outbox) == []
        clock.move(SECOND)
        [message] = send_reminders(transaction, outbox)
        assert "ends on 2 March 2027" in message.subject
        assert f"/manage/sharing/{agreement.client_id}/renew?school=" in message.text
        assert "- Attendance" in message.text
        clock.move(20 * DAY)
        assert len(send_reminders(transaction, outbox)) == 1
        clock.move(3 * DAY)
        assert len(send_reminders(transaction, outbox)) == len(send_reminders(transaction, outbox)) == 2

    def test_every_owner_and_no_one_else_gets_a_reminder(self, transaction, agreement, clock, outbox):
        with transaction():
            estab = giving_member(agreement).estab
            an_administrator(estab, username="second", email="second@oakhill.example")
            an_administrator(estab, username="third", email="admin@oakhill.example", role="admin")
            owners = {"second@oakhill.example", giving_member(agreement).person.email}
        clock.move(340 * DAY)
        assert {message.to for message in send_reminders(transaction, outbox)} == owners

    def test_a_worker_that_was_stopped_for_a_month_sends_only_the_latest_reminder(
        self, transaction, agreement, clock, outbox
    ):
        clock.move(360 * DAY)
        assert len(send_reminders(transaction, outbox)) == 1
        clock.move(6 * DAY)
        assert (len(send_reminders(transaction, outbox)), len(outbox.all("sharing_expired"))) == (1, 1)

    def test_the_end_is_mailed_once(self, transaction, agreement, clock, outbox):
        clock.move(365 * DAY - SECOND)
        assert send_reminders(transaction, outbox, "sharing_expired") == []
        clock.move(SECOND)
        [message] = send_reminders(transaction, outbox, "sharing_expired")
        assert "ended on 2 March 2027" in message.text
        assert len(send_reminders(transaction, outbox, "sharing_expired")) == 1

    def test_an_end_of_long_ago_is_not_mailed(self, transaction, agreement, clock, outbox):
        clock.move(373 * DAY)
        assert send_reminders(transaction, outbox) == send_reminders(transaction, outbox, "sharing_expired") == []

    @pytest.mark.parametrize(("days", "reminders"), [(60, 2), (59, 1), (14, 1), (13, 0), (1, 0)])
    def test_a_short_agreement_has_fewer_reminders(self, transaction, clock, outbox, days, reminders):
        with transaction():
            give_agreement(days)
        for _ in range(days):
            send_reminders(transaction, outbox)
            clock.move(DAY)
        assert len(outbox.all("sharing_expires")) == reminders

    def test_changing_what_is_shared_does_not_change_the_reminders(self, transaction, agreement, clock, outbox):
        clock.move(336 * DAY)
        assert len(send_reminders(transaction, outbox)) == 1
        with transaction():
            scopes = agreement.scopes - {"attendance"}
            authorise.change(agreement.estab_id, agreement.client_id, scopes, by=giving_member(agreement))
        assert len(send_reminders(transaction, outbox)) == 1
        clock.move(23 * DAY)
        assert len(send_reminders(transaction, outbox)) == 2

    @pytest.mark.parametrize("reason", ["paused", "withdrawn", "school closed", "disabled"])
    def test_no_reminder_is_sent_for_an_agreement_that_is_not_in_use(
        self, transaction, agreement, clock, outbox, reason
    ):
        with transaction():
            if reason in {"paused", "withdrawn"}:
                act = authorise.pause if reason == "paused" else authorise.withdraw
                act(agreement.estab_id, agreement.client_id, by=giving_member(agreement))
            elif reason == "disabled":
                registry.disable(agreement.client_id, by="cli")
            else:
                giving_member(agreement).estab.state = "closed"
        for days in (340, 20, 6):
            clock.move(days * DAY)
            assert send_reminders(transaction, outbox) == []
        assert outbox.all("sharing_expired") == []

    def test_the_client_gets_an_event_at_the_end_of_a_paused_agreement_though_no_owner_gets_a_mail(
        self, transaction, clock, outbox
    ):
        with transaction():
            agreement = give_agreement(events_method=event_types.POLL)
            authorise.pause(agreement.estab_id, agreement.client_id, by=giving_member(agreement))
        for days in (340, 26):
            clock.move(days * DAY)
            assert send_reminders(transaction, outbox) == send_reminders(transaction, outbox, "sharing_expired") == []
        with transaction():
            rows = session().scalars(select(PartnerEvent).order_by(PartnerEvent.number))
            assert [row.name for row in rows] == ["sharing-authorised", "sharing-paused", "sharing-expired"]

    def test_resumed_sharing_has_its_reminders(self, transaction, agreement, clock, outbox):
        with transaction():
            authorise.pause(agreement.estab_id, agreement.client_id, by=giving_member(agreement))
        clock.move(340 * DAY)
        assert send_reminders(transaction, outbox) == []
        with transaction():
            authorise.resume(agreement.estab_id, agreement.client_id, by=giving_member(agreement))
        assert len(send_reminders(transaction, outbox)) == 1

    def test_two_workers_send_one_reminder(self, transaction, agreement, clock, outbox, run_concurrently):
        clock.move(340 * DAY)
        assert not [outcome for outcome in run_concurrently(4, expiry.remind_due) if isinstance(outcome, Exception)]
        assert len(outbox.all("sharing_expires")) == 1

    def test_more_than_a_batch_is_sent_in_one_run(self, transaction, clock, outbox, monkeypatch):
        monkeypatch.setattr(expiry, "BATCH_SIZE", 2)
        with transaction():
            owner = an_administrator()
            for _ in range(5):
                give_agreement(owner=owner)
        clock.move(340 * DAY)
        assert len(send_reminders(transaction, outbox)) == 5

    def test_a_reminder_that_fails_does_not_stop_others(
        self, transaction, agreement, clock, outbox, monkeypatch, caplog
    ):
        with transaction():
            give_agreement()
            bad = giving_member(agreement).person.email
        email = post.email

        def failing(name, /, *, to, **options):
            if to == bad:
                raise RuntimeError("cannot be written")
            return email(name, to=to, **options)

        monkeypatch.setattr(post, "email", failing)
        clock.move(340 * DAY)
        assert [message.to != bad for message in send_reminders(transaction, outbox)] == [True]
        assert "row set aside" in caplog.text


class TestRenewal:
    def test_renewing_shares_the_same_until_a_later_day_and_mails_a_receipt(
        self, transaction, agreement, clock, outbox
    ):
        clock.move(340 * DAY)
        with transaction():
            again = renew(agreement)
            assert (again.scopes, again.offered, again.line) == (agreement.scopes, agreement.offered, agreement.line)
            assert again.until == clocks.now() + 365 * DAY
            assert [decision.what for decision in authorise.history(agreement.estab_id)] == ["renewed", "given"]
            assert session().scalars(select(Entry).where(Entry.event == "sharing.renewed")).one().subject == again.id
        message = outbox.last("sharing_receipt")
        assert "has renewed sharing with" in message.subject
        assert "5 February 2028" in message.text
        assert send_reminders(transaction, outbox) == [], "the new one is not reminded of yet"

    def test_renewing_an_expired_agreement_puts_it_and_its_tokens_in_force_again(self, transaction, agreement, clock):
        clock.move(400 * DAY)
        with transaction():
            assert not agreement_state.state(agreement.id).is_in_force
            renew(agreement)
            assert agreement_state.state(agreement.id).is_in_force

    def test_an_agreement_is_renewed_in_its_last_30_days_only(self, transaction, agreement, clock):
        clock.move(335 * DAY - SECOND)
        with pytest.raises(renewal.NothingToRenew), transaction():
            renew(agreement)
        clock.move(SECOND)
        with transaction():
            renew(agreement)

    def test_a_short_agreement_is_renewed_in_its_second_half(self, transaction, clock):
        with transaction():
            short = give_agreement(20)
        clock.move(10 * DAY - SECOND)
        with pytest.raises(renewal.NothingToRenew), transaction():
            renew(short)
        clock.move(SECOND)
        with transaction():
            renew(short)

    def test_scopes_that_the_client_added_later_are_not_included_in_a_renewal(self, transaction, agreement, clock):
        clock.move(340 * DAY)
        with transaction():
            client = session().get_one(Client, agreement.client_id)
            client.required_scopes |= {"students.sen", "staff"}
            registry.bump_version(client)
            assert renew(agreement).scopes == agreement.scopes

    def test_renewing_keeps_a_pause(self, transaction, agreement, clock):
        clock.move(340 * DAY)
        with transaction():
            authorise.pause(agreement.estab_id, agreement.client_id, by=giving_member(agreement))
            assert renew(agreement).state == "paused"

    def test_a_page_that_shows_an_older_agreement_or_version_renews_nothing(self, transaction, agreement, clock):
        clock.move(340 * DAY)
        for overrides in ({"version": "2025-01"}, {"replaces": "aut_other"}):
            with pytest.raises(authorise.ChangedMeanwhile), transaction():
                renew(agreement, **overrides)

    def test_specially_protected_data_is_renewed_only_with_a_second_step(self, transaction, clock):
        with transaction():
            owner, client = an_administrator(), a_client(required_scopes=frozenset({"openid", "students.sen"}))
            protected = authorise.give(
                client, client.required_scopes, by=owner.memberships[0], agreement_version="2026-01",
                until=authorise.default_end(client), second_step=True,
            )  # fmt: skip
        clock.move(340 * DAY)
        with pytest.raises(protected_data.SecondStepNeeded), transaction():
            renew(protected)
        with transaction():
            renew(protected, second_step=True)

    def test_an_agreement_of_a_school_whose_mis_is_no_longer_accepted_is_not_renewed(self, transaction, clock):
        with transaction():
            agreement = give_agreement(accepted_mis=frozenset({"sims"}))
            giving_member(agreement).estab.mis = "arbor"
        clock.move(340 * DAY)
        with pytest.raises(mis.MisNotAccepted), transaction():
            renew(agreement)

    def test_of_two_renewals_at_once_one_is_recorded(self, transaction, agreement, clock, run_concurrently):
        clock.move(340 * DAY)
        outcomes = run_concurrently(4, lambda: renew(agreement))
        assert len([outcome for outcome in outcomes if isinstance(outcome, Authorisation)]) == 1
        with transaction():
            assert len(authorise.current(agreement.estab_id)) == 1

    def test_another_school_cannot_renew_the_agreement(self, transaction, agreement, clock):
        clock.move(340 * DAY)
        with transaction():
            other = an_administrator(an_estab()).memberships[0]
        with pytest.raises(authorise.NothingShared), transaction():
            renewal.renew(other.estab_id, agreement.client_id, replaces=agreement.id, version="2026-01", by=other)
