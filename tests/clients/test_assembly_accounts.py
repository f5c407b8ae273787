"""Signing up at Assembly: invite codes, the mailed link, passwords, and the school with its system."""

import smtplib
import socket
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from clients.assembly import accounts, invite_codes, mail, web
from clients.assembly.__main__ import main
from clients.assembly.app import create_app
from clients.assembly.applications import SCHOOLBOOKING
from clients.assembly.database import Database
from tests.clients.conftest import EMAIL, HOST, PASSWORD, Person, link_in, without_tokens
from tests.clients.provider import URN


def test_a_person_signs_up_activates_and_is_asked_for_the_school(person, deliver_mails, program):
    assert "020 8506 6100" in person.open("/sign-up").text, "whom to contact without a code"
    assert person.sign_up().location == "/check-email"
    assert EMAIL in person.open("/check-email").text
    [text] = deliver_mails(program)
    activated = person.post(link_in(text), password=PASSWORD)

    assert activated.location == "/school"
    assert person.open("/").location == "/connector"


def test_opening_the_activation_link_without_pressing_the_button_does_not_use_it(person, deliver_mails, program):
    person.sign_up()
    link = link_in(deliver_mails(program)[0])
    for _ in range(3):
        assert "Enter the password that you chose" in person.open(link).text
    assert person.post(link).status_code == 400
    assert person.post(link, password="another password").status_code == 400

    assert person.post(link, password=PASSWORD).status_code == 303
    assert "no longer works" in person.open(link).text
    assert person.post(link, password=PASSWORD).status_code == 400


def test_a_link_no_longer_works_after_a_newer_one_was_sent_or_after_a_day(person, deliver_mails, program, monkeypatch):
    person.sign_up()
    old = link_in(deliver_mails(program)[0])
    monkeypatch.setattr(accounts, "RESEND_SECONDS", -1)
    person.post("/resend", email=EMAIL)
    new = link_in(deliver_mails(program)[-1])

    assert new != old
    assert person.open(old).status_code == 404
    assert person.open(new).status_code == 200
    with program.database.transaction() as connection:
        connection.execute("UPDATE accounts SET activation_expires_at = 1")
    assert person.post(new, password=PASSWORD).status_code == 400


def test_a_mail_is_not_sent_again_within_a_minute(person, deliver_mails, program):
    person.sign_up()
    deliver_mails(program)
    person.post("/resend", email=EMAIL)

    assert len(deliver_mails(program)) == 1


def test_signing_up_with_a_known_address_gets_the_same_response_and_a_mail_to_its_owner(
    app, provider, person, deliver_mails, program
):
    person.create_account(deliver_mails, program)
    code = invite_codes.create(program.database)
    stranger = Person(app, provider)
    known = stranger.sign_up(code=code, password="a strangers password")

    assert (known.status_code, known.location) == (303, "/check-email")
    assert "You already have an account" not in stranger.open("/check-email").text
    assert "You already have an account" in "".join(deliver_mails(program))
    second = stranger.sign_up(code=code, email="another@school.example")
    assert second.status_code == 400, "the code is used up; otherwise it would reveal whether an address is known"
    assert stranger.post("/sign-in", email=EMAIL, password="a strangers password").status_code == 400


def test_the_response_to_resending_is_the_same_for_every_address(person, deliver_mails, program):
    person.sign_up()
    addresses = (EMAIL, "unknown@school.example", "no address")
    pages = {
        without_tokens(person.web.post("/resend", data={"email": email}, **HOST, follow_redirects=True).text).replace(
            email, ""
        )
        for email in addresses
    }

    assert len(pages) == 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"code": "nonsense"}, "unknown, has been used, or has expired"),
        ({"code": ""}, "Enter the invite code"),
        ({"email": "office"}, "Enter an e-mail address"),
        ({"password": "short"}, "12 to 200 characters"),
        ({"terms": ""}, "accept the terms of service"),
        ({"terms": "2020-01"}, "accept the terms of service"),
    ],
    ids=str,
)
def test_errors_of_the_form_are_shown_and_what_was_typed_stays_in_it(person, program, fields, error):
    page = person.sign_up(**fields)

    assert page.status_code == 400
    assert error in page.text
    assert f'value="{fields.get("email", EMAIL)}"' in page.text
    assert PASSWORD not in page.text
    with program.database.transaction() as connection:
        assert not connection.execute("SELECT 1 FROM accounts").fetchall()


