"""The page of a school that closes says so, and its successor can continue what it shared."""

from datetime import date, timedelta

import pytest

from idp.foundation import clock as clocks
from idp.foundation.database import session
from idp.schools.models import SchoolLink
from idp.sharing import authorise
from tests.factories import a_client, a_school, an_administrator, an_estab
from tests.signin.person import Person


@pytest.fixture
def schools(transaction, new_browser, clock):
    """The owners of Oak Hill, which has closed, and of the academy that is its successor."""
    with transaction():
        owners = [an_administrator(an_estab(a_school(name=name))) for name in ("Oak Hill", "Oak Hill Academy")]
        old, new = (owner.memberships[0] for owner in owners)
        client = a_client(client_name="Timetabler", optional_scopes=frozenset({"attendance", "staff"}))
        authorise.give(
            client, client.required_scopes | {"attendance"}, by=old, agreement_version="1", offered=client.scopes,
            until=clocks.now() + timedelta(days=300),
        )  # fmt: skip
        old.estab.school.status_code, old.estab.school.closed_on = "2", date(2026, 2, 28)
        session().add(
            SchoolLink(
                from_urn=old.estab.school.register_id, to_urn=new.estab.school.register_id, kind="Successor",
                is_succession=True, name="Oak Hill Academy", since=date(2026, 3, 1),
            )
        )  # fmt: skip
        people = [
            Person(
                new_browser(), estab=owner.memberships[0].estab_id, client=client.id,
                successor_page=f"/manage/closing/{new.estab.school_id}",
            )
            for owner in owners
        ]  # fmt: skip
        usernames = [owner.username for owner in owners]
    for person, username in zip(people, usernames, strict=True):
        person.sign_in(username)
    return people


def release_sharing(old):
    old.open("/manage/closing")
    old.post(f"{old.facts['successor_page']}/release")
    old.open("/manage/closing")
    assert "Oak Hill Academy can now take over your sharing. Its owners decide about each service." in old.page_text


def test_sharing_continues_at_the_successor_after_both_schools_decided(schools, transaction):
    old, new = schools
    new.open("/manage")
    assert "Oak Hill has closed" not in new.page_text
    assert "Timetabler" not in new.page_text
    old.open("/manage")
    assert "The national register says that your school closed on 28 February 2026" in old.page_text
    release_sharing(old)
    assert "Since 2 March 2026 it may continue with what your school shares." in old.page_text

    new.open("/manage")
    assert "What it shared with Timetabler can continue here" in new.page_text
    link = next(a["href"] for a in new.page.find_all("a") if a["href"].startswith("/manage/continue/"))
    new.open(link)
    ticked = {box["value"].split()[-1]: box.has_attr("checked") for box in new.page.find_all("input", {"name": "area"})}
    assert ticked == {"attendance": True, "staff": False}
    fields = {"shown": new.page.find("input", {"name": "shown"})["value"], "service": new.facts["client"]}
    areas = [f"{new.facts['client']} staff"]
    new.post(link, **fields, area=areas)
    assert new.response.status_code == 422
    assert "Tick the box if you have authority" in new.response.text
    assert [box["value"] for box in new.page.find_all("input", {"name": "area"}) if box.has_attr("checked")] == areas
    for message in ("Your school now shares with the services that you ticked.", "has already decided about this."):
        new.open("/sign-out")
        new.post(link, **fields, area=areas, authority="y")  # the second time it is a double click
        assert new.response.location == "/manage"
        assert message in new.open("/manage").text
    new.open("/manage")
    assert "Timetabler Sharing" in new.page_text
    old.open("/manage")
    assert "Timetabler Sharing" not in old.page_text
    assert "Moved to another school Timetabler" in old.page_text
    with transaction():
        (agreement,) = authorise.current(new.facts["estab"])
        assert {"staff", "attendance"} & agreement.scopes == {"staff"}
    old.open("/manage/closing")
    assert "Oak Hill Academy has decided" in old.page_text


def test_a_release_of_the_sharing_can_be_taken_back(schools):
    old, new = schools
    release_sharing(old)
    old.post(f"{old.facts['successor_page']}/take-back")
    old.open("/manage/closing")
    assert "Oak Hill Academy can no longer take over your sharing." in old.page_text
    new.open("/manage")
    assert "can continue here" not in new.page_text


@pytest.mark.usefixtures("also_on_postgresql")
@pytest.mark.parametrize("number", [2**31, 2**63, 10**30])
def test_a_number_that_no_school_can_have_is_not_found(schools, number):
    """PostgreSQL refuses a query with it, which looked like an error of ours."""
    old, _ = schools
    old.open("/manage/closing")
    for act in ("release", "take-back"):
        assert old.web.post(f"/manage/closing/{number}/{act}", data={"csrf_token": old.token}).status_code == 404


def test_an_open_school_has_no_page_about_closing(schools):
    _, new = schools
    assert new.open("/manage/closing").location == "/manage"
    assert new.open("/manage/continue/rel_nonsense").status_code == 404


def test_a_form_without_a_ticked_service_decides_nothing(schools):
    old, new = schools
    release_sharing(old)
    new.open("/manage")
    link = next(a["href"] for a in new.page.find_all("a") if a["href"].startswith("/manage/continue/"))
    new.open(link)
    new.post(link, shown=new.page.find("input", {"name": "shown"})["value"], authority="y")
    assert new.response.status_code == 422
    assert "Tick the services that your school continues with." in new.response.text
