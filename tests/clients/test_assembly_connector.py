"""Assembly's connector: Grant Access, the status as it changes, tokens, and the program killed in between."""

import threading
import time
from dataclasses import replace

import pytest
from joserfc.jwk import ECKey

from clients.assembly import accounts, connections, events, invitations, mail, resource, web
from clients.assembly.app import create_app
from clients.assembly.applications import ASSEMBLY
from clients.assembly.errors import ProviderUnreachable, RequestRefused
from tests.clients.conftest import Person
from tests.clients.provider import ESTAB, URN


@pytest.fixture
def office(person, deliver_mails, program):
    """An account with a school that is not connected."""
    person.create_account(deliver_mails, program)
    return person


@pytest.fixture
def no_status_cache(monkeypatch):
    """Let each request of the page read the status from the provider, with nothing cached."""
    monkeypatch.setattr("clients.assembly.connector_views.STATUS_CACHE_SECONDS", -1.0)


def test_grant_access_requests_an_invitation_of_the_school(office, provider):
    assert "Enter your name" in office.post("/connector/grant-access").text
    assert office.post("/connector/grant-access", name="Grace Okafor").status_code == 303

    [invitation] = provider.invitations.values()
    assert invitation["urn"] == URN
    assert invitation["contact"] == {"name": "Grace Okafor", "email": "office@willowbank.example"}
    assert invitation["mis"] == "sims"
    assert set(invitation["scope"].split()) == {area.scope for area in ASSEMBLY.areas}
    assert "E-mail sent" in office.open("/connector").text


@pytest.mark.usefixtures("no_status_cache")
def test_the_status_follows_the_invitation(office, provider):
    office.post("/connector/grant-access", name="Grace Okafor")
    for state, words in (
        ("opened", "Begun"), ("forwarded", "Passed on"), ("declined", "Declined"),
    ):  # fmt: skip
        provider.invitation_state = state
        assert f">{words}<" in office.open("/connector/status").text


def test_a_lost_response_to_grant_access_sends_no_second_mail(office, provider, program):
    provider.lost_responses = {"invitations"}
    office.post("/connector/grant-access", name="Grace Okafor")
    assert "Asking for the e-mail" in office.open("/connector").text
    office.post("/connector/grant-access", name="Grace Okafor")
    program.background.work_once()

    assert len(provider.invitations) == 1
    assert "E-mail sent" in office.open("/connector").text


def test_a_stored_invitation_is_sent_after_the_program_was_killed(office, provider, program, settings):
    account = accounts.find(program.database, 1)
    invitations.request(program.database, settings, account, "Grace Okafor")
    assert not provider.invitations
    with create_app(settings).app_context():
        web.current_program().background.work_once()

    assert len(provider.invitations) == 1


@pytest.mark.usefixtures("no_status_cache")
def test_the_page_updates_itself_when_the_status_changes(office, provider):
    office.sign_in()
    assert "School not verified yet" in office.open("/connector/status").text
    provider.verification, provider.scope, provider.withheld = "verified", ASSEMBLY.scope, ""
    page = office.open("/connector/status").text
    assert ">Connected<" in page
    assert "Waiting" not in page
    provider.connection = "awaiting_endpoint"
    assert ">Waiting for your school&#39;s server<" in office.open("/connector/status").text
    provider.connection = "connected"
    provider.scope = ASSEMBLY.scope.replace(" attendance", "")
    assert office.open("/connector/status").text.count("Not shared") == 1
    for status, words in (("paused", "Paused"), ("active", "Connected"), ("withdrawn", "no longer shares with us")):
        provider.status = status
        assert words in office.open("/connector/status").text


def test_while_the_provider_is_unreachable_the_page_shows_the_last_known_status(office, provider, monkeypatch):
    office.sign_in()
    monkeypatch.setattr("clients.assembly.connector_views.STATUS_CACHE_SECONDS", -1.0)

    def raise_unreachable(*_anything, **_more):
        raise ProviderUnreachable

    monkeypatch.setattr("clients.assembly.provider.Provider.call", raise_unreachable)
    page = office.open("/connector")

    assert page.status_code == 200
    assert "this is what we knew last" in page.text
    assert "School not verified yet" in page.text


