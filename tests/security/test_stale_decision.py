"""security.md S46: a decision read from an object that was loaded earlier, or a write that the ORM leaves out.

First each function is given an object that is out of date, as when another transaction committed in between: it has to
decide by the row. Then pairs of functions run at the same time; on PostgreSQL their transactions overlap.
"""

from datetime import timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import select, update

from idp.audit.models import Entry
from idp.estabs import accounts, authority, links
from idp.estabs.models import Administrator, Estab, Membership, PersonalSecret
from idp.foundation.database import connection, session
from idp.foundation.errors import TooManyRequests
from idp.onboarding import first_credentials, join, review, signup, verify
from idp.onboarding.models import EmailVerification, JoinRequest, Registration, Review
from idp.partners import initial_tokens
from idp.partners.models import Client, InitialAccessToken, Partner
from idp.sharing import authorise, mis
from idp.signin import devices, mobile
from idp.signin.models import KnownDevice
from tests.conftest import MONDAY
from tests.factories import a_client, a_partner, a_school, an_administrator, an_estab
from tests.onboarding.registrations import (
    OTHER_BROWSER,
    OWN_BROWSER,
    a_registration,
    complete,
    details,
    generated_password,
    verify_address,
)

VICTIM = "head@victim.example"


def change_in_database(row, **values):
    """Change `row` as another transaction would, so that the object in memory is out of date."""
    session().flush()
    table = type(row).__table__
    key = next(iter(table.primary_key.columns))
    connection().execute(update(table).where(key == getattr(row, key.name)).values(**values))


def call_next_of(verbs):
    """A function that calls the next of these each time."""

    def act():
        return verbs.pop()()

    return act


def count_entries(event):
    """How many entries the audit log has for the event."""
    return len(session().scalars(select(Entry).where(Entry.event == event)).all())


# An address is verified


def test_changing_an_address_that_was_verified_meanwhile_needs_verification_again(transaction, clock):
    with transaction() as database:
        registration_id = a_registration().id
        clock.move(timedelta(minutes=1))
        registration = database.get_one(Registration, registration_id)
        change_in_database(
            registration, verified_email=registration.email, email_verified_at=clock.now(), proved_in=OWN_BROWSER,
            continues_in=OWN_BROWSER,
        )  # fmt: skip
        signup.change_address(registration, VICTIM)

    with transaction():
        registration = signup.find_in_browser(registration_id, OWN_BROWSER)
        assert (registration.is_verified, registration.verified_email, registration.continues_in) == (False, None, None)
        with pytest.raises(signup.NotVerifiedYet):
            signup.complete(registration, details(email=VICTIM), generated_password(), browser=OWN_BROWSER)


def test_the_link_to_an_address_that_was_changed_meanwhile_verifies_nothing(transaction, outbox):
    with transaction() as database:
        registration_id = a_registration().id
    secret = outbox.last("verify_email").secret
    with transaction() as database:
        change_in_database(database.get_one(Registration, registration_id), email=VICTIM)
        with pytest.raises(links.LinkSuperseded):
            verify.accept_link(secret, OWN_BROWSER)


@pytest.mark.parametrize("changed", [{"email": VICTIM}, {"verified_email": "x@y.example"}, {"verified_email": None}])
def test_only_the_address_that_was_verified_gets_an_account(transaction, changed):
    with transaction():
        registration = a_registration()
        verify_address(registration)
        typed = details(email=changed.get("email", registration.email))
        change_in_database(registration, **changed)
        with pytest.raises(signup.NotVerifiedYet):
            signup.complete(registration, typed, generated_password(), browser=OWN_BROWSER)


def test_only_the_browser_in_which_the_registration_continues_gets_an_account(transaction):
    with transaction():
        registration = a_registration()
        verify_address(registration)
        change_in_database(registration, continues_in=OTHER_BROWSER)
        with pytest.raises(signup.ContinuesElsewhere):
            signup.complete(registration, details(), generated_password(), browser=OWN_BROWSER)


def test_without_a_browser_nothing_is_completed(transaction):
    with transaction():
        registration = a_registration()
        verify_address(registration)
        change_in_database(registration, continues_in=None)
        with pytest.raises(signup.ContinuesElsewhere):
            signup.complete(registration, details(), generated_password(), browser=None)


