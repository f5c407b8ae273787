"""A worker's start: what would stop its threads later is done before the first requests need it."""

import os
import subprocess
import sys

import pytest

from idp.foundation.setting_types import ROOT


@pytest.fixture(scope="module")
def started():
    """What a fresh process says once its start is finished: the loaded modules, and the number of frozen objects."""
    start = (
        "import gc, sys, threading, wsgi\n"
        "[each.join() for each in threading.enumerate() if each.name == 'finish-start']\n"
        "print('ua_parser_builtins.matchers' in sys.modules, gc.get_freeze_count(), len(gc.get_objects()))"
    )
    environment = os.environ | {"IDP_CONFIG": "config/test.toml"}
    done = subprocess.run(
        [sys.executable, "-c", start], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded, frozen, collected = done.stdout.split()
    return loaded == "True", int(frozen), int(collected)


def test_a_worker_loads_the_patterns_of_devices_when_it_starts_and_not_at_its_first_sign_in(started):
    loaded, _, _ = started
    assert loaded


def test_collections_of_garbage_leave_out_the_objects_of_the_code_itself(started):
    _, frozen, collected = started
    assert frozen > 100_000
    assert collected < frozen / 10