def test_an_authorisation_is_shown_if_the_browser_never_came_back(office, provider, program):
    provider.verification, provider.scope, provider.withheld = "verified", ASSEMBLY.scope, ""
    office.post("/connector/grant-access", name="Grace Okafor")
    program.background.work_once(poll=True)

    page = office.open("/connector").text
    assert "Authorised" in page
    assert "has to sign in here once, with the school account" in page


def test_names_of_pupils_are_shown_only_to_people_signed_in_by_the_provider(
    app, provider, office, program, monkeypatch
):
    received = {
        "areas": ["students"],
        "kinds": {"students": {"count": 412, "sample": [{"id": "1", "name": "Ada Pupil"}]}},
    }
    monkeypatch.setattr(resource, "read", lambda *_anything: received)
    monkeypatch.setattr("clients.assembly.connector_views.RECEIVE_SECONDS", 10**9)
    provider.verification, provider.scope, provider.withheld = "verified", ASSEMBLY.scope, ""
    head = Person(app, provider)
    head.sign_in()
    connections.receive(program.database, program.provider, replace(program.settings, resource="http://x"), ESTAB)

    assert "Ada Pupil" in head.open("/connector").text
    page = office.open("/connector").text
    assert "412" in page
    assert "Ada Pupil" not in page
    assert "Disconnect</button>" not in page
    assert office.post("/connector/disconnect").status_code == 303
    assert "Ada Pupil" in head.open("/connector").text
    office.sign_in()
    assert "Ada Pupil" in office.open("/connector").text


def test_the_reason_of_a_refused_invitation_is_shown(office, provider):
    provider.refuses_invitations = {"code": "too_many_mails", "detail": "Five mails a day.", "errors": [
        {"field": "contact", "detail": "has had five"}]}  # fmt: skip
    office.post("/connector/grant-access", name="Grace Okafor")

    page = office.open("/connector").text
    assert "Five mails a day. contact: has had five." in page
    assert "Grant Access" in page


@pytest.mark.usefixtures("no_status_cache")
def test_the_mail_can_be_sent_again_and_the_person_it_was_forwarded_to_is_shown(office, provider):
    office.post("/connector/send-again")
    office.post("/connector/grant-access", name="Grace Okafor")
    office.post("/connector/send-again")
    assert "on its way again" in office.open("/connector").text
    provider.refuses_invitations = {"code": "too_many_mails", "detail": "Three times at most."}
    office.post("/connector/send-again")
    assert "Three times at most." in office.open("/connector").text
    provider.invitation_state, provider.forwarded_to = "forwarded", {"name": "Ada Head", "email": "ada@school.example"}
    assert "Ada Head (ada@school.example)" in office.open("/connector/status").text
    provider.invitation_state = "deleted"
    assert "The e-mail has expired" in office.open("/connector/status").text


def test_an_invitation_that_fails_does_not_delay_the_others(office, program, provider, settings):
    key = invitations.request(program.database, settings, accounts.find(program.database, 1), "Grace Okafor")
    with program.database.transaction() as connection:
        connection.execute(
            "INSERT INTO invitations SELECT 'invalid', account_id, 'no JSON', NULL, state, NULL, NULL, 0, 0 "
            "FROM invitations WHERE idempotency_key = ?", (key,),
        )  # fmt: skip
    invitations.send_waiting(program.database, program.provider)
    program.background.work_once(poll=True)

    assert list(provider.invitations) == [key]


@pytest.mark.usefixtures("office")
def test_while_the_provider_is_unreachable_a_round_tries_one_invitation_and_one_event(program, monkeypatch):
    attempts = []

    def raise_unreachable(_method, path, **_options):
        attempts.append(path)
        raise ProviderUnreachable

    monkeypatch.setattr(program.provider, "call_as_client", raise_unreachable)
    with program.database.transaction() as connection:
        for key in ("one", "two"):
            connection.execute(
                "INSERT INTO invitations (idempotency_key, account_id, request, state, created_at, checked_at) "
                "VALUES (?, 1, '{}', 'sending', 0, 0)",
                (key,),
            )
            connection.execute("INSERT INTO received_tokens VALUES (?, ?, 'school-verified', 4e9, NULL)", (key, ESTAB))
    invitations.send_waiting(program.database, program.provider)
    events.handle_waiting(program.database, program.provider, program.settings)

    assert attempts == ["/api/invitations", f"/api/schools/{ESTAB}"]


