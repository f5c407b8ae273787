"""The page about the school's server."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from clients.endpoint import agent, upload  # noqa: F401  upload defines further errors
from clients.endpoint.errors import AgentError
from idp.estabs.models import Administrator
from idp.foundation import clock as clocks
from idp.manage import endpoint_page
from idp.sharing import authorise
from idp.xporter.models import LOSS_DELAY, Endpoint, Read
from tests.factories import a_client, an_administrator
from tests.signin.person import Person
from tests.xporter.agents import SCOPES


@pytest.fixture
def jo(web, transaction, clock):
    """The owner of a verified school, signed in."""
    with transaction():
        owner = an_administrator(name="Jo Bloggs")
        person = Person(web, id=owner.id, estab_id=owner.memberships[0].estab_id)
        username = owner.username
    person.sign_in(username)
    return person


@pytest.fixture
def add_server(jo, transaction):
    """`add_server(heard_at=…)` inserts the school's server, with these columns."""

    def make(**overrides):
        now = clocks.now()
        error = {"code": "bad_settings", "message": "The folder D:/Exports is missing.", "at": now.isoformat()}
        defaults = {
            "id": "end_1", "estab_id": jo.facts["estab_id"], "client_id": None, "key_thumbprint": "k", "lineage": "l",
            "registered_at": now, "registered_by": jo.facts["id"], "heard_at": now, "name": "SERVER-1", "mis": "sims",
            "agent_version": "1.2.0", "platform": "Windows Server 2022", "last_error": error, "extract_at": now,
            "last_extract": {"id": "e", "sent_at": now.isoformat(), "records": {"students": 1612}},
        }  # fmt: skip
        with transaction() as session:
            session.add(Endpoint(**defaults | {"client_id": a_client().id} | overrides))

    return make


def submit(jo, path):
    """Send the form of the current page, and open the page that it leads to."""
    jo.post(path, endpoint=jo.page.find("input", {"name": "endpoint"})["value"])
    jo.open(jo.response.location)


def rows(transaction):
    with transaction() as session:
        return [(row.state, row.is_extract_wanted) for row in session.scalars(select(Endpoint))]


def test_without_a_server_the_page_says_how_to_connect_one(jo):
    jo.open("/manage/endpoint")
    assert "No server yet" in jo.page_text
    assert "xporter-endpoint --home" in jo.page_text
    assert "register --issuer http://localhost:5000" in jo.page_text


def test_the_page_shows_the_state_of_the_server_and_advice_about_its_error(jo, add_server):
    add_server()
    jo.open("/manage/endpoint")
    for text in ("SERVER-1", "Connected", "version 1.2.0", "The folder D:/Exports is missing.", "1,612"):
        assert text in jo.page_text, text
    assert "Check on the server that the export folder" in jo.page_text


def codes_of(error):
    return {error.code}.union(*map(codes_of, error.__subclasses__()))


def test_there_is_advice_for_every_error_code_of_the_program():
    shown_only_at_the_server = {
        "failed", "refused", "not_registered", "registration_ended", "endpoint_exists", "school_unverified",
        "interrupted",
    }  # fmt: skip
    codes_of_program = codes_of(AgentError) | {upload_note()}
    assert endpoint_page.ADVICE.keys() == codes_of_program - shown_only_at_the_server


def upload_note():
    """The error code when only a part of the MIS could be read."""
    return re.search(r'_error\("([a-z_]+)", pending.note', Path(agent.__file__).read_text("utf-8")).group(1)


def test_advice_for_a_code_that_is_not_known_is_general(jo, add_server):
    error = {"code": "new_in_version_9", "message": "Something else.", "at": clocks.now().isoformat()}
    add_server(last_error=error)
    jo.open("/manage/endpoint")
    assert "Run the command xporter-endpoint status on the server" in jo.page_text


def test_the_servers_own_client_is_not_listed_as_a_service_that_receives_data(jo, transaction, web):
    with transaction() as session:
        client = a_client(
            client_name="XporterOnDemand endpoint", required_scopes=SCOPES, optional_scopes=frozenset(),
            token_endpoint_auth_method="none", dpop_bound_access_tokens=True,
        )  # fmt: skip
        by = session.get_one(Administrator, jo.facts["id"]).memberships[0]
        until = clocks.now() + timedelta(days=365)
        authorise.give(client, SCOPES, by=by, agreement_version=client.agreement_version, until=until, second_step=True)
    jo.open("/manage")
    headings = [heading.text for heading in jo.page.find("main").find_all("h2")]
    shares = headings.index("Who your school shares with")
    assert headings[shares + 1 : shares + 3] == ["Nobody yet", "What your school's server sends"]
    assert "Your school is not sharing data with anyone." in jo.page_text
    assert "passes on to each service only what your school has authorised" in jo.page_text
    assert "It is told who you are" not in jo.page_text
    assert jo.page.find("section", attrs={"aria-labelledby": "server-1"}).find(string="Disconnect")
    assert "XporterOnDemand" not in web.get("/manage/sharing/record.csv").text


def test_a_lost_server_is_the_first_thing_to_do(jo, add_server, clock):
    add_server(heard_at=clock.now() - LOSS_DELAY)
    jo.open("/manage")
    assert "We no longer hear from your school's server" in jo.page.select_one("main h3").text
    jo.open("/manage/endpoint")
    assert "We have not heard from this server since" in jo.page_text


def test_the_task_to_install_the_server_disappears_once_it_has_reported(jo, add_server):
    jo.open("/manage")
    assert "Install XporterOnDemand" in jo.page_text
    add_server()
    jo.open("/manage")
    assert "Install XporterOnDemand" not in jo.page_text
    jo.open("/register/next-steps")
    assert "It is installed on your school's server" in jo.page_text


def test_an_extract_is_requested_once(jo, add_server, transaction, clock):
    add_server(extract_at=clock.now() - timedelta(hours=1))
    jo.open("/manage/endpoint")
    submit(jo, "/manage/endpoint/send")
    assert "within a quarter of an hour" in jo.page_text
    assert rows(transaction) == [("connected", True)]
    assert jo.page.find(id="send") is None


def test_the_server_is_removed_after_a_confirmation(jo, add_server, transaction):
    add_server()
    jo.open("/manage/endpoint/remove")
    assert rows(transaction) == [("connected", False)], "asking removes nothing"
    submit(jo, "/manage/endpoint/remove")
    assert rows(transaction) == [("removed", False)]
    assert "No server yet" in jo.page_text
    assert jo.open("/manage/endpoint/remove").status_code == 303


def test_a_page_that_was_left_open_removes_no_other_server(jo, add_server, transaction):
    add_server()
    jo.open("/manage/endpoint/remove")
    with transaction() as session:
        session.scalars(select(Endpoint)).one().id = "end_2"
    submit(jo, "/manage/endpoint/remove")
    assert rows(transaction) == [("connected", False)]


def test_the_page_and_its_csv_show_which_service_read_what(jo, transaction, web):
    with transaction() as session:
        read = Read(
            estab_id=jo.facts["estab_id"], client_id=a_client(client_name="Timetabler").id, scope="students",
            day=clocks.today(), requests=2, records=1200, last_at=clocks.now(),
        )  # fmt: skip
        session.add(read)
    jo.open("/manage/endpoint")
    for text in ("Timetabler", "Pupils", "1,200"):
        assert text in jo.page_text
    response = web.get("/manage/endpoint/reads.csv")
    assert response.mimetype == "text/csv"
    assert "Timetabler" in response.text
