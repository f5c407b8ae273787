"""The pages on which our staff find a school's account and help its people, as `idp estabs` and `idp people` do."""

from datetime import timedelta

import pytest

from idp.audit import events
from idp.estabs import members, people
from idp.estabs.models import Administrator, Estab, Membership
from idp.estabs.permissions import OWNER, VIEWER
from idp.sharing import authorise
from idp.signin import removal
from idp.signin.models import BrowserSession
from tests.audit_entries import recorded
from tests.factories import a_client, a_school, an_administrator, an_estab
from tests.signin.apps import an_app
from tests.signin.person import Person

ACCOUNTS = "/operate/accounts"
NOTE = "Called 020 7946 0001, spoke with Ms Wong."
SERVER_SCOPES = frozenset({"endpoint"})


@pytest.fixture
def school(transaction, clock):
    """The account of Oak Hill School: its owner Al and its viewer Bo."""
    with transaction():
        estab = an_estab(
            a_school(
                dfe_number="3124567", name="Oak Hill School", telephone_e164="+442079460001", head_teacher="Ms F Wong"
            )
        )
        an_administrator(estab, name="Al Ash", email="al@oakhill.example")
        an_administrator(estab, name="Bo Birch", email="bo@oakhill.example", username="bo", role=VIEWER)
        return estab


def person_id(transaction, name):
    with transaction() as session:
        return session.query(Administrator.id).filter_by(name=name).scalar()


@pytest.fixture
def page_of(transaction, school):
    """`page_of("Bo Birch")` is the path of the page about this person."""
    return lambda name: f"{ACCOUNTS}/{school.estab_id}/people/{person_id(transaction, name)}"


def state(transaction):
    with transaction() as session:
        return session.query(Estab).filter_by(estab_id="3124567").one().state


def reasons(transaction, event):
    """What operators gave as the note or the reason for this event."""
    with transaction():
        return [next(iter(entry.details.values())) for entry in recorded(event) if entry.by.startswith("opr_")]


@pytest.mark.parametrize(
    "typed", ["3124567", "312/4567", "oak hill", "al@oakhill.example", "bo", " Oak  Hill "], ids=str.strip
)
def test_one_match_leads_to_the_account(operator, school, typed):
    operator.open("/operate")
    operator.open(operator.page.find("a", string="Find an account")["href"])
    operator.open(operator.open(f"{ACCOUNTS}?q={typed}").location)
    assert operator.page.h1.text == "Oak Hill School"
    for text in ("020 7946 0001", "Ms F Wong", "Al Ash", "bo@oakhill.example", "Verified since", "none connected"):
        assert text in operator.page_text


@pytest.mark.parametrize(
    "typed", ["%E2%80%8B3124567", "3124567%E2%80%AC", "oak%09hill", "oak hill%0D%0A", "al@oakhill.example%EF%BB%BF"]
)
def test_what_is_copied_with_invisible_characters_is_found(operator, school, typed):
    assert operator.open(f"{ACCOUNTS}?q={typed}").location == f"{ACCOUNTS}/3124567"


def test_several_matches_are_listed(operator, school, transaction):
    with transaction():
        an_estab(a_school(name="Oak Hill Infants"))
    operator.open(f"{ACCOUNTS}?q=oak hill")
    assert [cell.text for cell in operator.page.select("tbody th")] == ["Oak Hill Infants", "Oak Hill School"]


@pytest.mark.parametrize("typed", ["elm", "x@unknown.example", "99", "%00", "%"])
def test_where_nothing_matches_the_page_says_so(operator, school, typed):
    assert operator.open(f"{ACCOUNTS}?q={typed}").status_code == 200
    assert "No account matches" in operator.page_text


def test_an_account_is_suspended_and_restored(operator, school, transaction):
    path = f"{ACCOUNTS}/{school.estab_id}"
    assert operator.submit(path, action="suspend", text=NOTE).status_code == 303
    assert state(transaction) == "suspended"
    operator.open(path)
    assert "Suspended since" in operator.page_text
    assert operator.page.find("input", value="suspend") is None
    assert operator.submit(path, action="suspend", text=NOTE).status_code == 422, "the second click"
    assert operator.submit(path, action="restore", text="It was a mistake.").status_code == 303
    assert state(transaction) == "unverified", "no one of our staff had verified it"
    assert reasons(transaction, events.ESTAB_STATE_CHANGED) == [NOTE, "It was a mistake."]