@pytest.mark.usefixtures("office")
def test_an_invitation_that_cannot_be_checked_does_not_delay_the_others(program, monkeypatch):
    attempts = set()

    def raise_unreachable(_method, path, **_options):
        attempts.add(path)
        raise ProviderUnreachable

    monkeypatch.setattr(program.provider, "call_as_client", raise_unreachable)
    with program.database.transaction() as connection:
        for key in ("one", "two"):
            connection.execute(
                "INSERT INTO invitations (idempotency_key, account_id, request, provider_id, state, created_at, "
                "checked_at) VALUES (?, 1, '{}', ?, 'sent', 0, 0)",
                (key, key),
            )
    for _ in range(60):
        with pytest.raises(ProviderUnreachable):
            invitations.check_open(program.database, program.provider)

    assert attempts == {"/api/invitations/one", "/api/invitations/two"}


def test_a_step_of_the_background_thread_that_fails_is_named_in_the_log(program, monkeypatch, caplog):
    monkeypatch.setattr(connections, "revoke_waiting", lambda *_parts: {}["missing"])
    handled = []
    monkeypatch.setattr(events, "handle_waiting", lambda *_parts: handled.append(True))
    program.background.work_once()

    assert "the step 'revoke tokens' failed and will be retried: KeyError: 'missing'" in caplog.text
    assert handled


def test_the_background_thread_stops_between_two_steps(program, monkeypatch):
    monkeypatch.setattr(mail, "send_due", lambda *_parts: program.background.stop())
    attempts = []
    monkeypatch.setattr(invitations, "send_waiting", lambda *_parts: attempts.append(True))
    program.background.work_once()

    assert not attempts


def test_a_token_whose_revocation_is_refused_does_not_delay_the_others(program, monkeypatch):
    def refuse_one(token):
        if token == "refused":
            raise RequestRefused("invalid_request")

    monkeypatch.setattr(program.provider, "revoke", refuse_one)
    with program.database.transaction() as connection:
        connection.executemany("INSERT INTO tokens_to_revoke VALUES (?)", [("refused",), ("accepted",)])
    connections.revoke_waiting(program.database, program.provider)

    with program.database.transaction() as connection:
        assert [row[0] for row in connection.execute("SELECT refresh_token FROM tokens_to_revoke")] == ["refused"]


@pytest.fixture
def connected(provider, settings):
    """A person of a school that shares, at an application with the URL of the data API."""
    provider.verification, provider.scope, provider.withheld = "verified", ASSEMBLY.scope, ""
    person = Person(create_app(replace(settings, resource=f"{provider.issuer}/data")), provider)
    person.sign_in()
    return person


def a_pupil(number, **options):
    return {
        "id": f"p{number}",
        "legal_given_name": f"Pupil {number}",
        "year_group": "y7",
        "sen_needs": ["a"],
        **options,
    }


def a_school_of(pupils, delta="http://unused", **options):
    """The API's responses for a school with this number of pupils."""
    return {
        "schools/me": {
            "estab_id": ESTAB, "estab_status": "verified", "scopes": ["students"],
            "collections": {"students": {"total": pupils}},
        },
        "students": {
            "students": [a_pupil(number) for number in range(pupils)], "total": pupils, "next": None, "delta": delta,
        },
    } | options  # fmt: skip


@pytest.mark.usefixtures("no_status_cache")
def test_the_first_data_of_a_school_are_read_at_once_and_later_ones_once_a_minute(connected, provider):
    provider.connection = "awaiting_endpoint"
    provider.data = {"schools/me": {"status": 409, "code": "endpoint_not_registered"}}
    assert "<dd>9</dd>" not in connected.open("/connector").text
    provider.connection, provider.data = "connected", a_school_of(9)
    assert "<dd>9</dd>" in connected.open("/connector").text
    provider.data = a_school_of(8)
    assert "<dd>9</dd>" in connected.open("/connector").text, "the rest comes once a minute"


