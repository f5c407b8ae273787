"""An owner requires a second step of everyone who acts for the school, and lifts it again."""

from datetime import timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import select

from idp.audit import events
from idp.audit.models import Entry
from idp.estabs import authority, people
from idp.estabs.models import Administrator, Estab
from idp.signin import second_step_rule
from tests.factories import an_administrator
from tests.signin.apps import an_app
from tests.signin.authenticator import a_passkey

RULE_PATH = "/manage/security/everyone"


class Colleague(NamedTuple):
    """An administrator of the same school."""

    username: str
    email: str


@pytest.fixture
def colleague(clock, transaction, account):
    """An administrator of the same school, without a second step."""
    with transaction() as session:
        person = an_administrator(
            session.get_one(Estab, account.estab_id), role="admin", username="sam", name="Sam Low"
        )
        return Colleague(person.username, person.email)


@pytest.fixture
def owner(jo, colleague, account, transaction, clock):
    """Signed in with an authenticator app."""
    with transaction():
        app = an_app(account.id)
    clock.move(timedelta(minutes=1))
    jo.sign_in(account.username)
    jo.submit("/sign-in/second-step", code=app.code())
    return jo


def required_since(transaction, account):
    with transaction() as session:
        return session.get_one(Estab, account.estab_id).second_step_required_at


def test_an_owner_requires_and_lifts_the_second_step_and_everyone_gets_a_mail(
    owner, account, colleague, outbox, transaction
):
    owner.open("/manage/security")
    owner.open(owner.page.find(id="everyone")["href"])
    assert "Sam Low" in owner.page_text
    assert owner.post(RULE_PATH, require="yes").location == "/manage/security"
    assert required_since(transaction, account) is not None
    assert {message.to for message in outbox.all("second_step_required")} == {account.email, colleague.email}
    with transaction():
        name = people.get(account.id).name
    for message in outbox.all("second_step_required"):
        assert f"{name} decided on" in message.text
        assert ("You already use one" in message.text) == (message.to == account.email)
    owner.open("/manage/security")
    assert "everyone who acts for your school signs in with a second step" in owner.page_text

    owner.submit(RULE_PATH, lift="yes")
    assert required_since(transaction, account) is None
    assert {message.to for message in outbox.all("second_step_optional")} == {account.email, colleague.email}
    with transaction() as session:
        names = [events.SECOND_STEP_REQUIRED, events.SECOND_STEP_OPTIONAL]
        rows = session.scalars(select(Entry).where(Entry.event.in_(names)).order_by(Entry.id)).all()
        assert [(row.event, row.actor, row.estab) for row in rows] == [
            (name, account.id, account.estab_id) for name in names
        ]


def test_the_mail_of_an_unverified_school_names_the_owner_by_username(account, outbox, transaction):
    with transaction() as session:
        member = people.membership(account.id, account.estab_id)
        session.get_one(Estab, account.estab_id).state = "unverified"
        assert second_step_rule.require(member)
    assert f"the person with the username {account.username} decided on" in outbox.last("second_step_required").text


def test_only_those_without_a_second_step_are_listed(owner, account, colleague, transaction):
    with transaction():
        assert [person.username for person in second_step_rule.people_without_factor(account.estab_id)] == [
            colleague.username
        ]


def test_an_owner_without_a_second_step_sets_up_their_own_first(jo, colleague, account, transaction):
    jo.sign_in(account.username)
    jo.open(RULE_PATH)
    assert jo.response.location == f"/manage/security/second-step?next={RULE_PATH}&reason=everyone"
    jo.open(jo.response.location)
    assert "Before you require a second step from everyone" in jo.page_text
    assert jo.post_directly(RULE_PATH, require="yes").location == jo.open(RULE_PATH).location
    assert required_since(transaction, account) is None


def test_only_an_owner_can_require_a_second_step(jo, colleague, account, transaction, clock):
    with transaction():
        app = an_app(people.by_name(colleague.username).id)
    clock.move(timedelta(minutes=1))
    jo.sign_in(colleague.username)
    jo.submit("/sign-in/second-step", code=app.code())
    assert jo.open("/manage/security").status_code == 200
    assert jo.page.find(id="everyone") is None
    assert jo.open(RULE_PATH).status_code == 403
    jo.open("/manage/security/password")
    assert jo.post(RULE_PATH, require="yes").status_code == 403
    assert required_since(transaction, account) is None


def test_deciding_requires_a_recent_sign_in(owner, account, clock, transaction):
    owner.open(RULE_PATH)
    clock.move(timedelta(minutes=6))
    assert owner.post(RULE_PATH, require="yes").location.startswith("/sign-in?next=")
    assert required_since(transaction, account) is None


def test_of_two_decisions_at_once_one_is_recorded_and_mailed(
    owner,
    account,
    colleague,
    outbox,
    run_concurrently,
    transaction,
):
    def decide():
        return second_step_rule.require(people.membership(account.id, account.estab_id))

    assert sorted(run_concurrently(4, decide)) == [False, False, False, True]
    assert len(outbox.all("second_step_required")) == 2


def test_a_person_who_was_removed_meanwhile_decides_nothing(owner, account, transaction, clock):
    with transaction():
        member = people.membership(account.id, account.estab_id)
        member.removed_at = clock.now()
        with pytest.raises(authority.NotPermitted):
            second_step_rule.require(member)


def test_the_last_second_step_is_kept_while_it_is_required(owner, account, settings, transaction, outbox):
    owner.submit(RULE_PATH, require="yes")
    owner.open("/manage/security/app/remove")
    assert "Set up another one first" in owner.page_text
    assert owner.page.find(id="remove") is None
    owner.open("/manage/security/password")
    assert owner.post("/manage/security/app/remove").status_code == 409
    assert outbox.all("factor_removed") == []

    with transaction() as session:
        a_passkey(account.id, settings.server.issuer)
        assert session.get_one(Administrator, account.id)
    assert owner.submit("/manage/security/app/remove").status_code == 303
    [link] = [a["href"] for a in owner_links(owner) if "/passkeys/" in a["href"] and a["href"].endswith("/remove")]
    assert "Set up another one first" in " ".join(owner.open(link).text.split())
    owner.open("/manage/security/password")
    assert owner.post(link).status_code == 409


def owner_links(owner):
    owner.open("/manage/security")
    return owner.page.find_all("a")
