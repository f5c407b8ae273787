"""A person who is signed in registers a further school, or asks to join one: it is added to their account."""

from datetime import timedelta
from urllib.parse import quote

import pytest

from idp.estabs import accounts, members, people
from idp.estabs.models import Administrator, Estab, Membership
from idp.onboarding import add_school, join
from idp.onboarding.models import JoinRequest, Registration
from idp.schools import search
from idp.sharing.models import Authorisation
from idp.signin import session
from tests.factories import PASSWORD, a_client, a_school, an_administrator, an_estab
from tests.oidc.support import Partner, follow_redirects, page, press, redirect_parameters
from tests.onboarding.visitor import Visitor

FORM_FIELDS = {"name": "Sam Smith", "email": "sam@oakhill.example", "mobile": "07700 900123", "declaration": "y"}
OFFER_TEXT = "Do you already act for another school here? Sign in first, and this school is added to your account."


@pytest.fixture
def jo(transaction, clock):
    """The owner of one school."""
    with transaction():
        return an_administrator(username="jo", name="Jo Bloggs", email="jo@trust.example")


@pytest.fixture
def school(transaction):
    """A school that has not registered."""
    with transaction():
        return a_school(name="Second School", dfe_number="3124567")


@pytest.fixture
def office(web):
    return Visitor(web)


def sign_in(visitor, username="jo"):
    visitor.open("/sign-in")
    return visitor.press("sign-in", username=username, password=PASSWORD)


def links_in_header(visitor):
    return [link.text for link in visitor.page.soup.select("header nav a")]


def schools_of(transaction, person):
    with transaction() as database:
        rows = database.query(Membership).where(Membership.person_id == person.id, Membership.removed_at.is_(None))
        return {row.estab.name: row.role for row in rows}


def test_a_person_who_is_signed_in_adds_a_school_by_one_tick(office, jo, school, transaction, outbox):
    sign_in(office)
    page = office.open(f"/register/details?school={school.id}")
    assert "You are signed in as Jo Bloggs. Second School will be added to your account." in page.text
    assert page.soup.find("input", {"type": ["text", "email", "tel", "password"]}) is None
    assert "Tick the box" in office.press("add-school").text
    page = office.press("add-school", declaration="y")
    assert page.title == "Second School has been added to your account"
    for text in ("Its Estab ID is 3124567", "no new username or password", "jo@trust.example", "You act for Second"):
        assert text in page.text

    with transaction() as database:
        estab = accounts.find("3124567")
        assert (database.query(Administrator).count(), estab.state) == (1, "unverified")
        assert people.membership(jo.id, estab.id).role == "owner"
    message = outbox.last("school_added")
    assert (message.to, message.subject) == ("jo@trust.example", "Second School has been added to your account")
    assert "You sign in as before" in message.text
    assert outbox.all("school_registered") == outbox.all("verify_email") == []

    page = office.open(page.link("next-steps"))
    assert "Second School has registered" in page.text
    assert "not yet verified" in page.text
    assert "Wednesday 4 March 2026" in page.text
    assert "sign in as you always do, with jo@trust.example and your password, and choose Second School" in page.text
    again = Visitor(office.client.application.test_client())
    assert sign_in(again).title == "Which school are you acting for?"
    assert links_in_header(again) == ["Your account", "Security", "Sign out"]
    again.press("Continue", school="3124567")
    assert links_in_header(again) == [
        "Second School",
        "Change school",
        "People",
        "Your account",
        "Security",
        "Sign out",
    ]


def test_a_visitor_signs_in_first_within_a_partners_request_and_continues_with_the_school(transaction, web, jo, school):
    with transaction():
        partner = Partner(a_client().id)
    waiting = web.get(partner.link()).location.partition("next=")[2]
    office = Visitor(web)
    office.open(f"/register/details?school={school.id}&next={waiting}")
    assert OFFER_TEXT in office.page.text
    at_sign_in = office.press("sign-in-first", **FORM_FIELDS)
    assert at_sign_in.title == "Sign in"
    assert office.press("cancel").title == "Your details"
    assert office.page.soup.find(id="name")["value"] == "Sam Smith"  # nothing typed is lost
    assert office.page.soup.find(id="declaration").has_attr("checked")

    office.press("sign-in-first")
    page_of_school = office.press("sign-in", username="jo", password=PASSWORD)
    assert page_of_school.title == "Add Second School"
    done = office.press("add-school", declaration="y")
    response = follow_redirects(web, web.get(done.link("Continue to Assembly")))
    assert "Second School" in page(response).find(class_="summary").get_text(" ")
    params = redirect_parameters(follow_redirects(web, press(web, response, "allow", authority="y")))
    tokens = partner.redeem(web, params["code"]).json
    userinfo = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json
    assert userinfo["estab_id"] == "3124567"
    with transaction() as database:
        assert database.query(Authorisation).one().estab_id == accounts.find("3124567").id


