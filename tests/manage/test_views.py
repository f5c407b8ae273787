"""The school's first page, and changing, pausing and stopping sharing."""

import csv
import io
from datetime import timedelta

import pytest
from flask import make_response
from sqlalchemy import select

from idp.audit.models import Entry
from idp.estabs.models import Administrator, Estab
from idp.foundation import clock as clocks, database
from idp.manage import overview, views
from idp.onboarding import review
from idp.partners.models import Client
from idp.sharing import authorise
from idp.signin import operators, session as sessions
from tests.factories import a_client, an_administrator, an_estab
from tests.signin.person import Person


def member_of(session, jo):
    """The membership of Jo at the school."""
    return session.get_one(Administrator, jo.facts["id"]).memberships[0]


@pytest.fixture
def jo(web, transaction, clock):
    """The owner of a verified school, signed in."""
    with transaction():
        owner = an_administrator(name="Jo Bloggs")
        person = Person(
            web,
            id=owner.id,
            estab_id=owner.memberships[0].estab_id,
            public_id=owner.memberships[0].estab.estab_id,
            school=owner.memberships[0].estab.name,
        )
        username = owner.username
    person.sign_in(username)
    return person


@pytest.fixture
def shared_client_id(jo, transaction):
    """The id of a client that Jo has authorised."""
    with transaction() as session:
        client = a_client(client_name="Timetabler")
        authorise.give(
            client, client.required_scopes | {"students.sen"}, by=member_of(session, jo),
            agreement_version="1", until=clocks.now() + timedelta(days=365), offered=client.scopes, second_step=True,
        )  # fmt: skip
        return client.id


def test_signing_in_is_required(web):
    assert web.get("/").location == "/sign-in"
    assert web.get("/manage").location == "/sign-in?next=/manage"


def test_a_person_who_is_signed_in_is_redirected_to_the_schools_pages(jo):
    assert jo.open("/").location == "/manage"


def test_the_page_names_the_school_and_the_person(jo):
    jo.open("/manage")

    assert jo.facts["school"] in jo.page.find("h1").text
    assert jo.facts["public_id"] in jo.page_text
    assert "Verified" in jo.page_text
    assert "Jo Bloggs, owner" in jo.page_text
    assert "Nobody yet" in jo.page_text


def test_a_task_is_listed_until_it_is_done(jo, transaction):
    jo.open("/manage")
    assert jo.page.find("a", string="Confirm")["href"] == "/mobile/confirm?next=/manage"
    assert jo.page.find("a", string="How to install it")
    with transaction() as session:
        session.get_one(Administrator, jo.facts["id"]).mobile_confirmed_at = clocks.now()

    jo.open("/manage")
    assert not jo.page.find("a", string="Confirm")


def test_the_page_of_an_unverified_school_says_when_we_call(jo, transaction):
    with transaction() as session:
        estab = session.get_one(Estab, jo.facts["estab_id"])
        estab.state = "unverified"
        review.open_for(estab)
    jo.open("/manage")

    assert "Not yet verified" in jo.page_text
    assert "by the end of Wednesday 4 March 2026" in jo.page_text


def test_a_service_is_shown_with_what_it_has_since_when_by_whom_and_until_when(jo, shared_client_id):
    jo.open("/manage")

    assert "Timetabler Sharing" in jo.page_text
    assert "Authorised by Jo Bloggs on 2 March 2026, until 2 March 2027" in jo.page_text
    assert "Specially protected" in jo.page_text
    assert "Who is signing in" not in jo.page_text  # not school data
    assert "2 March 2026 Authorised Timetabler Jo Bloggs" in jo.page_text


def test_a_service_of_an_unverified_school_is_shown_to_be_waiting(jo, shared_client_id, transaction):
    with transaction() as session:
        session.get_one(Estab, jo.facts["estab_id"]).state = "unverified"
    jo.open("/manage")

    assert "Timetabler Waiting for our call" in jo.page_text
    assert "It will receive, once we have verified your school" in jo.page_text


