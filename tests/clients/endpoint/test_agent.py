"""The agent, with a fake provider and a fake receiver, which fail where a test sets it."""

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from datetime import datetime
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from click.testing import CliRunner

from clients.endpoint import cli
from clients.endpoint.agent import Agent
from clients.endpoint.connection import Connection
from clients.endpoint.dpop import Key
from clients.endpoint.errors import RegistrationEnded, RequestRefused, ServerUnreachable
from clients.endpoint.home import Home
from clients.endpoint.provider import CodeExpired, DeviceCode, Provider
from clients.endpoint.session import Session
from clients.endpoint.upload import Upload
from idp.foundation.setting_types import ROOT
from tests.clients.endpoint import servers as fake
from tests.processes import eventually


@pytest.fixture
def servers():
    with fake.running() as running:
        yield running


@pytest.fixture
def mis(exported, tmp_path):
    """The folder with SIMS's exports, which a test may change."""
    folder = tmp_path / "mis"
    shutil.copytree(exported / "sims", folder)
    return folder


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that the program would have slept; it does not sleep."""
    seconds: list[float] = []
    monkeypatch.setattr(cli, "sleep", seconds.append)
    return seconds


@pytest.fixture
def command(home, servers, mis):
    """`command("once")` returns the exit status and the output."""

    def run(*arguments, **options):
        if arguments[0] == "register":
            arguments = ("register", "--issuer", servers.issuer, "--mis", "sims", "--source", str(mis), *arguments[1:])
        result = CliRunner().invoke(cli.main, ["--home", str(home.folder), *arguments], **options)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


@pytest.fixture
def registered(command):
    """The server is registered."""
    status, output = command("register")
    assert status == 0, output


def new_agent(home, waits, **options):
    """An agent with the registration in this folder."""
    return Agent(Session(home, home.load()), sleep=waits.append, **options)


class TestRegister:
    def test_register_prints_the_code_and_its_links_and_waits_for_approval(self, command, servers, home):
        status, output = command("register", "--name", "mis-server-1")

        assert status == 0
        assert "WDJB-MJHT" in output
        assert f"{servers.issuer}/device?user_code=WDJB-MJHT" in output
        assert "registered for the school 3124567 as mis-server-1" in output
        assert servers.reports[0] | {"platform": "", "agent_version": ""} == {
            "name": "mis-server-1", "mis": "sims", "agent_version": "", "platform": "", "last_extract": None,
            "last_error": None,
        }  # fmt: skip

    def test_settings_keys_and_tokens_are_readable_by_this_account_only(self, registered, home):
        for path in (home.folder, home.extracts, home.folder / "endpoint.json"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0

    def test_the_agent_polls_more_slowly_after_slow_down(self, command, servers, waits):
        servers.decisions = ["authorization_pending", "slow_down", "authorization_pending"]

        assert command("register")[0] == 0
        assert waits == [0, 0, 5, 5]

    def test_polling_continues_after_the_provider_was_unreachable_for_a_moment(self, command, servers):
        servers.error_statuses = {"token": [0, 503]}
        servers.decisions = ["authorization_pending", "authorization_pending"]

        assert command("register")[0] == 0

    def test_an_unreachable_provider_never_shortens_the_interval_between_polls(self, monkeypatch):
        responses = [RequestRefused(400, "slow_down", "", {}, "")] * 13
        responses += [ServerUnreachable("busy", retry_after=seconds) for seconds in (None, 120, 3600)]
        responses += [RequestRefused(400, "expired_token", "", {}, "")]

        def poll(*_arguments, **_options):
            raise responses.pop(0)

        provider = Provider("https://idp.example", Connection(Key(Key.generate())))
        slept: list[float] = []
        monkeypatch.setattr(provider, "_tokens", poll)
        code = DeviceCode("device", "WDJB", "https://idp.example", "https://idp.example", expires_in=900, interval=5)
        with pytest.raises(CodeExpired):
            list(provider.poll(code, slept.append))
        assert slept[12:] == [65, 70, 70, 120, 185], "up to Retry-After, and not after the code has expired"

    def test_the_metadata_of_the_provider_is_read_again_after_an_hour(self, servers, registered, home, monkeypatch):
        provider = Session(home, home.load()).provider
        for _ in range(2):
            provider.revoke("a token")
        assert servers.requests.count("discovery") == 2, "one of them when it registered"
        monkeypatch.setattr("clients.endpoint.provider.METADATA_CACHE_SECONDS", -1)
        provider.revoke("a token")
        assert servers.requests.count("discovery") == 3

    def test_an_expired_code_is_replaced_three_times(self, command, servers):
        servers.decisions = ["expired_token"]
        status, output = command("register")
        assert status == 0
        assert "Here is another one" in output

        servers.decisions = ["expired_token"] * 3
        status, output = command("register")
        assert status == 1
        assert "No code was approved in time" in output

    def test_a_refusal_in_the_browser_is_reported(self, command, servers, home):
        servers.decisions = ["access_denied"]

        status, output = command("register")

        assert (status, "refused in the browser" in output) == (1, True)
        assert not (home.folder / "endpoint.json").exists()

    def test_control_characters_of_a_server_never_reach_the_terminal(self, command, servers):
        servers.decisions = ["nonsense\x1b[2J\nnext"]
        status, output = command("register")
        assert (status, "nonsense [2J next" in output, "\x1b" in output) == (1, True, False)

        servers.user_code = "WDJB\x1b[2J"
        status, output = command("register")
        assert (status, "\x1b" in output) == (1, False)

    def test_another_server_of_the_school_is_replaced_only_with_the_option(self, command, servers):
        servers.other_endpoint = "old-server"

        status, output = command("register")

        assert status == 1
        assert "--replace" in output
        assert servers.revoked
        assert command("once")[0] == 3

        servers.revoked = False
        assert command("register", "--replace")[0] == 0
        assert servers.reports[-1]["replaces"] is True

    def test_registering_again_keeps_the_id_of_the_endpoint(self, command, servers, registered, home):
        key = home.load().key

        assert command("register")[0] == 0
        assert home.load().key == key

    def test_an_issuer_without_https_is_refused(self, command):
        status, output = command("register", "--issuer", "http://idaas.example")

        assert (status, "https" in output) == (1, True)

    def test_a_missing_folder_is_reported_at_once(self, command, servers):
        status, output = command("register", "--source", "/nowhere")

        assert (status, "/nowhere does not exist" in output) == (1, True)
        assert servers.codes == 0

    def test_an_mis_over_http_needs_a_password(self, command):
        status, output = command("register", "--mis", "arbor", "--source", "https://school.arbor.example")

        assert (status, "ENDPOINT_MIS_PASSWORD" in output) == (1, True)

    def test_an_issuer_without_a_provider_is_reported(self, command, servers):
        status, output = command("register", "--issuer", f"{servers.issuer}/elsewhere")

        assert (status, "no identity provider" in output) == (1, True)


class TestSend:
    def test_every_record_of_the_mis_is_sent(self, command, servers, registered, school):
        status, output = command("once")

        assert status == 0, output
        assert servers.data == school.records
        assert "12 students" in output
        assert servers.requests.count("piece") > 2
        assert servers.reports[-1]["last_extract"]["records"]["students"] == 12
        assert servers.reports[-1]["last_error"] is None

    def test_an_extract_is_deleted_from_the_disk_once_it_was_sent(self, command, registered, home):
        command("once")

        assert list(home.extracts.iterdir()) == []
        assert sorted(path.name for path in home.folder.iterdir()) == [
            "endpoint.json", "endpoint.lock", "extracts", "log",
        ]  # fmt: skip

    def test_a_collection_that_cannot_be_read_stays_as_it_was(self, command, servers, registered, mis, school):
        command("once")
        path = mis / "Attendance.csv"
        path.write_bytes(path.read_bytes().replace(b'"/"', b'"N"')[:-9])

        status, output = command("once")

        assert status == 0
        assert servers.data["attendance"] == school["attendance"]
        assert "Attendance.csv is cut off" in output
        assert servers.reports[-1]["last_error"]["code"] == "mis_partly_unreadable"
        assert command("status")[0] == 1

    def test_wrong_values_are_listed_by_row_and_not_logged(self, command, registered, mis, home, servers):
        path = mis / "Students.csv"
        path.write_bytes(path.read_bytes().replace(b'/2026"', b'/20266"').replace(b"/201", b"/20x"))

        status, output = command("once")

        assert status == 0
        assert "problems.txt" in output
        listed = (home.folder / "problems.txt").read_text()
        assert "Students.csv, row 2, DOB: is not a date" in listed
        assert "20x" not in listed
        assert len(servers.data["students"]) == 12

    def test_an_export_with_suspiciously_few_records_deletes_nothing_until_a_person_confirms_it(
        self, command, servers, registered, mis, home
    ):
        with home.locked():
            state = home.load()
            home.save(replace(state, last_extract={"id": "x", "sent_at": "", "records": {"students": 600}}))
        servers.data = {"students": {"1": {}}}

        status, output = command("once")
        assert status == 1
        assert "suspiciously few records: 12 students (600 before)" in output
        assert servers.data == {"students": {"1": {}}}
        assert servers.reports[-1]["last_error"]["code"] == "suspiciously_few"

        assert command("once", "--accept-fewer")[0] == 0
        assert len(servers.data["students"]) == 12
        assert servers.reports[-1]["last_error"] is None

    @pytest.mark.parametrize("before", [3, 600])
    def test_an_export_without_any_pupil_needs_confirmation_at_a_small_school_too(
        self, before, command, servers, registered, mis, home
    ):
        with home.locked():
            state = home.load()
            home.save(replace(state, last_extract={"id": "x", "sent_at": "", "records": {"students": before}}))
        path = mis / "Students.csv"
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])

        status, output = command("once")

        assert (status, f"0 students ({before} before)" in output) == (1, True)
        assert servers.extracts == {}
        status, output = command("status")
        assert (status, "Nothing was sent, so that nothing is deleted" in output) == (1, True)
        assert "once --accept-fewer" in output

    def test_a_row_that_cannot_be_read_deletes_nothing(self, command, servers, registered, mis, school):
        command("once")
        path = mis / "Students.csv"
        surname = next(iter(school["students"].values()))["legal_family_name"]
        path.write_bytes(path.read_bytes().replace(f'"{surname}"'.encode(), b'""', 1))

        status, output = command("once")

        assert (status, "problems.txt" in output) == (0, True)
        assert "Wrong values:  1; problems.txt lists them by file and row" in command("status")[1]
        assert servers.data == school.records
        assert servers.reports[-1]["last_extract"]["records"]["students"] == 11

    def test_records_of_rows_that_cannot_be_read_are_not_deleted(self, command, servers, registered, mis):
        command("once")
        path = mis / "Class Members.csv"
        headings, *rows = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(headings + b"".join(row.rstrip(b"\r\n") + b',"and more"\r\n' for row in rows))
        before = dict(servers.data["classes"])

        status, output = command("once")

        assert (status, "problems.txt" in output, "suspiciously" in output) == (0, True, False)
        assert servers.data["classes"] == before

    def test_references_to_pupils_who_are_not_there_are_left_out(self, command, servers, registered, mis):
        path = mis / "Students.csv"
        lines = path.read_bytes().splitlines(keepends=True)
        removed = lines.pop(1)[1:5].decode()
        path.write_bytes(b"".join(lines))

        assert command("once")[0] == 0
        assert removed not in servers.data["students"]
        assert removed not in {data["student"] for data in servers.data["attendance"].values()}
        assert removed not in {pupil for data in servers.data["classes"].values() for pupil in data["students"]}

    def test_nothing_is_sent_for_an_unverified_school_and_the_reason_is_printed(self, command, servers, registered):
        servers.estab_status = "unverified"

        status, output = command("once")

        assert status == 0
        assert "not verified yet" in output
        assert servers.extracts == {}
        assert "not verified yet" in command("status")[1]

    def test_sending_continues_after_the_network_was_interrupted(self, command, servers, registered, waits, school):
        servers.error_statuses = {"piece": [0, 502, 503], "begin": [502], "extract_status": [502]}

        assert command("once")[0] == 0
        assert servers.data == school.records
        assert len(servers.extracts) == len(servers.applied) == 1

    def test_a_long_interruption_ends_the_upload_and_the_next_round_continues_it(
        self, command, servers, registered, school, home
    ):
        servers.error_statuses = {"piece": [0, *[502] * 6]}

        status, output = command("once")
        assert (status, "temporarily unavailable" in output) == (1, True)
        assert home.load().pending is not None
        assert servers.reports[-1]["last_error"]["code"] == "unreachable"

        assert command("once")[0] == 0
        assert len(servers.extracts) == 1
        assert servers.data == school.records

    def test_an_upload_ends_at_once_if_retry_after_is_long(self, waits):
        def refuse():
            raise ServerUnreachable("busy", retry_after=3600)

        upload = Upload(session=None, pending=None, path=None, sleep=waits.append, progress=None)
        with pytest.raises(ServerUnreachable) as raised:
            upload._retry(refuse)
        assert (raised.value.retry_after, waits) == (3600, [])

    def test_an_extract_that_the_receiver_does_not_know_is_sent_again(self, command, servers, registered, school):
        servers.forgets_extracts = True

        assert command("once")[0] == 0
        assert servers.data == school.records

    def test_a_refused_extract_is_not_sent_again(self, command, servers, registered, home):
        servers.refuses_extract = "superseded"
        status, output = command("once")
        assert (status, "superseded" in output) == (1, True)
        assert home.load().pending is None
        assert servers.reports[-1]["last_error"]["code"] == "extract_refused"

        servers.refuses_extract = ""
        assert command("once")[0] == 0
        assert len(servers.extracts) == 2

    def test_an_extract_that_was_cut_off_on_the_disk_is_made_again(self, command, servers, registered, home):
        servers.error_statuses = {"piece": [502] * 6}
        command("once")
        [path] = home.extracts.iterdir()
        path.write_bytes(path.read_bytes()[:100])

        assert command("once")[0] == 0
        assert len(servers.applied) == 1

    def test_an_extract_that_waited_for_days_is_made_again(self, command, servers, registered, home):
        servers.error_statuses = {"piece": [502] * 6}
        command("once")
        state = home.load()
        home.save(replace(state, pending=replace(state.pending, made_at="2026-11-01T00:00:00Z")))

        assert command("once")[0] == 0
        assert len(servers.extracts) == 2
        assert len(servers.applied) == 1

    def test_an_extract_without_any_readable_collection_is_an_error_that_says_what_to_do(
        self, command, servers, registered, mis
    ):
        shutil.rmtree(mis)

        status, output = command("once")

        assert (status, "does not exist" in output) == (1, True)
        assert servers.extracts == {}
        assert servers.reports[-1]["last_error"]["code"] == "extract_failed"


class TestTokens:
    def test_an_expired_token_is_refreshed(self, command, servers, registered):
        servers.lifetime = 1

        assert command("once")[0] == 0

    def test_an_access_token_that_is_refused_is_refreshed(self, command, servers, registered):
        servers.tokens.clear()
        servers.tokens.add("another")

        assert command("once")[0] == 0

    def test_a_rotated_refresh_token_is_stored(self, command, servers, registered, home):
        servers.rotates, servers.tokens = True, {"another"}

        command("once")

        assert home.load().refresh_token == servers.refresh_token != "refresh-0"

    def test_a_refresh_whose_response_was_lost_is_repeated(self, command, servers, registered, home):
        servers.rotates, servers.tokens = True, {"another"}
        servers.error_statuses = {"token": [502]}

        assert command("once")[0] == 1
        assert command("once")[0] == 0
        assert home.load().refresh_token == servers.refresh_token == "refresh-1"

    def test_a_person_is_told_to_register_again_after_the_registration_was_revoked(
        self, command, servers, registered, home
    ):
        servers.revoked, servers.tokens = True, {"another"}

        status, output = command("once")

        assert status == 3
        assert "run the command register again" in output
        assert "registration of this server has ended" in (home.log / "endpoint.log").read_text()
        assert command("status")[0] == 3
        assert home.load().refresh_token == ""

    def test_nothing_is_sent_while_the_school_has_paused_the_server_and_the_reason_is_printed(
        self, command, servers, registered, home, waits, caplog
    ):
        servers.paused, servers.tokens, valid_tokens = True, {"another"}, servers.tokens

        status, output = command("once")

        assert (status, "continues by itself" in output, "tell support" in output) == (1, True, False)
        assert "The school has paused this server" in command("status")[1]
        assert "nothing is sent" in (home.log / "endpoint.log").read_text()
        caplog.clear()
        rounds = iter([False, False, False, True])
        new_agent(home, waits).run(lambda: next(rounds, True))
        assert caplog.text.count("has paused this server") == 1

        servers.paused, servers.tokens = False, valid_tokens
        assert command("once")[0] == 0
        assert "paused" not in command("status")[1]

    def test_the_output_of_a_replaced_endpoint_says_that_it_was_replaced_or_removed(self, command, servers, registered):
        servers.endpoint_ended = True

        status, output = command("once")

        assert (status, "it was replaced or removed" in output) == (3, True)

    def test_a_required_nonce_is_sent(self, command, servers):
        servers.nonce = "first"

        assert command("register")[0] == 0
        servers.nonce = "second"
        assert command("once")[0] == 0

    def test_an_error_in_a_challenge_alone_is_understood(self, command, servers):
        """RFC 9110 §11.2: names are compared without case, and a value may be a token as well as a quoted string."""
        assert command("register")[0] == 0
        servers.nonce, servers.has_bare_challenges = "second", True
        servers.requests.clear()
        assert command("once")[0] == 0
        assert "token" not in servers.requests, "the token is valid, and the proof alone lacked the nonce"

    @pytest.mark.parametrize("ahead", [-7200, 90, 86_400 * 400])
    def test_a_server_with_a_wrong_clock_sends_data_and_warns(self, ahead, command, servers, home):
        servers.clock_ahead = ahead

        assert command("register")[0] == 0
        assert command("once")[0] == 0
        assert abs(home.load().clock_off_seconds - ahead) <= 2
        [extract] = servers.extracts.values()
        made_at = datetime.fromisoformat(extract["made_at"]).timestamp()
        assert abs(made_at - time.time() - ahead) < 30
        assert "please set the clock" in (home.log / "endpoint.log").read_text()
        assert "Clock:" in command("status")[1]

    def test_the_offset_of_the_clock_is_updated_while_the_agent_runs(self, servers, registered, home, waits):
        agent = new_agent(home, waits)
        agent.report()
        servers.clock_ahead = 600

        agent.report()

        assert agent.session.connection.skew in {599, 600, 601}

    @pytest.mark.parametrize("ahead", [0, 600])
    def test_a_request_that_takes_minutes_is_not_taken_for_a_wrong_clock(self, ahead, monkeypatch, caplog):
        clock = SimpleNamespace(now=1_800_000_000.0)
        connection = Connection(Key(Key.generate()), lambda: clock.now)

        def respond_after(seconds):
            def request(*_arguments, **_options):
                clock.now += seconds
                response = requests.Response()
                response.status_code = 204
                response.headers["Date"] = formatdate(clock.now + ahead, usegmt=True)
                return response

            return request

        for seconds in (1, 300):
            monkeypatch.setattr(connection._session, "request", respond_after(seconds))
            connection.send("PATCH", "https://xporter.example/v1/extracts/one")
            assert connection.skew == ahead
        assert len([record for record in caplog.records if "clock" in record.message]) == (1 if ahead else 0)


class Killed(BaseException):
    """Raised in place of the end of the process."""


def _kill_at(monkeypatch, number, moment):
    """Raise `Killed` at request `number`, before it is sent or before its response is read.

    Requests of other threads are not counted: a partner's program of another test may still run in this process.
    """
    counter = iter(range(1, 1000))
    send, thread = requests.Session.send, threading.get_ident()

    def killed(self, prepared, **options):
        if threading.get_ident() != thread:
            return send(self, prepared, **options)
        is_last = next(counter) == number
        if is_last and moment == "before":
            raise Killed
        response = send(self, prepared, **options)
        if is_last:
            raise Killed
        return response

    monkeypatch.setattr(requests.Session, "send", killed)
    # A killed process does not clean up either.
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)


class TestKilled:
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_after_the_process_was_killed_at_any_request_the_next_run_continues(
        self, moment, command, servers, registered, mis, school, home
    ):
        marks = (mis / "Attendance.csv").read_bytes().splitlines(keepends=True)[:40]
        (mis / "Attendance.csv").write_bytes(b"".join(marks))
        servers.rotates, kills = True, 0
        while True:
            kills += 1
            before, servers.tokens = len(servers.applied), {f"before {kills}"}
            with pytest.MonkeyPatch.context() as patch:
                _kill_at(patch, kills, moment)
                try:
                    command("once")
                    break
                except Killed:
                    pass
            assert command("once")[0] == 0, (kills, moment)
            assert servers.data["students"] == school["students"]
            assert len(servers.data["attendance"]) == 39
            assert len(servers.applied) <= before + 2
            assert home.load().pending is None
            assert list(home.extracts.iterdir()) == []
        assert kills > 10

    def test_a_killed_process_leaves_no_lock_and_the_next_one_continues(
        self, command, servers, registered, school, home
    ):
        servers.hangs_at = "after piece"
        program = [sys.executable, "-m", "clients.endpoint", "--home", str(home.folder), "once"]
        with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            assert servers.hanging.wait(60)
            process.kill()

        assert command("once")[0] == 0
        assert len(servers.applied) == len(servers.extracts) == 1
        assert servers.data == school.records

    def test_a_running_service_stops_at_sigterm(self, servers, registered, home):
        program = [sys.executable, "-m", "clients.endpoint", "--home", str(home.folder), "run"]
        with subprocess.Popen(program, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            eventually(lambda: servers.applied)
            process.terminate()
            assert process.wait(20) == 0

    def test_a_process_killed_while_it_writes_its_settings_leaves_those_before(self, registered, home, monkeypatch):
        state = home.load()

        def killed(self, target):
            raise Killed

        new = replace(state, refresh_token="new")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", killed)
            with pytest.raises(Killed):
                home.save(new)

        assert home.load() == state
        home.clean(keep=None)
        assert not list(home.folder.glob(".*.new"))


class TestDiskFull:
    def _fill(self, patch, file):
        """Let writing of the state or of an extract fail, as on a full disk."""

        def raise_disk_full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(
            *{"state": (tempfile, "mkstemp"), "extract": ("clients.endpoint.extract.gzip.GzipFile",)}[file],
            raise_disk_full,
        )

    def test_a_full_disk_while_an_extract_is_made_leaves_no_file_behind(
        self, command, registered, home, servers, monkeypatch
    ):
        with monkeypatch.context() as patch:
            self._fill(patch, "extract")
            status, output = command("once")

        assert (status, "is full" in output) == (1, True)
        assert list(home.extracts.iterdir()) == []
        assert servers.reports[-1]["last_error"]["code"] == "disk_full"
        assert command("once")[0] == 0

    def test_no_refresh_token_is_used_while_its_successor_could_not_be_stored(
        self, command, registered, servers, monkeypatch, home
    ):
        servers.rotates, servers.tokens = True, {"another"}
        with monkeypatch.context() as patch:
            self._fill(patch, "state")
            assert command("once")[0] == 1

        assert servers.refresh_token == "refresh-0"
        assert command("once")[0] == 0


class TestRun:
    def run_until(self, agent, rounds, waits):
        """Run the agent for this number of rounds."""
        done = iter(range(rounds))
        round_ = agent.round

        def run_round(**options):
            next(done)
            return round_(**options)

        agent.round = run_round
        with pytest.raises(StopIteration):
            agent.run(lambda: False)

    def test_the_agent_reports_often_and_sends_extracts_on_its_schedule(self, servers, registered, home, waits):
        clock = [time.time()]

        def sleep(seconds):
            clock[0] += seconds
            waits.append(seconds)

        agent = Agent(Session(home, home.load()), sleep=sleep, now=lambda: clock[0])
        began = clock[0]
        self.run_until(agent, 33, waits)

        assert 33 * 900 * 0.9 < clock[0] - began < 33 * 900 * 1.1
        assert len(servers.extracts) in {2, 3}  # every four hours of eight and a quarter

    def test_the_agent_sends_an_extract_when_the_school_pressed_send_now(self, servers, registered, home, waits):
        agent = new_agent(home, waits)
        agent.round()
        assert len(servers.extracts) == 1
        agent.round()
        assert len(servers.extracts) == 1

        servers.extract_wanted = True
        agent.round()
        assert len(servers.extracts) == 2

    def test_the_agent_waits_longer_each_time_the_provider_is_unreachable(self, servers, registered, home, waits):
        servers.error_statuses = {"endpoint": [503] * 4}

        self.run_until(new_agent(home, waits), 5, waits)

        assert 15 * 15 * 0.9 < sum(waits[:-900]) + 900 < 15 * 15 * 1.1 + 1800
        assert len(servers.extracts) == 1

    def test_the_agent_waits_for_an_unverified_school_and_logs_that_once(
        self, servers, registered, home, waits, caplog
    ):
        servers.estab_status = "unverified"
        agent = new_agent(home, waits)
        agent.round()
        agent.round()
        assert caplog.text.count("not verified yet") == 1

        servers.estab_status = "verified"
        agent.round()
        assert len(servers.applied) == 1

    def test_the_agent_stops_when_its_registration_has_ended(self, servers, registered, home, waits):
        servers.revoked, servers.tokens = True, {"another"}

        with pytest.raises(RegistrationEnded):
            new_agent(home, waits).run(lambda: False)

    def test_a_second_process_is_refused(self, command, registered, home):
        with home.locked():
            status, output = command("once")

        assert (status, "already running" in output) == (1, True)

    def test_a_stopped_service_ends_without_finishing_its_sleep(self, servers, registered, home, waits):
        stops = iter([False, False, True, True])

        new_agent(home, waits).run(lambda: next(stops))

        assert waits.count(1.0) <= 2


class TestUnregister:
    def test_the_person_chooses_whether_the_data_that_was_sent_is_deleted(self, command, servers, registered, home):
        command("once")

        status, output = command("unregister", input="n\n")

        assert status == 0
        assert "Delete everything that was sent" in output
        assert servers.unregistered
        assert servers.data != {}
        assert not (home.folder / "endpoint.json").exists()
        assert command("once")[0] == 3

    def test_an_option_of_unregister_deletes_the_data_that_was_sent(self, command, servers, registered):
        command("once")

        assert command("unregister", "--delete-data")[0] == 0
        assert servers.data == {}

    def test_the_files_of_an_ended_registration_are_deleted(self, command, servers, registered, home):
        servers.revoked, servers.tokens = True, {"another"}
        command("once")

        assert command("unregister")[0] == 0
        assert not (home.folder / "endpoint.json").exists()


class TestStatus:
    def test_the_status_shows_the_school_and_the_last_extract(self, command, registered):
        command("once")

        status, output = command("status")

        assert status == 0
        assert "School:        3124567 (verified)" in output
        assert "Connected to:  2027-11-29, or longer if the school renews it" in output
        assert "12 students" in output

    def test_the_status_for_monitoring_is_json_without_secrets(self, command, registered, home):
        state = home.load()

        _, output = command("status", "--json")

        assert json.loads(output)["registered"] is True
        for secret in (state.refresh_token, state.access_token, state.key["d"]):
            assert secret not in output

    def test_the_status_of_a_server_that_is_not_registered_says_to_register(self, command):
        status, output = command("status")

        assert (status, "Run the command register" in output) == (3, True)

    def test_a_damaged_file_is_reported_with_what_to_do(self, command, registered, home):
        (home.folder / "endpoint.json").write_text("{")

        status, output = command("status")

        assert (status, "register again" in output) == (1, True)


def test_the_log_has_no_secret_and_no_personal_data(command, registered, home, school):
    command("once")

    log = (home.log / "endpoint.log").read_text()
    state = home.load()
    assert "12 students" in log
    for secret in (state.refresh_token, state.access_token, state.key["d"]):
        assert secret not in log
    for data in school["students"].values():
        assert data["legal_family_name"] not in log
        assert data["upn"] not in log


def test_a_redirect_is_not_followed(servers, registered, home, waits):
    servers.error_statuses = {"endpoint": [302]}

    with pytest.raises(ServerUnreachable, match="redirect"):
        new_agent(home, waits).report()