@pytest.mark.usefixtures("no_status_cache")
def test_the_records_received_are_counted_and_some_are_shown(connected, provider, monkeypatch):
    monkeypatch.setattr("clients.assembly.connector_views.RECEIVE_SECONDS", -1.0)
    provider.data = {"schools/me": {"scopes": ["students"], "collections": {}}}
    assert "Nothing received yet" in connected.open("/connector").text
    provider.data = a_school_of(9)
    page = connected.open("/connector").text
    assert "<dd>9</dd>" in page
    assert "Legal given name</th>" in page
    assert "Year group" not in page, "an id says nothing to people"
    assert "Pupil 4" in page
    assert "Pupil 5" not in page
    provider.data = {"schools/me": 401}
    provider.status = "withdrawn"
    page = connected.open("/connector").text
    assert "no longer shares" in page
    assert "<dd>9</dd>" in page, "it is kept until the school is disconnected here"
    connected.post("/connector/disconnect")
    assert "<dd>9</dd>" not in connected.open("/connector").text


@pytest.mark.usefixtures("no_status_cache")
def test_records_are_read_from_all_pages(connected, provider, monkeypatch):
    monkeypatch.setattr("clients.assembly.connector_views.RECEIVE_SECONDS", -1.0)
    at = f"{provider.issuer}/data/v1/students?cursor="
    provider.data = a_school_of(3) | {
        "students?two": {"students": [a_pupil(4)], "total": 4, "next": None, "delta": f"{at}d"},
    }
    provider.data["students"]["next"] = f"{at}two"
    assert "<dd>4</dd>" in connected.open("/connector").text


@pytest.mark.usefixtures("no_status_cache")
def test_later_reads_fetch_changes_only_and_delete_removed_records(connected, provider, monkeypatch):
    monkeypatch.setattr("clients.assembly.connector_views.RECEIVE_SECONDS", -1.0)
    at = f"{provider.issuer}/data/v1/students?cursor="
    changes = {"students": [a_pupil(1, legal_given_name="Renamed")], "deleted": ["p0"], "total": 2}
    provider.data = a_school_of(3, delta=f"{at}one") | {
        "students?one": changes | {"next": f"{at}two", "delta": f"{at}two"},
        "students?two": {"students": [], "deleted": [], "total": 2, "next": None, "delta": f"{at}three"},
        "students?three": {"students": [], "deleted": [], "total": 2, "next": None, "delta": f"{at}three"},
    }
    assert "Pupil 0" in connected.open("/connector").text
    provider.data["students"] = 500  # it is not read from the beginning again
    for _ in range(2):
        page = connected.open("/connector").text
        assert "2 <span" in page
        assert "1 new or changed, 1 gone" in page
        assert "Pupil 0" not in page
        assert "Renamed" in page
        assert "Pupil 2" in page


@pytest.mark.usefixtures("no_status_cache")
def test_all_records_are_read_again_after_an_expired_cursor(connected, provider, monkeypatch):
    monkeypatch.setattr("clients.assembly.connector_views.RECEIVE_SECONDS", -1.0)
    at = f"{provider.issuer}/data/v1/students?cursor="
    provider.data = a_school_of(3, delta=f"{at}one") | {"students?one": {"code": "cursor_expired", "status": 410}}
    connected.open("/connector")
    provider.data["students"] = a_school_of(2, delta=f"{at}one")["students"]
    page = connected.open("/connector").text
    assert "<dd>2</dd>" in page
    assert "Pupil 2" not in page