def test_sharing_is_stopped_after_a_confirmation(jo, shared_client_id, transaction):
    stop = f"/manage/sharing/{shared_client_id}/stop"
    jo.open(stop)
    assert "keeps what it has already received" in jo.page_text
    with transaction():
        assert len(authorise.current(jo.facts["estab_id"])) == 1

    jo.post(stop)
    assert jo.response.location == "/manage"
    jo.open("/manage")
    assert "Your school has stopped sharing with Timetabler." in jo.page_text
    assert "Nobody yet" in jo.page_text
    assert "Stopped Timetabler Jo Bloggs" in jo.page_text
    with transaction() as session:
        assert session.scalars(select(Entry).where(Entry.event == "sharing.withdrawn")).one().actor == jo.facts["id"]


def test_sharing_is_paused_and_resumed_with_one_button_each(jo, shared_client_id, transaction):
    jo.open("/manage")
    jo.post(f"/manage/sharing/{shared_client_id}/pause")
    jo.open("/manage")
    assert "Sharing with Timetabler has been paused" in jo.page_text
    assert "Timetabler Paused" in jo.page_text
    with transaction():
        assert authorise.current(jo.facts["estab_id"])[0].state == "paused"

    jo.post(f"/manage/sharing/{shared_client_id}/resume")
    jo.open("/manage")
    assert "Your school shares with Timetabler again." in jo.page_text
    assert "Timetabler Sharing" in jo.page_text
    assert "Resumed Timetabler Jo Bloggs" in jo.page_text


def test_pausing_and_resuming_twice_are_recorded_once_each(jo, shared_client_id, transaction):
    jo.open("/manage")
    token = jo.token
    for act in ("pause", "pause", "resume", "resume"):
        assert jo.web.post(f"/manage/sharing/{shared_client_id}/{act}", data={"csrf_token": token}).status_code == 303

    with transaction():
        decisions = [decision.what for decision in authorise.history(jo.facts["estab_id"])]
    assert decisions == ["resumed", "paused", "given"]


def test_what_is_shared_is_changed_by_ticking(jo, shared_client_id, transaction):
    change = f"/manage/sharing/{shared_client_id}/change"
    jo.open("/manage")
    assert jo.page.find("a", href=change)
    jo.open(change)
    ticked = {box["value"]: box.has_attr("checked") for box in jo.page.find_all("input", {"name": "area"})}
    assert ticked == {"students.sen": True, "attendance": False}
    assert "Pupils" in jo.page_text  # required: listed, without a checkbox

    jo.post(change, area="attendance")
    assert jo.response.location == "/manage"
    with transaction() as session:
        agreed = authorise.current(jo.facts["estab_id"])[0].scopes
        required = session.get_one(Client, shared_client_id).required_scopes
    assert agreed == required | {"attendance"}
    jo.open("/manage")
    assert "What your school shares with Timetabler has been changed." in jo.page_text
    assert "Changed Timetabler Jo Bloggs" in jo.page_text


def test_special_category_areas_come_last_in_amber(jo, shared_client_id):
    jo.open(f"/manage/sharing/{shared_client_id}/change")

    assert [box["value"] for box in jo.page.find_all("input", {"name": "area"})] == ["attendance", "students.sen"]
    assert [badge["class"] for badge in jo.page.find("fieldset").select(".badge")] == [["badge", "warning"]]
    assert jo.page.select_one(".option:has(#area-attendance) details.includes"), "what it includes is folded"


def test_a_scope_that_was_never_offered_cannot_be_added(jo, shared_client_id, transaction):
    jo.open(f"/manage/sharing/{shared_client_id}/change")
    jo.post(f"/manage/sharing/{shared_client_id}/change", area=["students.sen", "staff", "nonsense"])

    with transaction():
        agreed = authorise.current(jo.facts["estab_id"])[0].scopes
    assert "students.sen" in agreed
    assert not agreed & {"staff", "nonsense"}


