"""A client that hangs up ends no process: writing to a closed connection is an error that is handled.

`tests/fuzz/test_wire.py` does it to a served instance. The worker, which writes to mail servers, is a command too.
"""

import signal
import subprocess
import sys

from click.testing import CliRunner

from idp.cli import main


def test_a_command_ignores_sigpipe():
    assert CliRunner().invoke(main, ["config", "check"]).exit_code == 0
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN


def test_a_command_whose_output_is_closed_ends_quietly():
    command = [sys.executable, "-m", "idp.cli", "config", "show"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        output = running.stderr.read()
    assert output == b""
    assert running.returncode == 1