@pytest.mark.usefixtures("no_status_cache")
@pytest.mark.parametrize(
    ("responses", "words"),
    [
        ({"schools/me": {"estab_status": "unverified", "scopes": []}}, "is not verified yet, and until then"),
        ({"schools/me": {"code": "school_unverified", "status": 403}}, "is not verified yet, and until then"),
        ({"students": {"code": "endpoint_not_registered", "status": 409}}, "has not sent any: install it"),
        ({"schools/me": {"code": "insufficient_scope", "status": 403}}, "shares none of this"),
    ],
)
def test_the_reason_why_there_are_no_data_is_shown(connected, provider, monkeypatch, responses, words):
    monkeypatch.setattr("clients.assembly.connector_views.RECEIVE_SECONDS", -1.0)
    provider.data = a_school_of(3)
    assert "<dd>3</dd>" in connected.open("/connector").text
    provider.data = a_school_of(3) | responses
    if "students" in responses:
        connected.post("/connector/disconnect")
        connected.sign_in()
    page = connected.open("/connector").text
    assert words in page
    assert "<dd>3</dd>" not in page


@pytest.mark.usefixtures("no_status_cache")
def test_an_error_of_the_api_that_sharing_is_paused_is_shown_and_the_data_are_kept(connected, provider, monkeypatch):
    monkeypatch.setattr("clients.assembly.connector_views.RECEIVE_SECONDS", -1.0)
    monkeypatch.setattr("clients.assembly.connector_views.STATUS_CACHE_SECONDS", 10**9)
    provider.data = a_school_of(3)
    connected.open("/connector")
    provider.data = {"schools/me": {"code": "authorisation_paused", "status": 403}}
    provider.status = "paused"
    page = connected.open("/connector").text
    assert "Your school has paused sharing with us." in page
    assert "<dd>3</dd>" in page


@pytest.mark.usefixtures("no_status_cache")
@pytest.mark.parametrize(("closing", "words"), [("announced", "is going to close"), ("closed", "has closed")])
def test_the_page_of_a_closing_school_says_what_that_means_for_sharing(connected, provider, closing, words):
    assert "national register" not in connected.open("/connector/status").text
    provider.closing = closing
    page = connected.open("/connector/status").text
    assert words in page
    assert ">Connected<" in page


@pytest.mark.usefixtures("no_status_cache")
def test_a_system_that_is_not_accepted_is_shown_until_it_is_changed(connected, provider):
    provider.mis_accepted, provider.connection = False, "paused"
    page = connected.open("/connector/status").text
    assert ">Paused: another system<" in page
    assert ">Connected<" not in page
    assert ">Shared<" not in page

    provider.mis_accepted, provider.connection = True, "connected"
    assert ">Connected<" in connected.open("/connector/status").text


def test_an_unreadable_response_of_the_api_changes_nothing(connected, provider, monkeypatch):
    monkeypatch.setattr("clients.assembly.connector_views.RECEIVE_SECONDS", -1.0)
    provider.data = {"schools/me": 500}
    page = connected.open("/connector")
    assert page.status_code == 200
    assert ">Connected<" in page.text
    provider.data = {"schools/me": 204}
    assert connected.open("/connector").status_code == 200


@pytest.mark.usefixtures("no_status_cache")
def test_a_school_can_be_invited_again_after_sharing_has_ended(office, provider):
    office.sign_in()
    provider.status = "withdrawn"
    assert "no longer shares" in office.open("/connector").text
    office.post("/connector/grant-access", name="Grace Okafor")
    page = office.open("/connector").text
    assert "E-mail sent" in page
    provider.status = "active"
    office.sign_in()
    assert "School not verified yet" in office.open("/connector").text


@pytest.mark.parametrize(
    ("verification", "words"),
    [("closed", "School closed"), ("rejected", "Registration not accepted"), ("suspended", "Suspended")],
)
@pytest.mark.usefixtures("no_status_cache")
def test_what_our_staff_decide_about_the_school_is_shown(office, provider, verification, words):
    office.sign_in()
    provider.verification = verification

    assert f">{words}<" in office.open("/connector").text


def test_buttons_that_need_a_connection_do_nothing_without_one(office):
    for path in ("check", "disconnect", "send-again"):
        assert office.post(f"/connector/{path}").location == "/connector"


