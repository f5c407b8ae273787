"""The README's two commands on a machine that has Python and an old pip, and nothing else.

They need a package registry, and a minute: `make check` leaves them out, `make test` has a stage for them.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests.ports import free_port
from tests.processes import TIMEOUT_SECONDS, Process

ROOT = Path(__file__).resolve().parents[2]
OLD_LOCK = Path(__file__).with_name("held-back.lock")
SHIPPED_PIPS = {(3, 11): ["22.3", "23.2.1"], (3, 12): ["23.2.1"], (3, 13): ["24.2"], (3, 14): ["25.2"]}
"""The oldest and the newest pip that each version of Python came with. From 23.3 on, pip accepts our lock (pypa/pip
issue 9644).
"""
PIPS = SHIPPED_PIPS.get(sys.version_info[:2], [])

pytestmark = pytest.mark.installation


def run(*command, cwd, **environment):
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the project without an environment, with changes that are not committed."""
    folder = tmp_path_factory.mktemp("clone")
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in names:
        if (ROOT / name).is_file():
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    return folder


def an_environment_with(pip, checkout):
    """`.venv` of this Python with this pip, and nothing else in it."""
    shutil.rmtree(checkout / ".venv", ignore_errors=True)
    run(sys.executable, "-m", "venv", ".venv", cwd=checkout)
    run(".venv/bin/python", "-m", "pip", "install", "-q", f"pip=={pip}", cwd=checkout)
    assert f"pip {pip} " in run(".venv/bin/pip", "--version", cwd=checkout)


@contextmanager
def a_demonstration(checkout):
    """Run `make demo` until it prints its instructions; yields the URLs of its sites, and stops it at the end."""
    sites = ("IDP_SERVER__PORT", "ASSEMBLY_PORT", "MAILBOX_PORT", "XPORTER_PORT")
    ports = {name: str(free_port()) for name in (*sites, "SCHOOLBOOKING_PORT", "MAILBOX_SMTP_PORT")}
    log = checkout / "demo.log"
    with log.open("wb") as to:
        popen = subprocess.Popen(
            ["make", "demo", f"PYTHON={sys.executable}"], cwd=checkout, env=os.environ | ports, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=to, stderr=subprocess.STDOUT,
        )  # fmt: skip
    process = Process(popen, log)
    try:
        process.wait_until(lambda: "onboarding verify" in process.output)
        yield [f"http://localhost:{ports[name]}" for name in sites]
        os.killpg(popen.pid, signal.SIGTERM)
        popen.wait(TIMEOUT_SECONDS)
    finally:
        if popen.poll() is None:
            process.kill()
    assert "Stopped." in process.output


class Demonstration(NamedTuple):
    """The folder in which `make demo` was run, and the statuses of its sites."""

    checkout: Path
    statuses: list[int]


@pytest.fixture(scope="module")
def demonstrated(checkout):
    """Run `make demo` with the oldest pip that this Python came with, and open its sites."""
    if not PIPS:
        pytest.skip(f"which pip Python {sys.version_info[0]}.{sys.version_info[1]} shipped first is not known here")
    an_environment_with(PIPS[0], checkout)
    run("make", ".venv/.from-requirements.lock", f"PYTHON={sys.executable}", cwd=checkout)  # what `demo` does first
    with a_demonstration(checkout) as urls:
        return Demonstration(checkout, [requests.get(url, timeout=20).status_code for url in urls])


@pytest.fixture(scope="module")
def installed(demonstrated):
    """What `make test` installs first, into the same environment."""
    checkout, _ = demonstrated
    run("make", "install", f"PYTHON={sys.executable}", cwd=checkout)
    return checkout


def test_make_demo_runs_the_whole_product(demonstrated):
    checkout, statuses = demonstrated

    assert statuses == [200, 200, 200, 200]
    assert_own_pip(checkout)


def test_make_test_runs_tests(installed):
    assert "passed" in run("make", "test", "T=tests/foundation/test_scopes.py", cwd=installed)


def test_the_command_is_installed(installed):
    assert "idp" in run(".venv/bin/idp", "--help", cwd=installed)


def assert_own_pip(checkout):
    """The environment has the pip that our lock names."""
    locked = (ROOT / "requirements-pip.lock").read_text("utf-8").split()[0].removeprefix("pip==")
    assert f"pip {locked} " in run(".venv/bin/pip", "--version", cwd=checkout)


def test_a_lock_can_be_installed_although_newer_releases_exist(installed):
    """With `coverage==7.10.6` in it, a later coverage published, and pytest-cov asking for `coverage[toml]`."""
    result = run(
        *(".venv/bin/python", "-m", "pip", "install", "--disable-pip-version-check", "--dry-run", "--ignore-installed"),
        *("--require-hashes", "-r", OLD_LOCK),
        cwd=installed,
    )

    assert "coverage-7.10.6" in result


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_names_the_extras_that_its_packages_ask_for(lock):
    assert "flask-limiter[redis]==" in (ROOT / lock).read_text("utf-8")


@pytest.mark.parametrize("pip", PIPS[1:])
def test_any_other_pip_that_this_python_shipped_installs_ours_first(checkout, pip):
    an_environment_with(pip, checkout)
    run("make", ".venv/.from-requirements-pip.lock", cwd=checkout)

    assert_own_pip(checkout)