def test_another_person_at_the_same_browser_registers_as_usual(office, jo, school, transaction, outbox):
    sign_in(office)
    office.open(f"/register/details?school={school.id}&next=/somewhere")
    page = office.press("someone-else")
    assert (page.title, page.path) == ("Your details", f"/register/details?school={school.id}&next=/somewhere")
    assert OFFER_TEXT in page.text
    office.press("sign-up", **FORM_FIELDS)
    office.open(outbox.last("verify_email").links[0])
    office.press("verify")
    assert OFFER_TEXT in office.page.text
    assert office.press("sign-up").title == "Your username and password"
    assert schools_of(transaction, jo).keys() == {jo.memberships[0].estab.name}


@pytest.mark.parametrize("same_address", [True, False])
def test_after_the_address_is_verified_only_the_account_with_that_address_gets_the_school(
    office, jo, school, transaction, outbox, same_address
):
    office.open(f"/register/details?school={school.id}")
    office.press("sign-up", **FORM_FIELDS | {"email": "JO@trust.example" if same_address else "sam@oakhill.example"})
    office.open(outbox.last("verify_email").links[0])
    office.press("verify")
    office.press("sign-in-first")
    page = office.press("sign-in", username="jo", password=PASSWORD)
    if same_address:
        assert page.title == "Add Second School"
        assert office.press("add-school", declaration="y").title == "Second School has been added to your account"
    else:
        assert page.title == "Sign up"
        assert "You are signed in as Jo Bloggs, with another e-mail address" in page.text
        assert office.press("sign-up").title == "Your username and password"
    with transaction() as database:
        assert database.query(Administrator).count() == (1 if same_address else 2)
        assert database.query(Registration).count() == 1


def test_a_sign_in_of_long_ago_is_repeated_first_and_the_tick_is_kept(office, jo, school, clock):
    sign_in(office)
    office.open(f"/register/details?school={school.id}")
    clock.move(timedelta(minutes=6))
    page = office.press("add-school", declaration="y")
    assert page.title == "Sign in"
    assert "please sign in again before you change this" in page.response.text
    page = office.press("sign-in", username="jo", password=PASSWORD)
    assert page.soup.find(id="declaration").has_attr("checked")
    assert office.press("add-school").title == "Second School has been added to your account"


def test_a_second_click_shows_the_same_outcome(office, jo, school, transaction):
    sign_in(office)
    before = office.open(f"/register/details?school={school.id}")
    _, form = before.button_and_form("add-school")
    fields = before.fields("add-school") | {"declaration": "y"}
    first = office.submit(before, form, fields)
    assert office.submit(before, form, fields).title == first.title == "Second School has been added to your account"
    assert office.open(f"/register/add?school={school.id}").title == first.title  # the Back button
    with transaction() as database:
        assert database.query(Registration).count() == 1


def test_a_session_that_has_ended_adds_nothing(office, jo, school, transaction):
    sign_in(office)
    office.open(f"/register/details?school={school.id}")
    with transaction():
        session.end_all(jo.id, "signed_out_elsewhere")
    page = office.press("add-school", declaration="y")
    assert page.title == "Your details"
    assert "You are signed out, so nothing was sent." in page.response.text
    with transaction() as database:
        assert database.query(Registration).count() == 0


def test_a_session_that_ends_while_the_form_is_on_its_way_adds_nothing(office, jo, school, transaction, monkeypatch):
    complete = add_school.complete

    def end_first(*args, **kwargs):
        session.end_all(jo.id, "elsewhere")
        return complete(*args, **kwargs)

    sign_in(office)
    office.open(f"/register/details?school={school.id}")
    monkeypatch.setattr(add_school, "complete", end_first)
    assert "You are signed out, so nothing was sent." in office.press("add-school", declaration="y").response.text
    assert schools_of(transaction, jo).keys() == {jo.memberships[0].estab.name}


def test_an_unknown_school_number_redirects_to_the_search(office, jo):
    sign_in(office)
    nowhere = f"/register/add?school={'9' * 30}"
    assert (office.open(nowhere).path, office.page.status) == ("/register", 200)
    for path in (nowhere, nowhere.replace("add?", "add/someone-else?")):
        assert office.client.post(path, data={"csrf_token": "old"}).status_code == 400, path


def test_the_number_of_schools_that_one_account_adds_in_an_hour_is_limited(office, jo, transaction, monkeypatch):
    monkeypatch.setattr(add_school, "MAX_SCHOOLS", 1)
    sign_in(office)
    with transaction():
        ids = [a_school().id for _ in range(2)]
    titles = []
    for school_id in ids:
        office.open(f"/register/details?school={school_id}")
        titles.append(office.press("add-school", declaration="y"))
    assert titles[1].status == 429
    assert "You have added many schools in the last hour." in titles[1].text
    with transaction() as database:
        assert database.query(Estab).count() == 2


