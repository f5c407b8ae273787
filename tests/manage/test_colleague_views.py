"""An owner helps a colleague who cannot sign in: by a link to choose a password, or by starting the recovery of a lost
factor.
"""

from datetime import timedelta

import pytest

from idp.audit.models import Entry
from idp.estabs import links
from idp.estabs.models import Administrator, Estab, Membership
from idp.signin import colleagues, factor_recovery
from tests.factories import a_membership, an_administrator, an_estab
from tests.signin.apps import an_app

pytestmark = pytest.mark.usefixtures("clock")  # must come before any account is made
NEW_PASSWORD = "wobbly kettle sings at dusk"


@pytest.fixture
def sam(clock, account, transaction):
    """The id of Jo's colleague, an administrator with a confirmed number."""
    with transaction() as session:
        estab = session.get_one(Estab, account.estab_id)
        return an_administrator(
            estab, name="Sam Hill", email="sam@oakhill.example", username="sam", role="admin",
            mobile_confirmed_at=clock.now(),
        ).id  # fmt: skip


@pytest.fixture
def owner(jo, account, sam):
    """Jo, an owner, signed in."""
    jo.sign_in(account.username)
    return jo


@pytest.fixture
def app_of_sam(transaction, sam):
    with transaction():
        return an_app(sam)


def reset_of(person_id):
    return f"/manage/people/{person_id}/reset"


def lost_factor_of(person_id):
    return f"/manage/people/{person_id}/lost-factor"


def waiting_recovery(transaction, person_id):
    with transaction():
        return factor_recovery.waiting(person_id)


class TestReset:
    def test_the_link_goes_to_the_persons_own_address_and_leads_to_a_new_password(
        self,
        owner,
        stranger,
        account,
        sam,
        outbox,
    ):
        assert "sam@oakhill.example" in owner.open(reset_of(sam)).text
        assert outbox.all() == [], "asking sends nothing"
        owner.post(reset_of(sam))
        message = outbox.last("reset_link")

        assert message.to == "sam@oakhill.example"
        assert f"Jo Bloggs, an owner of {account.school}'s account" in " ".join(message.text.split())
        owner.open(owner.response.location)
        assert "on its way to sam@oakhill.example" in owner.page_text
        assert message.secret not in owner.response.text
        assert stranger.submit(message.path, password=NEW_PASSWORD).location == "/sign-in"
        stranger.sign_in("sam", NEW_PASSWORD)
        assert stranger.cookie("session")

    def test_a_second_factor_is_required_after_a_reset_too(self, owner, stranger, sam, app_of_sam, outbox):
        owner.submit(reset_of(sam))
        stranger.submit(outbox.last("reset_link").path, password=NEW_PASSWORD)

        assert stranger.sign_in("sam", NEW_PASSWORD).location.startswith("/sign-in/second-step")
        assert stranger.cookie("session") is None

    def test_the_welcome_link_no_longer_works_after_a_reset(
        self,
        owner,
        stranger,
        sam,
        transaction,
        outbox,
    ):
        with transaction() as session:
            session.get_one(Administrator, sam).password_hash = None
            welcome = links.issue(sam, links.WELCOME, timedelta(days=7))
        owner.submit(reset_of(sam))
        stranger.submit(outbox.last("reset_link").path, password=NEW_PASSWORD)

        assert stranger.open(f"/welcome/{welcome}").status_code == 410


class TestLostFactor:
    def test_a_wait_begins_and_then_the_password_alone_signs_in(
        self,
        owner,
        stranger,
        sam,
        app_of_sam,
        transaction,
        outbox,
        clock,
    ):
        owner.submit(lost_factor_of(sam))
        assert {(message.name, message.to) for message in outbox.all()} == {
            ("recovery_notice", "sam@oakhill.example"), ("lost_factor", "+447700900123"),
        }  # fmt: skip
        assert "Jo Bloggs, an owner of" in outbox.last("recovery_notice").text
        assert "The wait has begun" in owner.open(lost_factor_of(sam)).text
        clock.move(timedelta(hours=23, minutes=59))
        assert stranger.sign_in("sam").location.startswith("/sign-in/second-step")

        clock.move(timedelta(minutes=1))
        stranger.sign_in("sam")
        assert stranger.cookie("session")

    def test_the_person_can_stop_the_recovery_by_its_notice(
        self, owner, stranger, sam, app_of_sam, transaction, outbox
    ):
        owner.submit(lost_factor_of(sam))
        stranger.submit(outbox.last("recovery_notice").path)

        assert waiting_recovery(transaction, sam) is None

    def test_starting_a_recovery_twice_sends_one_notice(self, owner, sam, app_of_sam, transaction, outbox):
        for _ in range(2):
            assert owner.post_directly(lost_factor_of(sam)).status_code == 303

        assert len(outbox.all("recovery_notice")) == 1

    def test_no_recovery_begins_for_a_person_without_a_factor(self, owner, sam, transaction, outbox):
        assert owner.open(lost_factor_of(sam)).status_code == 409
        owner.open(reset_of(sam))
        owner.post(lost_factor_of(sam))

        assert outbox.all() == []

    def test_the_recovery_of_a_person_of_two_schools_needs_an_owner_of_both(
        self, owner, account, sam, app_of_sam, transaction, outbox
    ):
        with transaction() as session:
            elsewhere = an_estab()
            a_membership(session.get_one(Administrator, sam), elsewhere, role="viewer")
            a_membership(session.get_one(Administrator, account.id), elsewhere, role="admin")
            elsewhere_id = elsewhere.id
        owner.submit("/sign-in/school", school=account.username)
        assert owner.open(lost_factor_of(sam)).status_code == 409
        assert post(owner, lost_factor_of(sam)).status_code == 409
        assert outbox.all("recovery_notice") == []

        with transaction() as session:
            session.get_one(Membership, (account.id, elsewhere_id)).role = "owner"
        owner.submit(lost_factor_of(sam))
        assert outbox.last("recovery_notice").to == "sam@oakhill.example"