def test_the_same_choices_again_are_not_recorded(jo, shared_client_id, transaction):
    jo.open(f"/manage/sharing/{shared_client_id}/change")
    jo.post(f"/manage/sharing/{shared_client_id}/change", area="students.sen")

    assert jo.response.location == "/manage"
    with transaction():
        assert [decision.what for decision in authorise.history(jo.facts["estab_id"])] == ["given"]


def test_a_service_without_a_choice_offers_none(jo, transaction):
    with transaction() as session:
        client = a_client(client_name="Plain", optional_scopes=frozenset())
        authorise.give(
            client, client.required_scopes, by=member_of(session, jo), agreement_version="1",
            until=clocks.now() + timedelta(days=1),
        )  # fmt: skip
    jo.open("/manage")

    assert not jo.page.find("a", href=f"/manage/sharing/{client.id}/change")
    assert jo.open(f"/manage/sharing/{client.id}/change").status_code == 404


def test_the_processing_record_is_downloaded_as_csv(jo, shared_client_id):
    jo.open("/manage")
    jo.open(jo.page.find("a", string="Processing record (CSV)")["href"])

    assert jo.response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert (
        jo.response.headers["Content-Disposition"]
        == f'attachment; filename="processing-record-{jo.facts["public_id"]}-2026-03-02.csv"'
    )
    assert "no-store" in jo.response.headers["Cache-Control"]
    (row,) = csv.DictReader(io.StringIO(jo.response.data.decode("utf-8-sig")))
    assert (row["Service"], row["State"], row["Since"]) == ("Timetabler", "active", "2026-03-02")


@pytest.mark.parametrize("act", ["pause", "resume", "change"])
def test_other_people_cannot_change_sharing(jo, shared_client_id, new_browser, transaction, act):
    with transaction() as session:
        other = an_administrator().username
        session.get_one(Administrator, jo.facts["id"]).memberships[0].role = "viewer"
    jo.open("/manage")
    assert not [
        button for button in jo.page.find_all(["button", "a"]) if button.text.startswith(("Pause", "Change what"))
    ]
    jo.open("/sign-out")
    assert jo.post(f"/manage/sharing/{shared_client_id}/{act}", area="attendance").status_code == 403

    stranger = Person(new_browser())
    stranger.sign_in(other)
    stranger.open("/sign-out")
    assert stranger.post(f"/manage/sharing/{shared_client_id}/{act}", area="attendance").status_code == 404


@pytest.mark.parametrize("act", ["stop", "change", "pause", "resume"])
def test_a_button_pressed_after_sharing_was_stopped_says_so_and_changes_nothing(jo, shared_client_id, transaction, act):
    jo.submit(f"/manage/sharing/{shared_client_id}/stop")
    jo.open("/sign-out")  # any page with a form has the token
    jo.post(f"/manage/sharing/{shared_client_id}/{act}")
    assert jo.response.location == "/manage"

    jo.open("/manage")
    assert "Your school has already stopped sharing with Timetabler." in jo.page_text
    with transaction():
        assert [decision.what for decision in authorise.history(jo.facts["estab_id"])] == ["withdrawn", "given"]


def test_the_confirmation_page_redirects_when_sharing_has_been_stopped(jo, shared_client_id):
    jo.submit(f"/manage/sharing/{shared_client_id}/stop")

    assert jo.open(f"/manage/sharing/{shared_client_id}/stop").location == "/manage"


def test_a_service_that_the_school_never_shared_with_is_not_found(jo, transaction):
    with transaction():
        stranger = a_client().id
    assert jo.open(f"/manage/sharing/{stranger}/stop").status_code == 404