@pytest.mark.parametrize("note", ["", NOTE], ids=["without a note", "with a note"])
@pytest.mark.parametrize("whose", ["the school's people", "Bo Birch"])
def test_sessions_are_ended_and_a_note_is_kept(operator, school, page_of, transaction, new_browser, whose, note):
    Person(new_browser()).sign_in("bo")
    path = page_of(whose) if whose == "Bo Birch" else f"{ACCOUNTS}/{school.estab_id}"
    assert operator.submit(path, action="end-sessions", text=note).status_code == 303
    with transaction() as session:
        assert session.query(BrowserSession).filter_by(why_ended="operator").count() == 1
        assert [entry.details for entry in recorded(events.SESSIONS_ENDED)] == [{"note": note} if note else None]
    operator.open(path)
    assert "1 session has ended." in operator.page_text


@pytest.mark.parametrize(
    ("state", "mis", "shown"),
    [
        ("verified", "sims", "Assembly Sharing"),
        ("unverified", "sims", "Assembly Receives nothing: the school is unverified"),
        ("suspended", "sims", "Assembly Receives nothing: the school is suspended"),
        ("verified", "arbor", "Assembly Receives nothing: it does not accept the school's system"),
    ],
)
def test_the_account_says_which_services_receive_data(operator, school, transaction, state, mis, shown):
    with transaction() as session:
        client = a_client(client_name="Assembly", accepted_mis=frozenset({"sims"}))
        server = a_client(client_name="XporterOnDemand", required_scopes=SERVER_SCOPES, optional_scopes=frozenset())
        estab = session.get_one(Estab, school.id)
        estab.state, estab.mis = "verified", "sims"
        for receiver in (client, server):
            authorise.give(
                receiver, receiver.required_scopes, by=people.list_for_estab(school.id)[0], agreement_version="1",
                until=authorise.default_end(receiver), second_step=True,
            )  # fmt: skip
        estab.state, estab.mis = state, mis
    operator.open(f"{ACCOUNTS}/{school.estab_id}")
    table = operator.page.find("caption", string="Services that receive data").parent
    assert [row.get_text(" ", strip=True).partition(" 2 March")[0] for row in table.select("tbody tr")] == [shown]
    assert f"System (MIS) {'SIMS' if mis == 'sims' else 'Arbor'}" in operator.page_text


def test_people_who_cannot_sign_in_are_marked(operator, school, transaction, new_browser):
    with transaction() as session:
        session.get_one(Administrator, person_id(transaction, "Al Ash")).password_hash = None
    browser = Person(new_browser())
    for _ in range(11):
        browser.sign_in("bo", "wrong")
    operator.open(f"{ACCOUNTS}/{school.estab_id}")
    rows = [row.get_text(" ", strip=True) for row in operator.page.select("tbody tr")]
    assert [row.endswith("No password yet") for row in rows] == [True, False]
    assert [row.endswith("Locked") for row in rows] == [False, True]


def test_a_lost_second_step_is_removed_once_and_the_page_says_from_when(operator, page_of, transaction, outbox):
    with transaction() as session:
        an_app(session.query(Administrator.id).filter_by(name="Bo Birch").scalar())
    assert operator.submit(page_of("Bo Birch"), action="recover-factor", text=NOTE).status_code == 303
    operator.open(page_of("Bo Birch"))
    assert "They can sign in with the password alone from 3 March 2026" in operator.page_text
    assert operator.page.find("input", value="recover-factor") is None
    assert operator.submit(page_of("Bo Birch"), action="recover-factor", text=NOTE).status_code == 422
    assert reasons(transaction, events.FACTOR_RECOVERY_STARTED) == [NOTE]


def test_what_was_typed_is_kept_where_nothing_was_chosen(operator, school):
    response = operator.submit(f"{ACCOUNTS}/{school.estab_id}", text=NOTE)
    assert response.status_code == 422
    assert NOTE in response.text
    assert "Choose what to do" in response.text


@pytest.mark.parametrize("action", ["reset", "role-admin", "remove"])
@pytest.mark.parametrize("text", ["  ", "\u200b"], ids=["spaces", "invisible"])
def test_an_act_needs_a_note(operator, page_of, action, text, outbox):
    response = operator.submit(page_of("Bo Birch"), action=action, text=text)
    assert response.status_code == 422
    assert "Say whom you called" in response.text
    assert outbox.all() == []


