"""Starting, waiting for and stopping the programs of a demonstration."""

import pytest

from idp.demo import processes, services
from idp.demo.processes import ProcessGroup, Program, ProgramFailed
from tests.ports import free_port


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "FOLDER", tmp_path)
    return tmp_path


@pytest.fixture
def port():
    return free_port()


def test_a_program_that_ends_is_named_and_its_log_can_be_shown(folder):
    with ProcessGroup() as running:
        running.start(Program("talker", ("this.is.no.module",), "http://127.0.0.1:1/"), {})
        with pytest.raises(ProgramFailed, match="talker stopped by itself") as failed:
            running.wait_until_ready()

    assert "No module named" in " ".join(processes.last_lines(failed.value.log))


def test_leaving_the_context_stops_every_program(folder, port):
    server = Program("files", ("http.server", str(port), "--bind", "127.0.0.1"), f"http://localhost:{port}/")

    with ProcessGroup() as running:
        running.start(server, {})
        running.wait_until_ready()
        assert services.is_taken(port)

    assert not services.is_taken(port)
