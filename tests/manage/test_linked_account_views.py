"""The Security page: an account of another provider is linked and unlinked by its own person, and by no one else."""

# ruff: noqa: F811  fixtures of another folder
from datetime import timedelta

import pytest

from idp.audit import events
from idp.estabs.models import Administrator
from idp.federation import linking, retention
from idp.federation.errors import AccountTaken
from idp.federation.id_token import Identity
from idp.federation.models import LinkedAccount
from idp.federation.providers import find
from idp.foundation import clock as clocks
from idp.foundation.database import session as current_session
from idp.jobs import cleaning
from idp.signin.models import BrowserSession
from tests.audit_entries import recorded
from tests.factories import an_administrator
from tests.federation.conftest import account, enabled_providers, google, jo, link, microsoft, stranger  # noqa: F401
from tests.federation.fake_provider import TENANT
from tests.signin.apps import an_app

pytestmark = pytest.mark.usefixtures("clock")  # must come before any account is made
HOME = "/manage/security"
LINK, UNLINK = f"{HOME}/accounts/microsoft/link", f"{HOME}/accounts/microsoft/unlink"


@pytest.fixture
def provider(enabled_providers):
    return enabled_providers["microsoft"]


@pytest.fixture
def signed_in(jo, account, provider):
    jo.sign_in(account.username)
    return jo


def start_linking(person):
    person.open(HOME)
    return person.post(LINK)


def complete_linking(person, provider):
    return person.return_with("microsoft", provider.authorize(start_linking(person).location))


def accounts(transaction):
    with transaction() as session:
        return [(row.person_id, row.provider, row.subject, row.tenant) for row in session.query(LinkedAccount)]


def test_linked_accounts_are_not_mentioned_when_federation_is_off(jo, account):
    jo.sign_in(account.username)
    assert "Microsoft 365" not in jo.open(HOME).text
    assert "form-action 'self';" in jo.response.headers["Content-Security-Policy"]
    jo.open("/sign-out")
    assert jo.post(LINK).status_code == 404
    assert jo.open(UNLINK).status_code == 404


def test_a_person_links_sees_and_unlinks_their_account(signed_in, provider, account, transaction, outbox):
    location = start_linking(signed_in).location
    assert "prompt=select_account" in location
    response = signed_in.return_with("microsoft", provider.authorize(location))

    assert response.location == HOME
    signed_in.open(HOME)
    assert "Your Microsoft 365 account is now linked." in signed_in.response.text
    assert "Linked jo@oakhill.example , since 2 March 2026" in signed_in.page_text
    assert accounts(transaction) == [(account.id, "microsoft", "sub-of-jo", TENANT)]
    message = outbox.last("account_linked")
    assert message.to == account.email
    assert "Microsoft 365 account (jo@oakhill.example)" in message.text

    signed_in.open(UNLINK)
    assert "jo@oakhill.example" in signed_in.page_text
    assert signed_in.post(UNLINK).location == HOME
    assert accounts(transaction) == []
    assert outbox.last("account_unlinked").to == account.email
    assert signed_in.open(UNLINK).location == HOME
    with transaction() as session:
        estab_id = session.get_one(Administrator, account.id).memberships[0].estab_id
        shown = {"shown_as": "jo@oakhill.example"}
        facts = {"provider": "microsoft"}
        assert recorded(events.ACCOUNT_LINKED) == [(account.id, estab_id, None, account.id, facts, shown)]
        assert recorded(events.ACCOUNT_UNLINKED) == [(account.id, estab_id, None, account.id, facts, None)]


def test_an_account_is_shown_by_its_first_printable_name(signed_in, provider, account, transaction):
    provider.overrides["preferred_username"] = "jo.bell"
    for email in ("", 7, "jo\n@oakhill.example"):
        provider.overrides["email"] = email
        assert complete_linking(signed_in, provider).location == HOME
        with transaction() as session:
            assert session.query(LinkedAccount).one().shown_as == "jo.bell"
            assert linking.unlink(session.get_one(Administrator, account.id), "microsoft")


def test_each_person_has_an_account_of_each_provider(enabled_providers, account, link, transaction, outbox):
    with transaction():
        other = an_administrator().id
    for person_id, name, subject in (
        (account.id, "microsoft", "a"), (account.id, "google", "b"), (other, "microsoft", "c"),
    ):  # fmt: skip
        link(person_id, name, subject=subject)
    with transaction() as session:
        assert [linking.account_of(account.id, name).subject for name in ("microsoft", "google")] == ["a", "b"]
        assert linking.account_of(other, "microsoft").subject == "c"
        assert [line.account and line.account.subject for line in linking.provider_accounts(other)] == ["c", None]
        person = session.get_one(Administrator, account.id)
        assert linking.unlink(person, "microsoft")
        assert not linking.unlink(person, "microsoft")
    assert sorted(row[2] for row in accounts(transaction)) == ["b", "c"]
    with transaction() as session:
        assert linking.unlink(session.get_one(Administrator, account.id), "google")
    assert sorted("Google Workspace" in message.text for message in outbox.all("account_unlinked")) == [False, True]


def test_an_unlinked_account_no_longer_signs_in(signed_in, stranger, provider, account, link):
    link(account.id)
    signed_in.submit(UNLINK)

    assert stranger.sign_in_with("microsoft", provider).status_code == 403


