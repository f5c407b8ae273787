"""The Activity page: what was done in the school's name, by whom and when."""

import csv
import io
from datetime import timedelta

import pytest

from idp.audit import events, log
from idp.estabs import accounts, members, person_invitations
from idp.estabs.models import Administrator, Estab, Membership
from idp.manage import activity
from idp.sharing import authorise, mis
from tests.factories import a_client, an_administrator, an_estab
from tests.signin.person import Person

ACTIVITY = "/manage/activity"
ABOUT_ONE_PERSON = {
    events.ACCOUNT_LINKED, events.ACCOUNT_LOCKED, events.ACCOUNT_UNLINKED, events.ACCOUNT_UNLOCKED, events.ACCOUNT_USED,
    events.CHANGES_UNDONE, events.CREDENTIALS_REPLACED, events.DEVICES_FORGOTTEN, events.EMAIL_CHANGED,
    events.EMAIL_CHANGE_STARTED, events.FACTORS_RECOVERED, events.FACTOR_ADDED, events.FACTOR_RECOVERY_STOPPED,
    events.FACTOR_REMOVED, events.FACTOR_REPLACED, events.MOBILE_CHANGED, events.MOBILE_CONFIRMED, events.NAME_CHANGED,
    events.PASSKEY_COPIED, events.PASSWORD_SET, events.RECOVERY_CODES_MADE, events.RECOVERY_CODE_USED,
    events.RESET_COMPLETED, events.RESET_STARTED, events.SCHOOL_CHOSEN, events.SESSIONS_ENDED, events.SIGNED_IN,
    events.SIGNED_OUT, events.SIGN_IN_FAILED,
}  # fmt: skip
"""What a person does with their own account, or someone tries at it."""
BEFORE_THE_SCHOOL_HAS_AN_ACCOUNT = {
    events.EMAIL_VERIFIED, events.REGISTRATION_ADDRESS_CHANGED, events.REGISTRATION_BEGUN,
    events.REGISTRATION_COMPLETED, events.REGISTRATION_DISOWNED, events.REGISTRATION_HANDED_OVER,
    events.SCHOOL_INVITATION_CANCELLED, events.SCHOOL_INVITATION_DECLINED, events.SCHOOL_INVITATION_FORWARDED,
    events.SCHOOL_INVITATION_OPENED, events.SCHOOL_INVITED, events.SCHOOL_INVITED_AGAIN,
}  # fmt: skip
SAID_BY_ANOTHER_ENTRY = {events.ESTAB_VERIFIED, events.ESTAB_REJECTED}
"""The account's change of state."""
OF_OUR_STAFF_ALONE = {events.PERSONAL_DATA_ERASED, events.REVIEW_NOTED, events.FICTIONAL_SCHOOL_MADE}
OF_PROGRAMS = {events.CODE_REPLAYED, events.REFRESH_REUSED, events.TOKEN_REVOKED, events.CLIENT_REFUSED}
NOT_ABOUT_SCHOOLS = (
    "client.",
    "database.",
    "developer.",
    "initial_token.",
    "key.",
    "operator.",
    "partner.",
    "register.",
)
NOT_ABOUT_SCHOOLS_EITHER = {
    events.REGISTRATION_APPROVED, events.REGISTRATION_DECLINED, events.REGISTRATION_REQUESTED,
    events.REGISTRATION_WITHDRAWN, events.SPRAYING_SEEN,
}  # fmt: skip


@pytest.fixture
def owner(transaction, new_browser, clock):
    """Jo, an owner since a moment ago, signed in."""
    with transaction():
        estab = an_estab()
        jo = an_administrator(estab, name="Jo Bloggs", username="jo", email="jo@oakhill.example")
        log.record(events.PERSON_ADDED, by=jo.id, estab=estab.id, subject=jo.id, role="owner")
        person = Person(new_browser(), id=jo.id, estab_id=estab.id)
    person.sign_in("jo")
    return person