@pytest.mark.parametrize("page", [reset_of, lost_factor_of])
class TestResetAndLostFactor:
    @pytest.fixture(autouse=True)
    def _with_factor(self, app_of_sam):
        """Give the colleague an app, so that there is a factor to recover."""

    def test_an_owner_cannot_help_themselves(self, owner, account, page, outbox):
        owner.open(page(account.id))
        assert "Your own password and second step are on the Security page." in owner.page_text
        post(owner, page(account.id))
        assert "Your own password and second step are on the Security page." in owner.page_text
        assert outbox.all() == []

    @pytest.mark.parametrize("role", ["admin", "viewer"])
    def test_admins_and_viewers_cannot_help_a_colleague(self, stranger, account, page, role, sam, transaction, outbox):
        with transaction() as session:
            an_administrator(session.get_one(Estab, account.estab_id), username="al", role=role)
        stranger.sign_in("al")

        assert stranger.open(page(sam)).status_code == 403
        assert post(stranger, page(sam)).status_code == 403
        assert outbox.all() == []

    def test_a_person_of_another_school_is_not_found_and_one_who_left_redirects_to_the_list(
        self, owner, page, sam, transaction, clock, outbox
    ):
        with transaction() as session:
            other = an_administrator().id
            gone = session.get_one(Administrator, sam)
            gone.removed_at = gone.memberships[0].removed_at = clock.now()
        for person_id in (other, "adm_unknown"):
            assert owner.open(page(person_id)).status_code == 404
            assert post(owner, page(person_id)).status_code == 404
        assert owner.open(page(sam)).location == post(owner, page(sam)).location == "/manage/people"
        assert outbox.all() == []

    def test_an_owner_of_an_unverified_school_cannot_help_a_colleague(
        self, owner, account, page, sam, transaction, outbox
    ):
        with transaction() as session:
            session.get_one(Estab, account.estab_id).state = "unverified"

        assert owner.open(page(sam)).status_code == 409
        assert post(owner, page(sam)).status_code == 409
        assert outbox.all() == []

    def test_a_sign_in_of_five_minutes_ago_is_not_enough(self, owner, account, page, sam, clock, outbox):
        clock.move(timedelta(minutes=5, seconds=1))
        assert owner.open(page(sam)).location == f"/sign-in?next={page(sam)}&login_hint={account.username}"
        assert post(owner, page(sam)).location == f"/sign-in?next={page(sam)}&login_hint={account.username}"

        assert outbox.all() == []

    def test_an_owner_with_a_second_factor_uses_it_first(self, owner, account, page, sam, transaction):
        with transaction():
            an_app(account.id)

        assert owner.open(page(sam)).location.startswith("/sign-in?next=")

    def test_the_other_owners_of_all_their_schools_get_one_mail(self, owner, account, page, sam, transaction, outbox):
        with transaction() as session:
            person, estab = session.get_one(Administrator, sam), session.get_one(Estab, account.estab_id)
            head = an_administrator(estab, email="head@oakhill.example", username="head")
            an_administrator(estab, email="look@oakhill.example", username="look", role="viewer")
            if page is reset_of:
                elsewhere = an_estab()
                a_membership(head, elsewhere)
                a_membership(person, elsewhere, role="admin")
                an_administrator(elsewhere, email="far@oakhill.example")
        owner.submit(page(sam))

        recipients = ["far@oakhill.example", "head@oakhill.example"] if page is reset_of else ["head@oakhill.example"]
        assert sorted(message.to for message in outbox.all("colleague_helped")) == recipients
        assert "Sam Hill" in outbox.last("colleague_helped").text

    def test_the_help_is_recorded_with_the_owner_who_gave_it(self, owner, account, page, sam, transaction):
        owner.submit(page(sam))

        event = "password_reset.link_sent" if page is reset_of else "factor_recovery.started"
        with transaction() as session:
            (entry,) = session.query(Entry).filter_by(event=event)
            assert (entry.actor, entry.subject, entry.estab) == (account.id, sam, account.estab_id)

    def test_a_request_of_another_site_helps_no_one(self, owner, page, sam, outbox):
        assert owner.web.post(page(sam), data={"csrf_token": "x"}).status_code == 400
        assert outbox.all() == []


def post(person, to):
    """Post to a path whose page the person may not open, with the CSRF token of another page."""
    person.open("/manage/account/name")
    return person.post(to)


class TestLimits:
    def test_a_person_is_helped_three_times_a_day_by_all_owners_together(
        self, owner, sam, transaction, account, stranger, outbox, clock
    ):
        with transaction() as session:
            an_administrator(session.get_one(Estab, account.estab_id), username="al")
        stranger.sign_in("al")
        for person in (owner, owner, stranger):
            person.submit(reset_of(sam))
        for person in (owner, stranger):
            assert person.submit(reset_of(sam)).status_code == 429
        assert len(outbox.all("reset_link")) == 3

        clock.move(colleagues.WINDOW)
        owner.sign_in(account.username)
        owner.submit(reset_of(sam))
        assert len(outbox.all("reset_link")) == 4

    def test_an_owner_helps_ten_times_a_day(self, owner, account, transaction, outbox):
        with transaction() as session:
            estab = session.get_one(Estab, account.estab_id)
            ids = [an_administrator(estab, username=f"p{number}").id for number in range(11)]
        statuses = [owner.submit(reset_of(person_id)).status_code for person_id in ids]

        assert statuses == [303] * 10 + [429]
        assert len(outbox.all("reset_link")) == 10