def test_of_several_stops_at_once_one_succeeds(jo, shared_client_id, transaction, run_concurrently):
    def stop():
        person = database.session().get_one(Administrator, jo.facts["id"])
        authorise.withdraw(person.memberships[0].estab_id, shared_client_id, by=person.memberships[0])

    outcomes = run_concurrently(4, stop)
    assert len([outcome for outcome in outcomes if isinstance(outcome, authorise.NothingShared)]) == 3


def test_another_schools_sharing_is_not_found(jo, shared_client_id, new_browser, transaction):
    with transaction():
        other = an_administrator().username
    stranger = Person(new_browser())
    stranger.sign_in(other)
    stop = f"/manage/sharing/{shared_client_id}/stop"

    assert stranger.open(stop).status_code == 404
    stranger.open("/sign-out")
    assert stranger.post(stop).status_code == 404
    with transaction():
        assert len(authorise.current(jo.facts["estab_id"])) == 1


def test_a_viewer_sees_everything_and_stops_nothing(jo, shared_client_id, transaction):
    with transaction() as session:
        session.get_one(Administrator, jo.facts["id"]).memberships[0].role = "viewer"
    jo.open("/manage")
    assert "Timetabler" in jo.page_text
    assert "Stop sharing" not in jo.page_text
    jo.open(f"/manage/sharing/{shared_client_id}/stop")
    assert "Only an owner or an administrator" in jo.page_text

    jo.open("/sign-out")
    assert jo.post(f"/manage/sharing/{shared_client_id}/stop").status_code == 403
    with transaction():
        assert len(authorise.current(jo.facts["estab_id"])) == 1


def test_ended_sharing_is_shown_as_ended(jo, shared_client_id, transaction):
    with transaction() as session:
        for agreed in authorise.current(jo.facts["estab_id"]):
            agreed.until = clocks.now() - timedelta(days=1)
            session.add(agreed)
    jo.open("/manage")

    assert "Timetabler Ended" in jo.page_text
    assert "ended on 1 March 2026" in jo.page_text


def test_names_with_markup_are_escaped(jo, transaction):
    with transaction() as session:
        client = a_client(client_name="<script>alert(1)</script>")
        authorise.give(
            client, client.required_scopes, by=member_of(session, jo), agreement_version="1",
            until=clocks.now() + timedelta(days=1),
        )  # fmt: skip
    jo.open("/manage")

    assert "<script>alert" not in jo.response.text
    assert "<script>alert(1)</script>" in jo.page_text


def test_operators_are_redirected_to_their_own_pages(app, transaction, web):
    with transaction() as session:
        operator, _ = operators.add("Sam", "sam@idaas.example")
        session.flush()
        with app.test_request_context():
            sessions.begin(operator.id, sessions.PASSWORD_AND_CODE, kind="operator")
            assert make_response(views.front()).location == "/operate"


@pytest.mark.parametrize(
    ("scopes", "verified", "paused", "state"),
    [
        ({"openid", "school"}, False, False, "waiting"),
        ({"openid", "profile"}, False, False, "active"),
        ({"openid", "school"}, True, False, "active"),
        ({"openid", "school"}, False, True, "paused"),
        ({"openid", "school"}, True, True, "paused"),
    ],
)
def test_a_service_waits_for_our_check_only_where_it_gets_data(transaction, clock, scopes, verified, paused, state):
    with transaction() as session:
        owner = an_administrator(an_estab(state="verified" if verified else "unverified"))
        client = a_client(required_scopes=frozenset(scopes), optional_scopes=frozenset())
        agreement = authorise.give(
            client, frozenset(scopes), by=owner.memberships[0], agreement_version="1",
            until=clocks.now() + timedelta(days=365), offered=client.scopes,
        )  # fmt: skip
        if paused:
            authorise.pause(owner.memberships[0].estab_id, client.id, by=owner.memberships[0])
        session.flush()
        assert agreement is not None
        assert overview.shared_with(owner.memberships[0], client.id).state == state
