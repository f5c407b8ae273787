"""Owners get a mail when their school closes, and nothing changes by itself; its successor continues sharing after two
decisions.
"""

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from idp import worker
from idp.audit.models import Entry
from idp.estabs import authority
from idp.estabs.models import Administrator, Estab
from idp.foundation import clock as clocks
from idp.foundation.database import session
from idp.foundation.errors import BadRequest, NotFound
from idp.partners import registry
from idp.partners.models import Client
from idp.schools.models import School, SchoolLink
from idp.sharing import agreement_state, authorise, closures, protected_data, releases
from idp.sharing.models import Authorisation
from tests.factories import a_client, a_school, an_administrator, an_estab

DAY = timedelta(days=1)


def close_school(estab_id, status="2", on=date(2026, 2, 28)):
    school = session().get_one(Estab, estab_id).school
    school.status_code, school.closed_on = status, on


def follow_school(closed, successor, since=date(2026, 3, 1)):
    session().add(
        SchoolLink(
            from_urn=closed.register_id, to_urn=successor.register_id, kind="Successor", is_succession=True,
            name=successor.name, since=since,
        )
    )  # fmt: skip


class World:
    """Oak Hill, which shares with two services, has closed; Oak Hill Academy follows it."""

    def __init__(self):
        self.old = an_administrator(an_estab(a_school(name="Oak Hill")), name="Old Owner")
        self.new = an_administrator(an_estab(a_school(name="Oak Hill Academy")), name="New Owner")
        self.clients = [a_client(client_name=name) for name in ("Assembly", "Timetabler")]
        for client in self.clients:
            authorise.give(
                client, client.required_scopes | {"attendance"}, by=self.member("old"), agreement_version="2025-01",
                until=clocks.now() + 100 * DAY, offered=client.scopes,
            )  # fmt: skip
        close_school(self.estab("old"))
        follow_school(self.member("old").estab.school, self.member("new").estab.school)

    def member(self, which):
        return session().get_one(Administrator, getattr(self, which).id).memberships[0]

    def estab(self, which):
        return getattr(self, which).memberships[0].estab_id

    def release(self):
        releases.release(self.member("new").estab.school_id, by=self.member("old"))

    def offer(self):
        (offer,) = releases.offers(self.member("new"))
        return offer

    def move(self, *names, ticked=frozenset({"attendance"}), **overrides):
        offer = self.offer()
        chosen = {client.id: ticked for client in self.clients if client.client_name in names}
        return releases.move(offer.id, chosen, **({"shown": offer.shown, "by": self.member("new")} | overrides))


@pytest.fixture
def world(transaction, clock):
    with transaction():
        return World()


def closing_mails(transaction, outbox):
    worker.tell_closing(transaction)
    return outbox.all("school_closing")


class TestMails:
    def test_owners_are_mailed_once_and_sharing_is_not_moved(self, transaction, world, outbox):
        [message] = closing_mails(transaction, outbox)
        assert message.to == world.old.email
        assert "Oak Hill has closed in the national register" in message.subject
        assert "closed on 28 February 2026" in message.text
        assert "It was followed by Oak Hill Academy." in message.text
        assert len(closing_mails(transaction, outbox)) == 1
        with transaction():
            assert {row.state for row in authorise.current(world.estab("old"))} == {"active"}
            assert authorise.current(world.estab("new")) == []
            assert releases.offers(world.member("new")) == [], "the successor learns nothing by itself"

    def test_an_announced_closure_is_mailed_and_the_closure_itself_too(self, transaction, world, outbox, clock):
        with transaction():
            close_school(world.estab("old"), "3", date(2026, 8, 31))
        assert "is about to close" in closing_mails(transaction, outbox)[0].subject
        clock.move(DAY)
        with transaction():
            close_school(world.estab("old"))
        assert "has closed" in closing_mails(transaction, outbox)[1].subject

    def test_the_second_closure_of_a_reopened_school_is_mailed(self, transaction, world, outbox):
        assert len(closing_mails(transaction, outbox)) == 1
        with transaction():
            close_school(world.estab("old"), "1", None)
        assert len(closing_mails(transaction, outbox)) == 1
        with transaction():
            close_school(world.estab("old"))
        assert len(closing_mails(transaction, outbox)) == 2

    def test_an_account_that_is_not_active_is_not_mailed(self, transaction, world, outbox):
        with transaction():
            world.member("old").estab.state = "closed"
        assert closing_mails(transaction, outbox) == []

    def test_two_workers_send_one_mail(self, transaction, world, outbox, run_concurrently):
        assert not [outcome for outcome in run_concurrently(4, closures.announce_due) if isinstance(outcome, Exception)]
        assert len(outbox.all("school_closing")) == 1