def test_a_person_who_was_signed_in_joins_a_school_with_the_account_they_have(
    office, jo, transaction, outbox, new_browser, clock
):
    with transaction():
        owner = an_administrator(username="pat", email="pat@oakhill.example")
        estab = owner.memberships[0].estab
    sign_in(office)
    office.open(f"/register/details?school={estab.school_id}")
    page = office.press("add-school", declaration="y")
    assert page.title == "We have passed on your request"
    assert "it is added to your account: you sign in as before" in page.text
    assert estab.name not in schools_of(transaction, jo)

    pat = Visitor(new_browser())
    sign_in(pat, "pat")
    pat.open(outbox.last("join_request").links[0])
    pat.press("approve", role="viewer")
    assert schools_of(transaction, jo)[estab.name] == "viewer"
    message = outbox.last("join_added")
    assert message.to == "jo@trust.example"
    assert "You sign in as before" in message.text
    assert outbox.all("join_approved") == []
    clock.move(timedelta(minutes=2))
    page = office.open(f"/register/details?school={estab.school_id}")
    assert f"You already act for {estab.name}." in page.response.text
    assert page.title == "Which school are you acting for?"


@pytest.fixture
def join_request_id(transaction, jo):
    """A request of Jo, who is signed in, to join an unverified school, about which our staff decide."""
    with transaction() as database:
        estab = an_estab(state="unverified")
        person = database.get_one(Administrator, jo.id)
        add_school.complete(estab.school, person, browser=b"b" * 32, return_to=None)
        return database.query(JoinRequest).one().id


def test_a_person_who_closed_their_account_meanwhile_is_not_let_in_and_can_be_declined(
    transaction, jo, join_request_id
):
    with transaction() as database:
        database.get_one(Administrator, jo.id).removed_at = jo.created_at
    with pytest.raises(join.RequesterGone), transaction():
        join.approve(join.find(join_request_id), "viewer", by="cli")
    with transaction():
        join.decline(join.find(join_request_id), by="cli")
        assert join.find(join_request_id).decision == "declined"


def test_of_many_approvals_at_once_one_adds_the_school(transaction, jo, join_request_id, run_concurrently):
    outcomes = run_concurrently(4, lambda: join.approve(join.find(join_request_id), "viewer", by="cli").id)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DecidedAlready"] * 3 + ["str"]
    assert list(schools_of(transaction, jo).values()).count("viewer") == 1


def test_of_many_clicks_at_once_one_adds_the_school(transaction, jo, school, run_concurrently):
    def click():
        person = people.get(jo.id)
        return add_school.complete(search.school(school.id), person, browser=b"b" * 32, return_to=None).id

    assert len(set(run_concurrently(4, click))) == 1
    assert schools_of(transaction, jo)["Second School"] == "owner"
    with transaction() as database:
        assert (database.query(Registration).count(), database.query(Estab).count()) == (1, 2)


def test_two_people_who_add_one_school_at_once_do_not_both_own_it(transaction, jo, school, run_concurrently):
    with transaction():
        others = [jo.id, *(an_administrator().id for _ in range(3))]
    waiting = iter(others)

    def click():
        person = people.get(next(waiting))
        return add_school.complete(search.school(school.id), person, browser=person.id.encode(), return_to=None).outcome

    assert sorted(run_concurrently(4, click)) == ["added", "joining", "joining", "joining"]


def test_a_person_who_is_removed_at_the_same_moment_either_keeps_the_account_or_gets_no_school(
    transaction, jo, school, run_concurrently
):
    with transaction() as database:
        an_administrator(database.merge(jo).memberships[0].estab, username="other", email="other@trust.example")
    first = iter([True, False])
    estab_id = jo.memberships[0].estab_id

    def run():
        if next(first):
            return add_school.complete(
                search.school(school.id), people.get(jo.id), browser=b"b" * 32, return_to=None
            ).outcome
        return members.remove(people.membership(jo.id, estab_id), by="cli", note="Called the office.")

    outcomes = run_concurrently(2, run)
    with transaction() as database:
        is_open = database.get_one(Administrator, jo.id).removed_at is None
    assert ("added" in outcomes) == is_open
    assert ("Second School" in schools_of(transaction, jo)) == is_open


def test_the_outcome_of_a_school_that_is_no_longer_in_the_account_says_so(office, jo, school, transaction):
    sign_in(office)
    office.open(f"/register/details?school={school.id}")
    office.press("add-school", declaration="y")
    path = office.page.path
    with transaction():
        accounts.change_state(accounts.find("3124567"), "rejected", by="cli", reason="unknown at the school")

    page = office.open(path)

    assert page.title == "You no longer act for this school"
    assert "You registered Second School, but no longer act for it" in page.text


def test_the_search_page_does_not_mention_an_email_address_to_a_person_who_is_signed_in(office, jo, school):
    needed = "a work e-mail address that you can read now"
    assert needed in " ".join(office.open("/register").response.text.split())
    sign_in(office)
    assert needed not in " ".join(office.open("/register").response.text.split())


def test_the_sign_in_page_leads_back_to_the_registration(office, school):
    path = f"/register/details?school={school.id}"
    assert office.open(f"/sign-in?next={quote(path)}").link("Go back") == path