def test_a_link_to_choose_a_password_goes_to_the_person_alone(operator, page_of, outbox, transaction):
    response = operator.submit(page_of("Bo Birch"), action="reset", text=NOTE)
    assert response.status_code == 303
    message = outbox.last("reset_link")
    assert message.to == "bo@oakhill.example"
    operator.open(page_of("Bo Birch"))
    assert message.links[0] not in operator.page_text
    assert NOTE in reasons(transaction, events.RESET_LINK_SENT)


def test_a_locked_account_is_unlocked(operator, page_of, new_browser):
    operator.open(page_of("Bo Birch"))
    assert operator.page.find("input", value="unlock") is None
    browser = Person(new_browser())
    for _ in range(11):
        browser.sign_in("bo", "wrong")
    operator.open(page_of("Bo Birch"))
    assert "No one can sign in to this account until" in operator.page_text
    assert operator.submit(page_of("Bo Birch"), action="unlock", text=NOTE).status_code == 303
    assert browser.sign_in("bo").status_code == 303


def test_another_owner_is_made_and_the_one_who_left_is_removed(operator, page_of, transaction, school):
    refused = operator.submit(page_of("Al Ash"), action="remove", text=NOTE)
    assert refused.status_code == 422
    assert "without an owner" in refused.text
    assert operator.submit(page_of("Bo Birch"), action="role-owner", text=NOTE).status_code == 303
    operator.open(page_of("Bo Birch"))
    assert operator.page.find("input", value="role-owner") is None
    assert operator.submit(page_of("Al Ash"), action="remove", text=NOTE).status_code == 303
    with transaction() as session:
        members = session.query(Membership).filter(Membership.removed_at.is_(None)).filter_by(estab_id=school.id)
        assert [member.role for member in members] == [OWNER]
    assert operator.open(page_of("Al Ash")).status_code == 404
    assert reasons(transaction, events.PERSON_REMOVED) == [NOTE]


def test_a_person_who_was_removed_while_the_page_was_open_is_not_acted_on(operator, page_of, transaction, school):
    path = page_of("Bo Birch")
    operator.open(path)
    with transaction():
        removal.remove(people.membership(person_id(transaction, "Bo Birch"), school.id), by="cli")
    response = operator.post(path, action="role-admin", text=NOTE)
    assert response.location == f"{ACCOUNTS}/{school.estab_id}"
    operator.open(response.location)
    assert "This person no longer acts for the school. Nothing was done." in operator.page_text


def test_of_two_operators_who_give_a_role_at_once_the_second_is_told(
    operator, page_of, school, transaction, run_overlapping
):
    path, bo = page_of("Bo Birch"), person_id(transaction, "Bo Birch")
    operator.open(path)
    outcome = run_overlapping(
        lambda: members.change_role(people.membership(bo, school.id), "admin", by="cli", note="Called."),
        lambda: operator.post(path, action="role-admin", text=NOTE),
    )
    assert outcome.status_code == 422
    assert NOTE in outcome.text
    assert "has this role already" in outcome.text or "can no longer be done" in outcome.text


def test_a_person_of_another_school_is_not_found_at_this_one(operator, school, transaction):
    with transaction():
        stranger = an_administrator().id
    assert operator.open(f"{ACCOUNTS}/{school.estab_id}/people/{stranger}").status_code == 404
    assert operator.open(f"{ACCOUNTS}/E999999").status_code == 404


@pytest.mark.parametrize("action", ["unlock", "recover-factor", "role-viewer", "role-head", "nothing", "suspend"])
def test_what_the_page_does_not_offer_is_refused(operator, page_of, action):
    assert operator.submit(page_of("Bo Birch"), action=action, text=NOTE).status_code == 422
    assert "What you chose can no longer be done." in operator.page_text
    assert operator.page.find(id="text").text.strip() == NOTE


def test_a_lock_that_ends_while_the_page_is_open_needs_no_unlocking(operator, page_of, new_browser, clock, transaction):
    browser = Person(new_browser())
    for _ in range(11):
        browser.sign_in("bo", "wrong")
    operator.open(page_of("Bo Birch"))
    assert operator.page.find("input", value="unlock")
    clock.move(timedelta(minutes=16))
    assert operator.post(page_of("Bo Birch"), action="unlock", text=NOTE).status_code == 422
    assert "What you chose can no longer be done." in operator.page_text
    assert "No one can sign in to this account" not in operator.page_text
    assert NOTE in operator.page.find(id="text").text
    assert reasons(transaction, events.ACCOUNT_UNLOCKED) == []