@pytest.mark.parametrize("verb", ["correct", "change_address", "stop", "resend"])
def test_a_registration_that_was_completed_meanwhile_is_not_changed(transaction, clock, outbox, verb):
    with transaction() as database:
        registration_id = a_registration().id
    clock.move(timedelta(minutes=1))
    secret = outbox.last("verify_email").secret
    with transaction() as database:
        registration = database.get_one(Registration, registration_id)
        change_in_database(registration, used_at=clock.now())
        if verb == "resend":
            verify.resend(registration)
        elif verb == "stop":
            with pytest.raises(links.LinkUsed):
                verify.stop(secret)
        else:
            new_details = details(name="Evil", email=VICTIM) if verb == "correct" else VICTIM
            with pytest.raises(signup.CompletedAlready):
                getattr(signup, verb)(registration, new_details)
    with transaction() as database:
        assert database.get_one(Registration, registration_id).email == "office@oakhill.example"
        assert database.query(EmailVerification).count() == 1


def test_pressing_the_link_and_changing_the_address_at_once_verifies_no_other_address(
    transaction, run_concurrently, outbox, clock
):
    for round_ in range(6):
        clock.move(timedelta(hours=1))
        with transaction():
            registration_id = a_registration(a_school(), email=f"me{round_}@oakhill.example").id
        link, is_verifying = outbox.last("verify_email").secret, [True, False]

        def act(link=link, registration_id=registration_id, is_verifying=is_verifying):
            if is_verifying.pop():
                return verify.accept_link(link, OWN_BROWSER)
            return signup.change_address(signup.find_in_browser(registration_id, OWN_BROWSER), VICTIM)

        outcomes = run_concurrently(2, act)
        errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert all(isinstance(error, links.LinkRefused) for error in errors), errors
        with pytest.raises(signup.NotVerifiedYet), transaction():
            signup.complete(
                signup.find_in_browser(registration_id, OWN_BROWSER),
                details(email=VICTIM),
                generated_password(),
                browser=OWN_BROWSER,
            )


def test_all_changes_of_one_registration_at_once_do_not_deadlock(transaction, run_concurrently, outbox, clock):
    for round_ in range(3):
        clock.move(timedelta(hours=2))
        with transaction():
            registration_id = a_registration(a_school(), email=f"me{round_}@oakhill.example").id
        link = outbox.last("verify_email").secret
        clock.move(timedelta(minutes=1))
        functions = [
            lambda: verify.accept_link(link, OWN_BROWSER),  # noqa: B023  used within the round
            lambda: signup.change_address(signup.find_in_browser(registration_id, OWN_BROWSER), VICTIM),  # noqa: B023
            lambda: verify.resend(signup.find_in_browser(registration_id, OWN_BROWSER)),  # noqa: B023
            lambda: verify.send_another(link),  # noqa: B023
            lambda: verify.stop(link),  # noqa: B023
            lambda: signup.complete(
                signup.find_in_browser(registration_id, OWN_BROWSER),  # noqa: B023
                details(),
                generated_password(),
                browser=OWN_BROWSER,
            ),
        ]
        outcomes = run_concurrently(len(functions), call_next_of(functions))

        unexpected = [
            outcome for outcome in outcomes if isinstance(outcome, Exception) and not hasattr(outcome, "code")
        ]
        assert not unexpected, unexpected


def test_two_clicks_at_once_are_one_registration_and_one_mail(transaction, run_concurrently, outbox, clock):
    with transaction():
        school = a_school().id

    outcomes = run_concurrently(
        4,
        lambda: (
            signup.begin(signup.school_to_register(school, None), details(), browser=OWN_BROWSER, return_to=None).id
        ),
    )

    assert len(set(map(str, outcomes))) == 1, outcomes
    assert len(outbox.all("verify_email")) == 1


def test_of_eight_registrations_at_once_for_one_address_five_send_a_link(transaction, run_concurrently, outbox, clock):
    with transaction():
        schools = [a_school().id for _ in range(8)]

    def begin():
        school = signup.school_to_register(schools.pop(), None)
        return signup.begin(school, details(), browser=OWN_BROWSER, return_to=None)

    outcomes = run_concurrently(8, begin)

    assert sum(isinstance(outcome, TooManyRequests) for outcome in outcomes) == 3, outcomes
    assert len(outbox.all("verify_email")) == 5


# Credentials


@pytest.fixture
def completed_registration(transaction, clock):
    """A registration that made an owner, whose password may be replaced in `OWN_BROWSER`; its id."""
    with transaction():
        registration = a_registration()
        complete(registration)
        clock.move(timedelta(minutes=1))
        return registration.id