@pytest.fixture
def member(transaction, owner):
    """`member()` is the owner's membership, within a transaction."""
    return lambda session: session.get_one(Membership, (owner.facts["id"], owner.facts["estab_id"]))


def shown(person, page=1):
    """The rows of the page: who, and what."""
    person.open(ACTIVITY if page == 1 else f"{ACTIVITY}?page={page}")
    rows = [[cell.get_text(" ", strip=True) for cell in row.select("th, td")] for row in person.page.select("tbody tr")]
    return [(who, what) for _when, what, who in rows]


def test_every_event_is_shown_or_left_out_on_purpose():
    names = {value for name, value in vars(events).items() if name.isupper()}
    left_out = (
        ABOUT_ONE_PERSON | BEFORE_THE_SCHOOL_HAS_AN_ACCOUNT | SAID_BY_ANOTHER_ENTRY | OF_OUR_STAFF_ALONE | OF_PROGRAMS
        | NOT_ABOUT_SCHOOLS_EITHER
    )  # fmt: skip
    others = {name for name in names if not name.startswith(NOT_ABOUT_SCHOOLS)} - left_out
    assert others == activity.SENTENCES.keys()


def test_decisions_about_people_are_shown_newest_first_with_who_made_them(owner, member, transaction, clock, outbox):
    with transaction() as session:
        by = member(session)
        vi = an_administrator(by.estab, name="Vi Voss", username="vi", email="vi@oakhill.example", role="viewer")
        members.change_role(vi.memberships[0], "admin", by=by)
        person_invitations.invite("Al Alder", "al@oakhill.example", "viewer", by=by)
        clock.move(timedelta(minutes=1))
        members.remove(vi.memberships[0], by=by)
    jo = "Jo Bloggs"
    assert shown(owner)[:3] == [
        (jo, "Removed Vi Voss"),
        (jo, "Invited Al Alder to act for the school, as viewer"),
        (jo, "Changed the role of Vi Voss from viewer to administrator"),
    ]


def test_decisions_about_sharing_name_the_service_and_the_areas(owner, member, transaction, clock):
    with transaction() as session:
        by, client = member(session), a_client(client_name="Timetabler")
        until = authorise.default_end(client)
        scopes = frozenset({"openid", "students", "attendance"})
        authorise.give(client, scopes, by=by, agreement_version=client.agreement_version, until=until, second_step=True)
        for decide in (authorise.pause, authorise.resume, authorise.withdraw):
            clock.move(timedelta(minutes=1))
            decide(by.estab_id, client.id, by=by)
    assert [what for _who, what in shown(owner)[:4]] == [
        "Stopped sharing with Timetabler", "Resumed sharing with Timetabler", "Paused sharing with Timetabler",
        "Authorised Timetabler: Pupils; Attendance",
    ]  # fmt: skip


def test_what_our_staff_did_and_what_was_done_automatically_has_no_name_of_ours(owner, member, transaction, clock):
    with transaction() as session:
        by = member(session)
        accounts.change_state(by.estab, "suspended", by="opr_sam", reason="A note of ours.")
        clock.move(timedelta(minutes=1))
        accounts.change_state(by.estab, "verified", by="cli", reason="")
        clock.move(timedelta(minutes=1))
        log.record(events.INVITATION_CANCELLED, by="system", estab=by.estab_id, subject="inv_gone")
    assert shown(owner)[:3] == [
        ("Done automatically", "Cancelled the invitation of someone"),
        ("Our staff", "Restored the account"),
        ("Our staff", "Suspended the account"),
    ]
    assert "A note of ours" not in owner.page_text


def test_a_rule_and_a_system_are_shown_as_on_their_pages(owner, member, transaction, clock):
    with transaction() as session:
        by = member(session)
        mis.set_by_school("arbor", by=by)
        log.record(events.SECOND_STEP_REQUIRED, by=by.person_id, estab=by.estab_id, subject=by.estab_id)
        log.record(events.ENDPOINT_REMOVED, by="cli", estab=by.estab_id, subject="end_gone")
    assert {what for _who, what in shown(owner)} >= {
        "Said that the school's management information system is Arbor", "Required a second step from everyone",
        "Removed the server someone",
    }  # fmt: skip