def test_an_invite_code_expires(person, program):
    code = invite_codes.create(program.database, days=0)
    assert person.sign_up(code=code).status_code == 400


def test_of_two_people_who_use_the_last_place_of_an_invite_code_at_once_one_signs_up(program):
    code, results = invite_codes.create(program.database, uses=1), []

    def sign_up(number):
        try:
            accounts.sign_up(
                program.database, code=code, email=f"office{number}@school.example", password=PASSWORD,
                terms_version=accounts.TERMS_VERSION,
            )  # fmt: skip
            results.append("signed up")
        except accounts.InvalidInput:
            results.append("refused")

    threads = [threading.Thread(target=sign_up, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == ["refused"] * 3 + ["signed up"]


def test_wrong_passwords_are_limited_and_unknown_addresses_get_the_same_response(person, deliver_mails, program):
    person.create_account(deliver_mails, program)
    person.post("/sign-out")
    wrong = person.post("/sign-in", email=EMAIL, password="not the password")
    unknown = person.post("/sign-in", email="unknown@school.example", password="not the password")
    assert without_tokens(wrong.text.replace(EMAIL, "")) == without_tokens(
        unknown.text.replace("unknown@school.example", "")
    )
    for _ in range(9):
        person.post("/sign-in", email=EMAIL, password="not the password")

    assert "too many attempts" in person.post("/sign-in", email=EMAIL, password=PASSWORD).text


def test_a_mail_that_cannot_be_sent_waits(person, program, deliver_mails, monkeypatch):
    person.sign_up()
    mail.send_due(program.database, replace(program.settings, smtp_port=1))
    assert deliver_mails(program) == []
    monkeypatch.setattr(mail, "RETRY_SECONDS", 0)
    with program.database.transaction() as connection:
        connection.execute("UPDATE mails SET due_at = 0")

    assert len(deliver_mails(program)) == 1
    assert len(deliver_mails(program)) == 1, "it is sent once"


@pytest.fixture
def waiting_mails(program):
    """Two mails that are due, to `a@school.example` and `b@school.example`, in this order."""
    for number, email in enumerate(("a@school.example", "b@school.example"), start=1):
        accounts.sign_up(
            program.database, code="WELCOME", email=email, password="a good password", terms_version="2026-01"
        )
        with program.database.transaction() as connection:
            connection.execute("UPDATE mails SET due_at = ? WHERE account_id = ?", (number, number))


@pytest.fixture
def smtp_server(monkeypatch):
    """A fake of smtplib's client: `attempts` has the recipients; `on_send` is called for each and may raise."""
    server = SimpleNamespace(attempts=[], on_send=lambda: None)

    class FakeSMTP:
        def __init__(self, *_address, **_options):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_exception):
            pass

        def send_message(self, message):
            server.attempts.append(message["To"])
            server.on_send()

    monkeypatch.setattr(smtplib, "SMTP", FakeSMTP)
    return server


@pytest.mark.usefixtures("waiting_mails")
def test_a_mail_server_that_does_not_respond_takes_one_timeout_of_a_round(program, monkeypatch):
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(mail, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(mail, "MAX_ATTEMPTS", 5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = replace(program.settings, smtp_host="127.0.0.1", smtp_port=silent.getsockname()[1])
        mail.send_due(program.database, settings)
    with program.database.transaction() as connection:
        attempts = [row["attempts"] for row in connection.execute("SELECT attempts FROM mails ORDER BY id")]
    assert attempts == [1, 0]


@pytest.mark.usefixtures("waiting_mails")
def test_a_mail_that_the_server_refuses_does_not_delay_the_others(program, smtp_server):
    def refuse_the_first():
        if len(smtp_server.attempts) == 1:
            raise smtplib.SMTPRecipientsRefused({})

    smtp_server.on_send = refuse_the_first
    mail.send_due(program.database, program.settings)
    assert smtp_server.attempts == ["a@school.example", "b@school.example"]
    with program.database.transaction() as connection:
        assert [row["account_id"] for row in connection.execute("SELECT account_id FROM mails")] == [1]


@pytest.mark.usefixtures("waiting_mails")
def test_a_mail_that_is_being_sent_is_not_taken_by_a_second_process(program, smtp_server, monkeypatch):
    def second_process_looks_a_minute_later():
        smtp_server.on_send = lambda: None
        a_minute_later = time.time() + 60
        monkeypatch.setattr(time, "time", lambda: a_minute_later)
        mail.send_due(program.database, program.settings)

    smtp_server.on_send = second_process_looks_a_minute_later
    mail.send_due(program.database, program.settings)
    assert smtp_server.attempts == ["a@school.example", "b@school.example"]


@pytest.mark.usefixtures("waiting_mails")
def test_a_mail_that_an_earlier_version_has_queued_is_sent(program, smtp_server):
    with program.database.transaction() as connection:
        connection.execute("UPDATE mails SET kind = 'known'")
    mail.send_due(Database(program.settings.database), program.settings)
    assert smtp_server.attempts == ["a@school.example", "b@school.example"]


@pytest.mark.usefixtures("waiting_mails")
def test_a_mail_that_is_no_longer_tried_is_logged(program, smtp_server, caplog):
    with program.database.transaction() as connection:
        connection.execute("UPDATE mails SET attempts = ? WHERE account_id = 1", (mail.MAX_ATTEMPTS,))
    mail.send_due(program.database, program.settings)
    assert smtp_server.attempts == ["b@school.example"]
    assert [record.message for record in caplog.records if record.name == mail.__name__] == [
        f"mail 1 (activate) was given up after {mail.MAX_ATTEMPTS} attempts"
    ]


def test_the_school_is_found_by_name_and_postcode_and_chosen_with_its_system(person, deliver_mails, program):
    person.sign_up()
    person.post(link_in(deliver_mails(program)[0]), password=PASSWORD)
    for typed in ("willow", "AB1 2CD"):
        assert "Willow Bank Primary School" in person.open(f"/school?q={typed}").text
        assert "Willow Bank Primary School" in person.open(f"/school/search?q={typed}").text
    assert "No school matches" in person.open("/school?q=nowhere").text
    assert "<noscript> To see the list, press Search.</noscript>" in person.open("/school").text
    for name in ("SIMS", "CMIS", "Pupil Asset", "iSAMS", "Arbor"):
        assert f">{name}</option>" in person.open("/school").text
    incomplete = person.post("/school", q="willow")
    assert "Choose your school from the list" in incomplete.text
    assert "Choose your school&#39;s management information system" in incomplete.text
    assert person.post("/school", urn="1234", mis="sims").status_code == 400

    assert person.post("/school", urn=URN, mis="pupil_asset").location == "/connector"
    page = person.open("/connector").text
    assert "Grant Access" in page
    assert "Pupil Asset" in page


def test_schoolbooking_refuses_other_systems_than_isams_and_arbor_with_the_reason(settings, provider, deliver_mails):
    app = create_app(replace(settings, application=SCHOOLBOOKING, client_id="schoolbooking"))
    with app.app_context():
        program = web.current_program()
    person = Person(app, provider)
    person.sign_up()
    person.post(link_in(deliver_mails(program)[0]), password=PASSWORD)
    refused = person.post("/school", urn=URN, mis="sims")

    assert refused.status_code == 400
    assert "SchoolBooking is only available for iSAMS and Arbor schools" in refused.text
    assert "each child&#39;s teachers together with their parents" in refused.text
    assert "020 8506 6100" in refused.text
    assert 'value="sims" selected' in refused.text
    assert person.post("/school", urn=URN, mis="arbor").location == "/connector"


def test_pages_redirect_to_sign_in_without_a_session(person):
    for path in ("/school", "/connector"):
        assert person.open(path).location == "/sign-in"
    assert person.open("/school/search?q=willow").status_code == 401
    assert person.open("/connector/status").status_code == 401


def test_the_commands_make_a_code_and_a_key(tmp_path, monkeypatch, person, program):
    monkeypatch.setenv("ASSEMBLY_DATA", str(tmp_path))
    made = CliRunner().invoke(main, ["invite-code", "--uses", "2", "--note", "for two"])
    assert (made.exit_code, len(made.output.strip())) == (0, 17)
    codes = [person.sign_up(code=made.output.strip(), email=f"{name}@school.example").status_code for name in "abc"]
    assert codes == [303, 303, 400]

    assert "will be used after 5 minutes" in CliRunner().invoke(main, ["rotate-key"]).output
    assert len(program.keys.public()["keys"]) == 2
    monkeypatch.setenv("ASSEMBLY_PORT", "many")
    wrong = CliRunner().invoke(main, ["rotate-key"])
    assert wrong.exit_code == 2
    assert "ASSEMBLY_PORT" in wrong.output