def test_a_password_that_was_changed_meanwhile_is_not_replaced(transaction, completed_registration, clock):
    with transaction():
        registration = signup.find_in_browser(completed_registration, OWN_BROWSER)
        change_in_database(signup.owner(registration), password_hash="own", password_changed_at=clock.now())
        for verb in (
            lambda: first_credentials.replace(registration, OWN_BROWSER, generated_password()),
            lambda: first_credentials.set_own(registration, OWN_BROWSER, "h"),
        ):  # fmt: skip
            with pytest.raises(first_credentials.PasswordNotReplaceable):
                verb()


def test_the_own_password_is_never_replaced_by_one_that_was_asked_for_at_once(
    transaction, run_concurrently, completed_registration
):
    verbs = ["set_own", "replace", "replace", "set_own"]

    def act():
        verb, registration = verbs.pop(), signup.find_in_browser(completed_registration, OWN_BROWSER)
        getattr(first_credentials, verb)(
            registration, OWN_BROWSER, generated_password() if verb == "replace" else "own"
        )

    outcomes = run_concurrently(4, act)

    assert sum(outcome is None for outcome in outcomes) >= 1
    assert all(
        isinstance(outcome, first_credentials.PasswordNotReplaceable) for outcome in outcomes if outcome is not None
    ), outcomes
    with transaction():
        assert signup.owner(signup.find_in_browser(completed_registration, OWN_BROWSER)).password_hash == "own"


def test_no_welcome_is_sent_to_a_person_whose_password_was_set_meanwhile(transaction, outbox, clock):
    with transaction():
        person = an_administrator(password_hash=None)
        secret = links.issue_welcome_url(person).rpartition("/")[2]
        change_in_database(person, password_hash="theirs")
        links.resend_welcome(secret)
    assert outbox.all("welcome_link") == []


def test_of_many_requests_for_a_welcome_link_at_once_few_send_one_and_one_works(
    transaction, run_concurrently, outbox, clock
):
    with transaction():
        secret = links.issue_welcome_url(an_administrator(password_hash=None)).rpartition("/")[2]

    assert run_concurrently(6, lambda: links.resend_welcome(secret)) == [None] * 6

    assert len(outbox.all("welcome_link")) == links.MAX_WELCOME_LINKS_PER_HOUR - 1
    with transaction() as database:
        assert database.query(PersonalSecret).filter_by(superseded_at=None).count() == 1


def test_links_made_at_once_supersede_each_other(transaction, run_concurrently, clock):
    run_concurrently(4, lambda: links.issue("adm_jo", "welcome", timedelta(days=1)))

    with transaction() as database:
        assert database.query(PersonalSecret).filter_by(superseded_at=None).count() == 1


def test_a_code_confirms_only_the_number_it_was_sent_to(transaction, outbox, clock):
    with transaction():
        person = an_administrator()
        mobile.send(person)
        session().flush()
        person_id = person.id
    code = outbox.last("mobile_code").code
    with transaction() as database:
        person = database.get_one(Administrator, person_id)
        change_in_database(person, mobile="+447911123456")
        with pytest.raises(mobile.CodeExpired):
            mobile.confirm(person, code)
    with transaction() as database:
        assert database.get_one(Administrator, person_id).mobile_confirmed_at is None


def test_a_code_is_sent_to_the_number_the_person_has_now(transaction, outbox, clock):
    with transaction():
        person = an_administrator()
        change_in_database(person, mobile="+447911123456")
        mobile.send(person)
    assert outbox.last("mobile_code").to == "+447911123456"


def test_a_browser_remembered_twice_at_once_is_stored_once(app, transaction, run_concurrently, clock):
    with transaction():
        person_id = an_administrator().id

    def remember():
        with app.test_request_context(headers={"Cookie": f"{devices._cookie_name()}=the-same-device"}):
            devices.remember(person_id)
            session().commit()

    outcomes = run_concurrently(4, remember)

    assert outcomes == [None] * 4
    with transaction() as database:
        assert database.query(KnownDevice).count() == 1


# Estabs, reviews, joining