def test_disconnecting_deletes_what_was_received_and_revokes_the_token(person, provider, program, monkeypatch):
    person.sign_in()
    person.post("/connector/disconnect")
    with monkeypatch.context() as patched:
        patched.setattr(program.provider, "revoke", lambda _token: (_ for _ in ()).throw(ProviderUnreachable))
        program.background.work_once()
    assert not [post for post in provider.token_requests if "token" in post]
    program.background.work_once()
    program.background.work_once()

    assert [post["token"] for post in provider.token_requests if "token" in post] == ["the-refresh-token"]
    assert ">Disconnected<" in person.open("/connector").text
    with pytest.raises(connections.NoAccessToken):
        connections.access_token(program.database, program.provider, ESTAB)
    person.sign_in()
    assert "School not verified yet" in person.open("/connector").text


def test_of_six_threads_that_need_a_token_at_once_one_refreshes_it(person, provider, program):
    person.sign_in()
    with program.database.transaction() as connection:
        connection.execute("UPDATE connections SET access_until = 0")
    provider.token_requests.clear()
    provider.delay_seconds = 0.3
    tokens = []

    def get_token():
        tokens.append(connections.access_token(program.database, program.provider, ESTAB))

    threads = [threading.Thread(target=get_token) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert tokens == ["the-access-token"] * 6
    assert len([post for post in provider.token_requests if post["grant_type"] == "refresh_token"]) == 1


def test_a_refresh_whose_response_was_lost_is_sent_again(person, provider, program):
    person.sign_in()
    with program.database.transaction() as connection:
        connection.execute("UPDATE connections SET access_until = 0")
    provider.lost_responses = {"token"}
    with pytest.raises(ProviderUnreachable):
        connections.access_token(program.database, program.provider, ESTAB)

    assert connections.access_token(program.database, program.provider, ESTAB) == "the-access-token"


def test_a_refresh_refused_for_another_reason_does_not_delay_others(person, provider, program):
    person.sign_in()
    with program.database.transaction() as connection:
        connection.execute("UPDATE connections SET access_until = 0")
    provider.token_errors["refresh_token"] = "invalid_request"
    with pytest.raises(RequestRefused):
        connections.access_token(program.database, program.provider, ESTAB)
    provider.token_errors.clear()
    began = time.monotonic()

    assert connections.access_token(program.database, program.provider, ESTAB) == "the-access-token"
    assert time.monotonic() - began < 20


def test_a_process_killed_during_a_refresh_delays_others_only_briefly(person, provider, program, monkeypatch):
    person.sign_in()
    with program.database.transaction() as connection:
        connection.execute("UPDATE connections SET access_until = 0, refresh_claimed_until = ?", (time.time() + 0.3,))

    assert connections.access_token(program.database, program.provider, ESTAB) == "the-access-token"


def test_a_person_who_signs_in_for_another_school_sees_that_school(office, provider):
    provider.userinfo_overrides = {"estab_id": "9999999", "organisation": {"name": "Elm Park School", "urn": "900002"}}
    page = office.sign_in()

    assert "<h1>Elm Park School</h1>" in page
    assert "Grant Access" not in page


# Events


def post_event(person, token, content_type="application/secevent+jwt"):
    return person.web.post("/events", data=token, content_type=content_type)


def test_after_an_event_the_status_is_read_from_the_provider(person, provider, program):
    person.sign_in()
    provider.status = "withdrawn"
    response = post_event(person, provider.event("sharing-withdrawn"))
    assert (response.status_code, response.data) == (202, b"")
    program.background.work_once()

    assert connections.find(program.database, estab_id=ESTAB).status == "withdrawn"


def test_an_event_that_the_provider_does_not_confirm_changes_nothing(person, provider, program):
    person.sign_in()
    assert post_event(person, provider.event("sharing-withdrawn")).status_code == 202
    program.background.work_once()

    assert connections.find(program.database, estab_id=ESTAB).status == "awaiting_verification"


def test_an_event_received_twice_is_acknowledged_twice_and_processed_once(person, provider, program, monkeypatch):
    handled = []
    monkeypatch.setattr(connections, "check", lambda *args: handled.append(args[-1]))
    token = provider.event("school-verified")
    assert [post_event(person, token).status_code for _ in range(2)] == [202, 202]
    program.background.work_once()
    program.background.work_once()

    assert handled == [ESTAB]


def test_an_event_is_processed_later_while_the_provider_is_unreachable(person, provider, program, monkeypatch):
    def raise_unreachable(*_anything):
        raise ProviderUnreachable

    person.sign_in()
    provider.status = "withdrawn"
    with monkeypatch.context() as patched:
        patched.setattr(connections, "check", raise_unreachable)
        post_event(person, provider.event("sharing-withdrawn"))
        program.background.work_once()
    program.background.work_once()

    assert connections.find(program.database, estab_id=ESTAB).status == "withdrawn"


def test_the_state_of_an_invitation_is_read_after_an_event_about_it(office, provider, program):
    office.post("/connector/grant-access", name="Grace Okafor")
    provider.invitation_state = "forwarded"
    post_event(office, provider.event("invitation-forwarded", sub_id=None))
    program.background.work_once()

    assert invitations.find_newest(program.database, 1, URN).state == "forwarded"


def test_the_verification_event_and_unknown_kinds_are_acknowledged(person, provider):
    verification = {events.VERIFICATION: {"state": "abc"}}
    assert post_event(person, provider.event("", events=verification)).status_code == 202
    assert post_event(person, provider.event("", events={"https://other.example/event": {}})).status_code == 202


@pytest.mark.parametrize(
    ("claims", "err"),
    [
        ({"aud": "another"}, "invalid_audience"),
        ({"iss": "http://localhost:1"}, "invalid_issuer"),
        ({"jti": None}, "invalid_request"),
        ({"events": {}}, "invalid_request"),
        ({"exp": 4_000_000_000}, "invalid_request"),
        ({"iat": 4_000_000_000}, "invalid_request"),
    ],
    ids=str,
)
def test_a_wrong_event_is_refused_with_its_reason(person, provider, program, claims, err):
    response = post_event(person, provider.event("school-verified", **claims))

    assert (response.status_code, response.json["err"]) == (400, err)
    assert response.headers["Content-Language"] == "en", "RFC 8935 §2.3: it MUST say the language of the description"
    with program.database.transaction() as connection:
        assert not connection.execute("SELECT 1 FROM received_tokens").fetchall()


def test_a_body_that_is_not_a_valid_event_is_refused(person, provider):
    assert post_event(person, "nonsense").json["err"] == "invalid_request"
    assert post_event(person, "é".encode()).status_code == 400
    assert post_event(person, "x" * 20_000).status_code == 400
    assert post_event(person, provider.event("school-verified"), "text/plain").status_code == 400
    assert post_event(person, provider.logout_token()).json["err"] == "invalid_request", "of another type"
    provider.signing_key = ECKey.generate_key("P-256", {"kid": "one"})
    assert post_event(person, provider.event("school-verified")).json["err"] == "invalid_key"


# Back-channel logout


def post_logout_token(person, token):
    return person.web.post("/backchannel-logout", data={"logout_token": token})


@pytest.mark.parametrize("claim", ["sub", "sid"])
def test_a_logout_token_ends_the_session_here(app, person, provider, claim):
    person.sign_in()
    other = Person(app, provider)
    assert post_logout_token(other, provider.logout_token(**{claim: None})).status_code == 200

    assert person.open("/connector").location == "/sign-in"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "n"}, {"events": {}}, {"exp": 1}, {"iat": 1}, {"sub": None, "sid": None}, {"aud": "another"},
        {"jti": None},
    ],
    ids=str,
)  # fmt: skip
def test_an_invalid_logout_token_is_refused_and_ends_no_session(person, provider, claims):
    person.sign_in()

    response = post_logout_token(person, provider.logout_token(**claims))
    assert (response.status_code, response.json["error"]) == (400, "invalid_request")
    assert "Grace Okafor" in person.open("/connector").text


def test_a_logout_token_of_another_session_ends_nothing_here(person, provider):
    person.sign_in()
    assert post_logout_token(person, provider.logout_token(sid="another-session")).status_code == 200
    assert "Grace Okafor" in person.open("/connector").text