def test_one_who_leaves_stopped_acting_and_keeps_their_name(owner, member, transaction, clock):
    with transaction() as session:
        by = member(session)
        vi = an_administrator(by.estab, name="Vi Voss", username="vi", email="vi@oakhill.example", role="viewer")
        members.remove(vi.memberships[0], by=vi.memberships[0])
        session.get_one(Administrator, vi.id).name = "Vi Voss"
    assert ("Vi Voss", "Stopped acting for the school") in shown(owner)


@pytest.mark.parametrize("event", sorted(activity.SENTENCES))
def test_an_entry_without_any_facts_is_shown_all_the_same(owner, transaction, event):
    """Entries are kept for years, and what they were about may have been erased."""
    with transaction():
        log.record(event, by="adm_gone", estab=owner.facts["estab_id"])
    [(who, what), *_] = shown(owner)
    assert who in {"A former colleague", "Someone who was not signed in"}
    assert what[0].isupper()
    assert "{" not in what


def test_neither_sign_ins_nor_what_happened_at_other_schools_are_shown(owner, transaction, clock):
    with transaction():
        other = an_estab()
        accounts.change_state(other, "suspended", by="cli", reason="")
    assert [what for _who, what in shown(owner)] == ["Began to act for the school, as owner"]


def test_a_school_of_which_nothing_is_recorded_says_so(owner, transaction):
    assert shown(owner, page=2) == []
    assert "There is nothing older." in owner.page_text


def test_what_is_older_is_on_further_pages(owner, transaction, clock):
    with transaction():
        for _ in range(activity.PAGE_SIZE):
            log.record(events.SECOND_STEP_REQUIRED, by=owner.facts["id"], estab=owner.facts["estab_id"])
    assert len(shown(owner)) == activity.PAGE_SIZE
    assert owner.page.find(id="newer") is None
    owner.open(owner.page.find(id="older")["href"])
    assert owner.page.find(id="older") is None
    assert shown(owner, page=2) == [("Jo Bloggs", "Began to act for the school, as owner")]
    assert owner.page.find(id="newer")["href"] == f"{ACTIVITY}?page=1"
    assert owner.page.title.text == "Activity, page 2 – IDaaS"
    assert owner.page.h1.text == "Activity"


def test_the_file_has_all_pages_and_no_formula(owner, transaction, clock):
    with transaction() as session:
        session.get_one(Administrator, owner.facts["id"]).name = "=Jo Bloggs"
        for _ in range(activity.PAGE_SIZE):
            log.record(events.SECOND_STEP_REQUIRED, by=owner.facts["id"], estab=owner.facts["estab_id"])
    owner.open(ACTIVITY)
    response = owner.web.get(owner.page.find("a", string="All activity (CSV)")["href"])
    assert response.mimetype == "text/csv"
    assert response.headers["Cache-Control"] == "no-store"
    header, *rows = csv.reader(io.StringIO(response.text.removeprefix("\ufeff")))
    assert tuple(header) == activity.COLUMNS
    assert len(rows) == activity.PAGE_SIZE + 1
    assert rows[-1] == ["2026-03-02T09:30:00+00:00", "Began to act for the school, as owner", "'=Jo Bloggs"]


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_only_owners_see_it_and_are_led_to_it(owner, transaction, new_browser, role):
    with transaction() as session:
        estab = session.get_one(Estab, owner.facts["estab_id"])
        an_administrator(estab, name="Vi", username="vi", email="vi@oakhill.example", role=role)
    vi = Person(new_browser())
    vi.sign_in("vi")
    vi.open("/manage")
    assert vi.page.find("a", href=ACTIVITY) is None
    assert vi.web.get(ACTIVITY).status_code == 403
    owner.open("/manage")
    assert owner.page.find("a", href=ACTIVITY) is not None
