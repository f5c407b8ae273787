"""A worker's start: what would block its threads later is done before the first request."""

import os
import subprocess
import sys
from typing import NamedTuple

import pytest

from idp.foundation.setting_types import ROOT


class WorkerStart(NamedTuple):
    """The state of a worker process that has imported `wsgi`."""

    has_patterns: bool
    """Whether it has loaded the patterns by which devices are recognised."""
    frozen_objects: int
    """Objects that garbage collection leaves out."""
    collected_objects: int
    collects_garbage: bool


@pytest.fixture(scope="module")
def worker_start():
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
    return WorkerStart(loaded == "True", int(frozen), int(collected), enabled == "True")


def test_a_worker_loads_the_patterns_of_devices_when_it_starts_and_not_at_its_first_sign_in(worker_start):
    assert worker_start.has_patterns


def test_collections_of_garbage_leave_out_the_objects_of_the_code_itself(worker_start):
    assert worker_start.collects_garbage
    assert worker_start.frozen_objects > 100_000
    assert worker_start.collected_objects < worker_start.frozen_objects / 10