@pytest.mark.parametrize(
    ("now", "wanted"), [("rejected", "verified"), ("closed", "verified"), ("verified", "rejected")]
)
def test_an_estab_whose_state_changed_meanwhile_is_not_changed(transaction, now, wanted):
    with transaction():
        estab = an_estab(state="unverified")
        change_in_database(estab, state=now)
        with pytest.raises(accounts.WrongState):
            accounts.change_state(estab, wanted, by="cli")
        session().refresh(estab)
        assert estab.state == now
        assert count_entries("estab.state_changed") == 0


def test_a_review_that_was_decided_meanwhile_is_not_decided_again(transaction, clock):
    with transaction():
        opened = review.open_for(an_estab(state="unverified"))
        estab_id = opened.estab.estab_id
    for decide in (lambda: review.verify(estab_id, by="cli"), lambda: review.ask(estab_id, "Who are you?", by="cli")):
        with transaction() as database:
            row = database.query(Review).one()
            row.decided_at = None
            change_in_database(row, decided_at=clock.now(), decision="rejected")
            with pytest.raises(review.AlreadyDecided):
                decide()


def test_of_verifying_and_rejecting_at_once_one_is_done_and_mailed(transaction, run_concurrently, outbox):
    with transaction():
        estab_id = review.open_for(an_administrator(an_estab(state="unverified")).memberships[0].estab).estab.estab_id
    decisions = [lambda: review.verify(estab_id, by="cli"), lambda: review.reject(estab_id, "No.", by="cli")]

    outcomes = run_concurrently(2, call_next_of(decisions))

    assert sum(isinstance(outcome, Review) for outcome in outcomes) == 1, outcomes
    assert len(outbox.all("school_verified")) + len(outbox.all("school_rejected")) == 1


class JoinRequestAndOwner(NamedTuple):
    """The ids of a request to join a verified school, and of the school's owner."""

    request_id: str
    owner_id: str


@pytest.fixture
def join_request_and_owner(transaction, clock):
    with transaction() as database:
        owner = an_administrator(email="owner@oakhill.example")
        complete(a_registration(owner.memberships[0].estab.school, email="sam@oakhill.example"))
        return JoinRequestAndOwner(database.query(JoinRequest).one().id, owner.id)


@pytest.mark.parametrize(
    ("subject", "changed", "refused"),
    [
        (JoinRequest, {"used_at": MONDAY, "decision": "declined"}, join.DecidedAlready),
        (JoinRequest, {"expires_at": MONDAY}, join.WithStaff),
        (Membership, {"role": "viewer"}, authority.NotPermitted),
        (Membership, {"removed_at": MONDAY}, authority.NotPermitted),
        (Estab, {"state": "suspended"}, join.SchoolNotActive),
    ],
)
def test_a_request_to_join_is_approved_only_if_the_current_rows_permit_it(
    transaction, join_request_and_owner, subject, changed, refused
):
    with transaction() as database:
        owner = database.get_one(Administrator, join_request_and_owner.owner_id).memberships[0]
        request = join.find_for_owner(owner, join_request_and_owner.request_id)
        row = {JoinRequest: request, Membership: owner, Estab: owner.estab}[subject]
        change_in_database(row, **changed)
        with pytest.raises(refused):
            join.approve(request, "admin", by=owner)
    with transaction() as database:
        assert database.query(Administrator).count() == 1


def test_of_approving_and_declining_at_once_one_is_done_and_mailed(
    transaction, run_concurrently, join_request_and_owner, outbox
):
    decisions = [
        lambda request, by: join.approve(request, "admin", by=by),
        lambda request, by: join.decline(request, by=by),
    ]

    def decide():
        owner = session().get_one(Administrator, join_request_and_owner.owner_id).memberships[0]
        return decisions.pop()(join.find_for_owner(owner, join_request_and_owner.request_id), owner)

    outcomes = run_concurrently(2, decide)

    assert sum(isinstance(outcome, join.DecidedAlready) for outcome in outcomes) == 1, outcomes
    assert len(outbox.all("join_approved")) + len(outbox.all("join_declined")) == 1


def test_two_requests_to_join_of_one_person_at_once_send_one_mail(transaction, run_concurrently, outbox, clock):
    with transaction():
        school = an_administrator(email="owner@oakhill.example").memberships[0].estab.school
        registrations = []
        for browser in (OWN_BROWSER, OTHER_BROWSER):
            begun = signup.begin(school, details(email="sam@oakhill.example"), browser=browser, return_to=None)
            verify_address(begun, browser)
            registrations.append((begun.id, browser))

    def press():
        registration_id, browser = registrations.pop()
        registration = signup.find_in_browser(registration_id, browser)
        return signup.complete(
            registration, details(email="sam@oakhill.example"), generated_password(), browser=browser
        )

    assert run_concurrently(2, press) == ["joining", "joining"]
    assert len(outbox.all("join_request")) == 1


