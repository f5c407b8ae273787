"""Programs of a demonstration: started, waited for, and stopped together."""

import pytest

from idp.demo import places, processes
from idp.demo.processes import Died, Program, Running
from tests.ports import free_port


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "FOLDER", tmp_path)
    return tmp_path


@pytest.fixture
def port():
    return free_port()


def test_a_program_that_dies_is_named_and_its_last_words_are_kept(folder):
    with Running() as running:
        running.start(Program("talker", ("this.is.no.module",), "http://127.0.0.1:1/"), {})
        with pytest.raises(Died, match="talker stopped by itself") as died:
            running.wait_until_ready()

    assert "No module named" in " ".join(processes.last_lines(died.value.log))


def test_leaving_stops_everything_that_was_started(folder, port):
    server = Program("files", ("http.server", str(port), "--bind", "127.0.0.1"), f"http://localhost:{port}/")

    with Running() as running:
        running.start(server, {})
        running.wait_until_ready()
        assert places.is_taken(port)

    assert not places.is_taken(port)
