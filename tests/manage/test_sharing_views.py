"""A school renews what it shares, from its first page and from the mail."""

from datetime import timedelta

import pytest

from idp.estabs.models import Administrator
from idp.partners import registry
from idp.sharing import authorise
from tests.factories import PASSWORD, a_client, a_membership, an_administrator
from tests.signin.person import Person


@pytest.fixture
def jo(web, transaction, clock):
    """The owner of a verified school, signed in, who authorised a service."""
    with transaction():
        owner = an_administrator(name="Jo Bloggs")
        member, client = owner.memberships[0], a_client(client_name="Timetabler")
        authorise.give(
            client, client.required_scopes, by=member, agreement_version="2026-01", until=authorise.default_end(client),
            offered=client.scopes,
        )  # fmt: skip
        return Person(
            web, id=owner.id, estab=member.estab_id, school=member.estab.estab_id, name=member.estab.name,
            client=client.id, username=owner.username,
        )  # fmt: skip


def renewal_page(jo):
    return f"/manage/sharing/{jo.facts['client']}/renew"


def test_sharing_that_ends_soon_is_a_task_and_is_renewed_in_two_clicks(jo, transaction, clock):
    jo.sign_in(jo.facts["username"])
    jo.open("/manage")
    assert "Renew" not in jo.page_text
    clock.move(timedelta(days=340))
    jo.sign_in(jo.facts["username"])
    jo.open("/manage")
    assert "Sharing with Timetabler ends on 2 March 2027" in jo.page_text
    link = jo.page.find("a", string="Look at it and renew")["href"]
    jo.open(link)
    assert "Renew until 5 February 2028" in jo.page.find("button", id="renew").text
    assert "Pupils" in jo.page_text
    fields = {field["name"]: field["value"] for field in jo.page.find_all("input", {"type": "hidden"})}
    for _ in range(2):  # a double click
        jo.response = jo.web.post(link, data=fields)
        assert jo.response.location == "/manage"
    jo.open("/manage")
    assert "Sharing with Timetabler has been renewed until 5 February 2028." in jo.page_text
    assert jo.page_text.count("Renewed Timetabler Jo Bloggs") == 1
    assert "Look at it and renew" not in jo.page_text


def test_ended_sharing_can_be_renewed(jo, transaction, clock):
    clock.move(timedelta(days=400))
    jo.sign_in(jo.facts["username"])
    jo.open("/manage")
    assert "Timetabler Ended" in jo.page_text
    jo.submit(renewal_page(jo), **hidden_fields(jo))
    jo.open("/manage")
    assert "Timetabler Sharing" in jo.page_text


def hidden_fields(jo):
    jo.open(renewal_page(jo))
    return {element["name"]: element["value"] for element in jo.page.find_all("input", {"type": "hidden"})}


def test_the_link_in_the_mail_leads_through_sign_in_to_the_school_that_it_is_about(jo, transaction, clock):
    with transaction() as database:
        a_membership(database.get_one(Administrator, jo.facts["id"]))
    clock.move(timedelta(days=340))
    link = f"{renewal_page(jo)}?school={jo.facts['school']}"
    jo.open(link)
    jo.submit(jo.response.location, username=jo.facts["username"], password=PASSWORD)
    jo.open(jo.response.location)
    assert jo.response.location.startswith("/sign-in/school")
    jo.submit(jo.response.location, school=jo.facts["school"])
    assert jo.response.location == link
    jo.open(link)
    assert jo.facts["name"] in jo.page_text


def test_a_school_that_the_person_does_not_act_for_is_not_found(jo, transaction, clock):
    with transaction():
        other = an_administrator().memberships[0].estab.estab_id
    jo.sign_in(jo.facts["username"])
    assert jo.open(f"{renewal_page(jo)}?school={other}").status_code == 404
    assert jo.open(f"{renewal_page(jo)}?school=nonsense").status_code == 404


def test_a_hidden_field_that_postgresql_cannot_store_is_the_senders_error(jo, clock, on_postgresql):
    clock.move(timedelta(days=340))
    jo.sign_in(jo.facts["username"])
    jo.submit(renewal_page(jo), **(hidden_fields(jo) | {"replaces": "\0"}))
    assert jo.response.status_code == 400


def test_long_before_its_end_there_is_nothing_to_renew(jo):
    jo.sign_in(jo.facts["username"])
    assert jo.open(renewal_page(jo)).location == "/manage"
    jo.open("/manage")
    assert "There is nothing to renew: your school shares with Timetabler until 2 March 2027." in jo.page_text


def test_a_renewal_agrees_to_the_new_version_of_the_agreement(jo, transaction, clock):
    clock.move(timedelta(days=340))
    with transaction():
        client = registry.find(jo.facts["client"])
        client.agreement_version = "2027"
        registry.bump_version(client)
    jo.sign_in(jo.facts["username"])
    jo.submit(renewal_page(jo), **hidden_fields(jo))
    with transaction():
        assert authorise.current(jo.facts["estab"])[0].agreement == "2027"


