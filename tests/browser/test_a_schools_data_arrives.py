"""A school's data, from the code on its server to the end of sharing, with the real programs."""

import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from clients.assembly import connections
from clients.assembly.applications import ASSEMBLY
from clients.assembly.database import Database
from clients.assembly.keys import Keys
from clients.assembly.provider import Provider
from clients.assembly.settings import Settings
from clients.endpoint.fictional_school import __main__ as fictional_school
from idp.demo.prepare import endpoint_manifest
from idp.foundation.setting_types import ROOT
from tests.browser.assembly import register
from tests.browser.test_a_partner_connects_a_school import NO_SERVER, Office
from tests.processes import eventually

PUPILS = 40


@dataclass
class Server:
    """The school's server, on which the endpoint is installed, and to which the MIS exports."""

    issuer: str
    home: Path
    mis: Path

    def begin(self, *command):
        """Start a command of the endpoint; returns the process."""
        arguments = [sys.executable, "-m", "clients.endpoint", "--home", str(self.home), *command]
        return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *command):
        """Run a command of the endpoint; returns its output."""
        process = self.begin(*command)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        return output

    def register(self, approve):
        """Register; calls `approve` with the link that the server shows. Returns the command's output."""
        process = self.begin("register", "--issuer", self.issuer, "--mis", "sims", "--source", str(self.mis / "sims"))
        output = ""
        try:
            while "user_code=" not in output:
                line = process.stdout.readline()
                assert line, output
                output += line
            approve(re.findall(r"\S+\?user_code=\S+", output)[0])
            rest, _ = process.communicate(timeout=120)
        finally:
            process.kill()
            process.communicate()
        assert process.returncode == 0, output + rest
        return rest

    def change_school(self, *options):
        """Change the fictional school, by the options of its command."""
        fictional_school.main([str(self.mis), *options], standalone_mode=False)


@pytest.fixture
def server(issuer, transaction, tmp_path):
    register(transaction, endpoint_manifest())
    server = Server(issuer, tmp_path / "endpoint", tmp_path / "mis")
    server.change_school("--pupils", str(PUPILS), "--mis", "sims")
    return server


@pytest.fixture
def read_api(issuer, partner_folder, partner_resource):
    """`read_api(estab_id, "/v1/students")` is the response to Assembly's newest token for this school."""
    settings = Settings(ASSEMBLY, issuer, "assembly", 5001, partner_folder)
    api = Provider(settings, Keys(settings.key_file))

    tokens = {}

    def read(estab_id, path):
        with suppress(
            connections.NoAccessToken
        ):  # Assembly deletes its tokens when an event says that sharing was stopped
            tokens[estab_id] = connections.access_token(Database(settings.database), api, estab_id)
        response = api.call("GET", path if "://" in path else f"{partner_resource}{path}", tokens[estab_id])
        return response.status_code, response.json()

    return read


@pytest.fixture
def wait_until_refused(read_api):
    """`wait_until_refused(estab_id, "/v1/students")` waits a second at most for a refusal; returns the problem."""

    def wait(estab_id, path):
        deadline = time.monotonic() + 1
        while True:
            is_late = time.monotonic() > deadline
            status, document = read_api(estab_id, path)
            if status != 200:
                return document
            assert not is_late, "the API still responds after a second"

    return wait


def test_a_schools_data_reaches_the_partner_until_sharing_ends(  # noqa: PLR0915  it is one journey
    new_window, a_member, partner, partner_mail, server, read_api, wait_until_refused, check_page
):
    head = a_member()
    office = Office(new_window(), head.school, f"data.{head.school.urn}@school.example", partner_mail.folder)
    office.sign_up(partner.url)
    office.activate(partner.url)
    office.choose_school("SIMS")
    head.start_sign_in_at(partner)
    head.sign_in()
    head.authorise("Staff", "Classes and groups", "Attendance")
    expect(office.page.locator("main")).to_contain_text("The program that reads the data from your system")
    expect(office.status()).to_have_text(NO_SERVER)
    check_page(office.page, "assembly-connector-without-endpoint")

    # The server shows a code, and the administrator approves it
    school_pages = head.at(head.page.context.new_page())

    def approve(link):
        school_pages.page.goto(link)
        school_pages.expect_heading("Connect a device or program")
        school_pages.press("Continue")
        check_page(school_pages.page, "device-of-the-endpoint")
        school_pages.page.locator("#allow").click()
        school_pages.expect_text("You can go back to the device or program")

    assert f"registered for the school {head.estab_id}" in server.register(approve)
    school_pages.open("/manage/endpoint")
    school_pages.expect_text("Nothing yet: the first extract is sent automatically")

    # The first extract, with progress; the connector turns to connected by itself, and shows pupils
    output = server.run("once")
    assert f"{PUPILS} students" in output
    assert "Sending: 100 %" in output
    expect(office.status()).to_have_text("Connected")
    expect(office.page.locator("main")).to_contain_text(re.compile(rf"Pupils\s*{PUPILS}"))
    expect(head.page.get_by_role("table", name="Pupils: the first few")).to_contain_text("Legal family name")
    check_page(head.page, "assembly-connector-with-data")
    school_pages.open("/manage/endpoint")
    school_pages.expect_text("Connected", "What was sent last")
    check_page(school_pages.page, "manage-endpoint-connected")

    # An area is switched off, and the next response lacks it
    status, page = read_api(head.estab_id, "/v1/attendance")
    assert (status, {"id", "student", "date", "mark"} <= page["attendance"][0].keys()) == (200, True)
    school_pages.open("/manage/sharing/assembly/change")
    school_pages.page.get_by_role("checkbox", name="Attendance").uncheck()
    school_pages.page.get_by_role("button", name="Save").click()
    school_pages.expect_text("has been changed")
    assert wait_until_refused(head.estab_id, "/v1/attendance")["code"] == "insufficient_scope"
    status, page = read_api(head.estab_id, "/v1/students")
    assert (status, page["total"]) == (200, PUPILS)

    # A pupil leaves, which the list of changes shows
    server.change_school("--change", "leaves")
    server.run("once")
    status, changes = read_api(head.estab_id, page["delta"])
    assert (status, len(changes["deleted"]), changes["total"]) == (200, 1, PUPILS - 1)
    office.page.get_by_role("button", name="Check again").click()
    expect(office.page.locator("main")).to_contain_text(re.compile(rf"Pupils\s*{PUPILS - 1}"))

    # Stopped: the next request is refused within a second
    school_pages.open("/manage/sharing/assembly/stop")
    school_pages.press("Stop sharing")
    school_pages.expect_text("Your school has stopped sharing with Assembly.")
    assert wait_until_refused(head.estab_id, "/v1/students")["code"] == "authorisation_ended"

    # The school's page shows who read what
    def count_reads():
        school_pages.open("/manage/endpoint")
        return school_pages.page.get_by_role("row", name=re.compile("Assembly Pupils")).count()

    eventually(count_reads)