class TestReleasing:
    def test_owners_of_both_schools_get_a_mail_without_people(self, transaction, world, outbox):
        with transaction():
            world.release()
            world.release()  # repeated, it changes nothing
        [released], [offered] = outbox.all("sharing_released"), outbox.all("sharing_offered")
        assert (released.to, offered.to) == (world.old.email, world.new.email)
        assert "Old Owner" not in offered.text
        with transaction():
            assert len(session().scalars(select(Entry).where(Entry.event == "sharing.released")).all()) == 1

    def test_sharing_is_released_only_to_a_successor_in_the_register(self, transaction, world):
        with transaction():
            stranger = an_administrator()
        with pytest.raises(releases.NotReleasable), transaction():
            releases.release(stranger.memberships[0].estab.school_id, by=world.member("old"))

    def test_an_open_school_cannot_release_its_sharing(self, transaction, world):
        with transaction():
            close_school(world.estab("old"), "1", None)
        with pytest.raises(releases.NotReleasable), transaction():
            world.release()

    def test_an_unverified_school_cannot_release_its_sharing(self, transaction, world):
        """The account of an unverified school may be a stranger's."""
        with transaction():
            world.member("old").estab.state = "unverified"
        with pytest.raises(releases.NotReleasable), transaction():
            world.release()

    @pytest.mark.parametrize("role", ["admin", "viewer"])
    def test_only_an_owner_releases_sharing(self, transaction, world, role):
        with transaction():
            world.member("old").role = role
        with pytest.raises(authority.NotPermitted), transaction():
            world.release()

    def test_a_release_is_taken_back_before_the_other_school_has_decided(self, transaction, world):
        with transaction():
            world.release()
            releases.take_back(world.member("new").estab.school_id, by=world.member("old"))
            assert releases.offers(world.member("new")) == []

    def test_our_staff_release_sharing_of_a_school_without_owners(self, transaction, world):
        with transaction():
            old, new = (world.member(which).estab for which in ("old", "new"))
            releases.release_by_staff(old.estab_id, new.estab_id, by="cli")
            assert world.offer().names == ["Assembly", "Timetabler"]


class TestWhoIsOffered:
    @pytest.mark.parametrize(
        "reason", ["unverified", "admin", "viewer", "announced", "in the future", "not followed", "another school"]
    )
    def test_only_owners_of_a_verified_successor_are_offered_the_sharing(self, transaction, world, reason):
        with transaction():
            world.release()
            member = world.member("new")
            if reason == "unverified":
                member.estab.state = "unverified"
            elif reason in {"admin", "viewer"}:
                member.role = reason
            elif reason == "announced":
                close_school(world.estab("old"), "3", date(2026, 8, 31))
            elif reason == "another school":
                member = an_administrator().memberships[0]
            else:
                link = session().scalars(select(SchoolLink)).one()
                link.since, link.is_succession = (
                    (date(2026, 9, 1), True) if reason == "in the future" else (link.since, False)
                )
            session().flush()
            assert releases.offers(member) == []
            release_id = releases.releases(world.estab("old"))[world.member("new").estab.school_id].id
        refusals = NotFound, authority.NotPermitted, authorise.ChangedMeanwhile
        with pytest.raises(refusals), transaction():
            releases.move(release_id, {world.clients[0].id: frozenset()}, shown="", by=member)

    def test_the_owner_is_shown_what_was_released(self, transaction, world):
        with transaction():
            world.release()
            service = world.offer().services[0]
            assert (service.client.client_name, service.ticked, service.obstacle) == ("Assembly", {"attendance"}, None)
            assert service.optional == {"attendance", "students.sen"}
            assert service.until == clocks.now() + 365 * DAY


