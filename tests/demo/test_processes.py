"""Starting, waiting for and stopping the programs of a demonstration."""

import os
import signal
from threading import Timer

import pytest

from idp.demo import processes, services
from idp.demo.processes import ProcessGroup, Program, ProgramFailed
from tests.ports import free_port

SLOW_TO_STOP = """
import signal, sys, time
from http.server import HTTPServer, SimpleHTTPRequestHandler

def stop(*_):
    time.sleep(1)
    sys.exit()

signal.signal(signal.SIGTERM, stop)
HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
"""


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


def test_pressing_ctrl_c_again_while_programs_stop_leaves_none_running(folder, port, tmp_path):
    (tmp_path / "slow_to_stop.py").write_text(SLOW_TO_STOP, "utf-8")
    server = Program("slow", ("slow_to_stop", str(port)), f"http://localhost:{port}/")
    again = Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))

    with ProcessGroup() as running:
        running.start(server, {"PYTHONPATH": str(tmp_path)})
        running.wait_until_ready()
        again.start()
    again.join()

    assert not services.is_taken(port)