class TestReview:
    @pytest.fixture
    def review_path(self, jo, transaction):
        """The path of the review: Timetabler now requires staff, and asks for the timetable and specially protected
        data as options.
        """
        with transaction():
            client = registry.find(jo.facts["client"])
            client.required_scopes |= {"staff"}
            client.optional_scopes |= {"timetable", "students.medical"}
            client.agreement_version = "2027"
            registry.bump_version(client)
        jo.sign_in(jo.facts["username"])
        return f"/manage/sharing/{jo.facts['client']}/review"

    def scopes(self, jo, transaction):
        with transaction():
            return authorise.current(jo.facts["estab"])[0].scopes

    def fields(self, jo):
        return {element["name"]: element["value"] for element in jo.page.find_all("input", {"type": "hidden"})}

    def test_the_difference_is_shown_plainly_and_agreed_to(self, jo, review_path, transaction):
        jo.open("/manage")
        assert "Timetabler asks for more" in jo.page_text
        assert jo.page.find("a", string="Look at it and decide")["href"] == review_path
        jo.open(review_path)
        for words in ("cannot work fully without this. Staff.", "New: what you can choose to share", "version 2027"):
            assert words in jo.page_text
        assert "Agreed to now School details, Pupils" in jo.page_text
        jo.post(review_path, **self.fields(jo), area="timetable", agree="yes")
        assert jo.response.status_code == 422
        assert "Tick the box if you have authority" in jo.response.text
        assert jo.page.find("input", id="area-timetable").has_attr("checked")
        jo.post(review_path, **self.fields(jo), area="timetable", agree="yes", authority="y")
        assert jo.response.location == "/manage"
        assert {"staff", "timetable"} <= self.scopes(jo, transaction)
        jo.open("/manage")
        assert "Your school has agreed to it: Timetabler." in jo.page_text
        assert "asks for more" not in jo.page_text

    def test_a_review_is_declined_without_the_declaration_and_not_shown_again(self, jo, review_path, transaction):
        before = self.scopes(jo, transaction)
        jo.open(review_path)
        jo.post(review_path, **self.fields(jo), decline="yes")
        assert jo.response.location == "/manage"
        assert self.scopes(jo, transaction) == before
        jo.open("/manage")
        assert "Your school does not agree to more than before: Timetabler." in jo.page_text
        assert "Declined more Timetabler Jo Bloggs" in jo.page_text
        assert "asks for more" not in jo.page_text
        assert jo.open(review_path).location == "/manage"

    def test_specially_protected_data_leads_to_a_second_step(self, jo, review_path, transaction):
        jo.open(review_path)
        assert jo.page.find("input", id="area-students.medical").has_attr("disabled")
        jo.post(review_path, **self.fields(jo), area="students.medical", agree="yes", authority="y")
        assert jo.response.status_code == 422
        assert "second step" in jo.page.select_one(".error-summary").text
        jo.post(review_path, **self.fields(jo), second_step="yes")
        assert jo.response.location.startswith("/manage/security/second-step")

    def test_an_outdated_page_decides_nothing(self, jo, review_path, transaction):
        jo.open(review_path)
        fields, before = self.fields(jo), self.scopes(jo, transaction)
        with transaction():
            client = registry.find(jo.facts["client"])
            client.required_scopes |= {"classes"}
            registry.bump_version(client)
        jo.post(review_path, **fields, agree="yes", authority="y")
        assert jo.response.location == "/manage"
        assert self.scopes(jo, transaction) == before
        jo.open("/manage")
        assert "Someone at your school has just changed this" not in jo.page_text
        assert "This has changed since you opened the page" in jo.page_text


class TestSystem:
    def test_changing_the_system_names_the_affected_services_first(self, jo, transaction):
        with transaction():
            client = registry.find(jo.facts["client"])
            client.accepted_mis = frozenset({"sims"})
            registry.bump_version(client)
        jo.sign_in(jo.facts["username"])
        jo.open("/manage")
        assert "System (MIS) SIMS" in jo.page_text
        jo.submit("/manage/system", mis="arbor")
        assert jo.response.status_code == 200
        assert "Some services do not work with this system" in jo.page_text
        assert "Timetabler" in jo.page_text
        jo.open("/manage")
        assert "System (MIS) SIMS" in jo.page_text
        jo.submit("/manage/system", mis="arbor", confirm="arbor")
        assert jo.response.location == "/manage"
        jo.open("/manage")
        assert "Timetabler Not working with your system" in jo.page_text
        assert "Not receiving: another system Timetabler Jo Bloggs" in jo.page_text
        jo.submit("/manage/system", mis="sims")
        jo.open("/manage")
        assert "Timetabler Sharing" in jo.page_text

    @pytest.mark.parametrize(("fields", "status"), [({}, 422), ({"mis": "abacus"}, 400)])
    def test_a_system_that_is_not_in_the_list_is_refused(self, jo, fields, status):
        jo.sign_in(jo.facts["username"])
        jo.submit("/manage/system", **fields)
        assert jo.response.status_code == status