def test_linking_the_same_account_twice_succeeds(signed_in, provider, account, transaction):
    first = provider.authorize(start_linking(signed_in).location)
    second = provider.authorize(start_linking(signed_in).location)
    assert signed_in.return_with("microsoft", first).location == HOME
    assert signed_in.return_with("microsoft", second).location == HOME
    assert len(accounts(transaction)) == 1


def test_a_second_account_of_one_provider_is_refused(signed_in, provider, account, transaction):
    first = provider.authorize(start_linking(signed_in).location)
    second = provider.authorize(start_linking(signed_in).location)
    signed_in.return_with("microsoft", first)
    provider.overrides["sub"] = "another"
    assert signed_in.return_with("microsoft", second).status_code == 409
    assert "Unlink the account" in signed_in.page_text
    assert accounts(transaction) == [(account.id, "microsoft", "sub-of-jo", TENANT)]


def test_an_account_is_linked_to_one_person(signed_in, provider, account, link, transaction):
    with transaction():
        other = an_administrator().id
    link(other)
    response = complete_linking(signed_in, provider)

    assert response.status_code == 409
    assert "linked to someone else" in signed_in.page.find("h1").text
    assert [row[0] for row in accounts(transaction)] == [other]


def test_of_two_people_at_once_one_gets_the_account(enabled_providers, transaction, run_concurrently):
    with transaction():
        ids = [an_administrator().id for _ in range(4)]
    waiting = iter(ids)

    def job():
        identity = Identity(find("microsoft"), "https://issuer.example", "one", TENANT, "")
        return linking.link(current_session().get_one(Administrator, next(waiting)), identity)

    outcomes = run_concurrently(4, job)

    assert sorted(map(str, map(type, outcomes))) == sorted([str(bool), *[str(AccountTaken)] * 3])
    assert len(accounts(transaction)) == 1


def test_the_account_of_a_removed_person_is_free_again(signed_in, provider, account, link, transaction, clock):
    with transaction():
        other = an_administrator().id
    link(other)
    with transaction() as session:
        session.get_one(Administrator, other).removed_at = clocks.now()
    assert complete_linking(signed_in, provider).location == HOME
    assert [row[0] for row in accounts(transaction)] == [account.id]

    with transaction() as session:
        session.get_one(Administrator, account.id).removed_at = clocks.now()
    clock.move(timedelta(days=2))
    cleaning.clean(transaction, retention.RETENTION)
    assert accounts(transaction) == []


def test_linking_and_unlinking_need_a_recent_sign_in(signed_in, provider, account, link, clock, transaction):
    link(account.id)
    clock.move(timedelta(minutes=6))
    assert start_linking(signed_in).location.startswith("/sign-in?next=/manage/security")
    assert signed_in.open(UNLINK).location.startswith("/sign-in?next=")
    assert len(accounts(transaction)) == 1


def test_a_sign_in_by_the_linked_account_is_not_enough_to_change_links(stranger, provider, account, link):
    link(account.id)
    stranger.sign_in_with("microsoft", provider)

    response = start_linking(stranger)

    assert response.location.startswith("/sign-in?next=/manage/security")
    assert "please sign in with your password before you change this" in stranger.open(response.location).text


def test_a_person_with_a_second_factor_still_uses_it(stranger, provider, account, link, transaction, clock):
    link(account.id)
    with transaction():
        app = an_app(account.id)
    clock.move(timedelta(seconds=30))
    response = stranger.sign_in_with("microsoft", provider, back="/mobile/confirm")
    assert response.location == "/sign-in/second-step?next=/mobile/confirm"
    with transaction() as session:
        assert session.query(BrowserSession).count() == 0

    stranger.open(response.location)
    assert stranger.post(response.location, code=app.code()).location == "/mobile/confirm"
    with transaction() as session:
        [row] = session.query(BrowserSession).all()
        assert (row.amr, row.acr) == (frozenset({"otp", "mfa"}), "urn:idaas:acr:multi")


def test_a_link_that_was_begun_ends_with_its_session(signed_in, provider, account, transaction):
    response = provider.authorize(start_linking(signed_in).location)
    signed_in.sign_in(account.username, back="/x")
    assert signed_in.return_with("microsoft", response).status_code == 410
    assert accounts(transaction) == []


def test_a_link_that_one_person_began_is_not_given_to_the_next_at_the_browser(signed_in, provider, transaction):
    response = provider.authorize(start_linking(signed_in).location)
    with transaction():
        other = an_administrator().username
    signed_in.sign_in(other, back="/x")
    assert signed_in.return_with("microsoft", response).status_code == 410
    assert accounts(transaction) == []


def test_a_person_who_cancels_returns_to_the_page(signed_in, provider):
    state = provider.authorize(start_linking(signed_in).location)["state"]
    assert signed_in.return_with("microsoft", {"error": "access_denied", "state": state}).location == HOME
    assert "Nothing was changed." in signed_in.open(HOME).text


def test_other_sites_cannot_link_or_unlink(signed_in, stranger, provider, account, link, transaction):
    link(account.id)
    stranger.open("/sign-in")
    for token in ("", "rubbish", stranger.token):
        for path in (LINK, UNLINK):
            assert signed_in.web.post(path, data={"csrf_token": token}).status_code == 400
    assert len(accounts(transaction)) == 1
