"""A worker's start: what would block its threads later is done before the first request."""

import os
import subprocess
import sys

import pytest

from idp.foundation.setting_types import ROOT


@pytest.fixture(scope="module")
def worker_start():
    """Whether a new process has compiled the patterns and frozen its objects, and whether it collects garbage."""
    start = (
        "import gc, sys, threading, wsgi\n"
        "[thread.join() for thread in threading.enumerate() if thread.name == 'finish-start']\n"
        "print('ua_parser_builtins.matchers' in sys.modules)\n"
        "print(gc.get_freeze_count(), len(gc.get_objects()), gc.isenabled())"
    )
    environment = os.environ | {"IDP_CONFIG": "config/test.toml"}
    result = subprocess.run(
        [sys.executable, "-c", start], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    loaded, frozen, collected, enabled = result.stdout.split()
    return loaded == "True", int(frozen), int(collected), enabled == "True"


def test_a_worker_loads_the_patterns_of_devices_when_it_starts_and_not_at_its_first_sign_in(worker_start):
    loaded, _, _, _ = worker_start
    assert loaded


def test_collections_of_garbage_leave_out_the_objects_of_the_code_itself(worker_start):
    _, frozen, collected, enabled = worker_start
    assert enabled
    assert frozen > 100_000
    assert collected < frozen / 10