class TestMoving:
    def test_ticked_services_continue_here_and_end_at_the_closed_school(self, transaction, world, outbox, clock):
        with transaction():
            world.release()
        clock.move(DAY)
        with transaction():
            [agreement] = world.move("Assembly")
            assert (agreement.estab_id, agreement.given_by) == (world.estab("new"), world.new.id)
            assert (agreement.agreement, agreement.until) == ("2026-01", clocks.now() + 365 * DAY)
            assert "attendance" in agreement.scopes
            old = session().scalars(
                select(Authorisation).where(
                    Authorisation.estab_id == world.estab("old"), Authorisation.client_id == agreement.client_id
                )
            ).one()  # fmt: skip
            assert (old.state, old.moved_to, old.line == agreement.line) == ("withdrawn", world.estab("new"), False)
            assert agreement_state.state(old.id) is None, "tokens of the closed school are refused"
            assert [row.client_id for row in authorise.current(world.estab("old"))] == [world.clients[1].id]
            assert authorise.history(world.estab("old"))[0].what == "moved"
            assert session().scalars(select(Entry).where(Entry.event == "sharing.moved")).one().estab == old.estab_id
            assert releases.offers(world.member("new")) == [], "it is decided once"
        assert outbox.last("sharing_receipt").to == world.new.email
        moved = outbox.last("sharing_moved")
        assert moved.to == world.old.email
        assert "- Assembly" in moved.text
        assert "Timetabler" not in moved.text
        assert "New Owner" not in moved.text

    def test_an_outdated_page_decides_nothing(self, transaction, world):
        with transaction():
            world.release()
            shown = world.offer().shown
            client = session().get_one(Client, world.clients[0].id)
            client.agreement_version = "2027"
            registry.bump_version(client)
        with pytest.raises(authorise.ChangedMeanwhile), transaction():
            world.move("Assembly", shown=shown)

    def test_a_form_without_a_choice_decides_nothing(self, transaction, world):
        with transaction():
            world.release()
        with pytest.raises(BadRequest), transaction():
            world.move()
        with transaction():
            assert world.offer()

    def test_specially_protected_data_needs_a_second_step_and_nothing_is_written_without(self, transaction, world):
        with transaction():
            world.release()
        with pytest.raises(protected_data.SecondStepNeeded), transaction():
            world.move("Assembly", ticked=frozenset({"students.sen"}))
        with transaction():
            assert world.move("Assembly", ticked=frozenset({"students.sen"}), second_step=True)

    def test_a_service_that_does_not_work_with_the_system_cannot_continue(self, transaction, world):
        with transaction():
            world.release()
            client = session().get_one(Client, world.clients[0].id)
            client.accepted_mis = frozenset({"arbor"})
            registry.bump_version(client)
            assert "works with Arbor" in world.offer().services[0].obstacle
        with pytest.raises(BadRequest), transaction():
            world.move("Assembly")

    def test_sharing_that_the_successor_has_already_is_not_changed(self, transaction, world):
        with transaction():
            world.release()
            own = authorise.give(
                world.clients[0], world.clients[0].required_scopes, by=world.member("new"), agreement_version="2026-01",
                until=clocks.now() + DAY,
            )  # fmt: skip
            assert world.offer().services[0].obstacle == releases.ALREADY_SHARED
            world.move("Timetabler")
            assert session().get_one(Authorisation, own.id).state == "active"

    def test_of_two_owners_at_once_one_decides(self, transaction, world, run_concurrently):
        with transaction():
            world.release()
        outcomes = run_concurrently(4, lambda: world.move("Assembly"))
        assert len([outcome for outcome in outcomes if isinstance(outcome, list)]) == 1, outcomes
        with transaction():
            assert len(authorise.current(world.estab("new"))) == 1

    def test_stopping_at_that_moment_at_the_closed_school_is_not_undone(self, transaction, world, run_overlapping):
        with transaction():
            world.release()
        client_id = world.clients[0].id
        outcome = run_overlapping(
            lambda: authorise.withdraw(world.estab("old"), client_id, by=world.member("old")),
            lambda: world.move("Assembly"),
        )
        assert isinstance(outcome, Exception)
        with transaction():
            assert authorise.current(world.estab("new")) == []
            assert session().get_one(School, world.member("old").estab.school_id)