# Sharing


def give(client, by):
    scopes = frozenset(client.required_scopes)
    return authorise.give(client, scopes, by=by, agreement_version="1", until=authorise.default_end(client))


@pytest.mark.parametrize(
    ("subject", "changed", "refused"),
    [
        ("person", {"role": "viewer"}, authority.NotPermitted),
        ("person", {"removed_at": MONDAY}, authority.NotPermitted),
        ("estab", {"state": "suspended"}, authority.SchoolCannotAct),
        ("estab", {"state": "closed"}, authority.SchoolCannotAct),
    ],
)
@pytest.mark.parametrize("verb", ["give", "change", "pause", "withdraw"])
def test_a_person_who_lost_the_right_cannot_decide(transaction, verb, subject, changed, refused):
    with transaction():
        client, by = a_client(), an_administrator().memberships[0]
        agreed = give(client, by)
        verbs = {
            "give": lambda: give(client, by),
            "change": lambda: authorise.change(by.estab_id, client.id, agreed.scopes, by=by),
            "pause": lambda: authorise.pause(by.estab_id, client.id, by=by),
            "withdraw": lambda: authorise.withdraw(by.estab_id, client.id, by=by),
        }
        change_in_database(by if subject == "person" else by.estab, **changed)
        with pytest.raises(refused):
            verbs[verb]()


def test_the_system_of_a_school_is_recorded_with_what_it_was_before(transaction):
    with transaction():
        by = an_administrator(an_estab(mis=None)).memberships[0]
        change_in_database(by.estab, mis="arbor")
        mis.set_by_school("sims", by=by)
        session().flush()
        entry = session().scalars(select(Entry).where(Entry.event == "estab.mis_told")).one()
        assert (by.estab.mis, entry.facts["before"]) == ("sims", "arbor")


def test_an_agreement_given_while_the_school_is_suspended_comes_before_or_is_refused(transaction, run_concurrently):
    with transaction():
        client, by = a_client().id, an_administrator().id
    is_giving = [True, False]

    def act():
        member = session().get_one(Administrator, by).memberships[0]
        if is_giving.pop():
            return give(session().get_one(Client, client), member)
        return accounts.change_state(member.estab, "suspended", by="cli")

    outcomes = run_concurrently(2, act)

    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert all(isinstance(error, authority.SchoolCannotAct) for error in errors), errors


# Partners' initial access tokens


def a_token(**limits):
    allowed = {"scopes": {"required": ["openid"]}, "most": 5} | limits
    return initial_tokens.issue(a_partner().name, allowed, lasts=timedelta(days=1), by="cli")


@pytest.mark.parametrize("changed", ["revoked", "expired", "used up", "partner disabled"])
def test_nothing_is_registered_with_a_token_that_ended_meanwhile(transaction, changed):
    with transaction() as database:
        token, secret = a_token()
        policy = initial_tokens.find_usable(secret)
        assert policy is not None
        if changed == "partner disabled":
            change_in_database(database.get_one(Partner, token.partner_id), disabled_at=MONDAY)
        else:
            values = {"revoked": {"revoked_at": MONDAY}, "expired": {"expires_at": MONDAY}, "used up": {"used": 5}}
            change_in_database(token, **values[changed])

        assert not initial_tokens.claim(policy.token_id)


def test_a_token_revoked_twice_at_once_is_revoked_once(transaction, run_concurrently):
    with transaction():
        token_id = a_token()[0].id

    outcomes = run_concurrently(4, lambda: initial_tokens.revoke(token_id, by="cli").revoked_at is not None)

    assert outcomes == [True] * 4
    with transaction():
        assert count_entries("initial_token.revoked") == 1


def test_of_many_registrations_at_once_no_more_than_the_token_allows(transaction, run_concurrently):
    with transaction():
        token_id = a_token(most=2)[0].id

    outcomes = run_concurrently(6, lambda: initial_tokens.claim(token_id))

    assert sorted(outcomes) == [False] * 4 + [True] * 2
    with transaction() as database:
        assert database.get_one(InitialAccessToken, token_id).used == 2
