"""The README's commands on a machine that brings Python and an old pip, and nothing else.

They need a package registry, and a minute: `make check` leaves them out, `make test` has a stage for them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HELD_BACK = Path(__file__).with_name("held-back.lock")
OLDEST_PIP = {(3, 11): "22.3", (3, 12): "23.2.1", (3, 13): "24.2", (3, 14): "25.2"}
"""The pip that the first release of each Python brought."""

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
    """A clone without an environment; what is not committed yet is in it too."""
    folder = tmp_path_factory.mktemp("clone")
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in names:
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def installed(checkout):
    """`make install`, begun with the oldest pip that this Python ever shipped."""
    version = OLDEST_PIP.get(sys.version_info[:2])
    if version is None:
        pytest.skip(f"which pip Python {sys.version_info[0]}.{sys.version_info[1]} shipped first is not known here")
    run(sys.executable, "-m", "venv", ".venv", cwd=checkout)
    run(".venv/bin/python", "-m", "pip", "install", "-q", f"pip=={version}", cwd=checkout)
    assert f"pip {version} " in run(".venv/bin/pip", "--version", cwd=checkout)
    run("make", "install", f"PYTHON={sys.executable}", cwd=checkout)
    return checkout


def test_make_install_works_with_the_oldest_pip_this_python_shipped(installed):
    assert "idp" in run(".venv/bin/idp", "--help", cwd=installed)


def test_the_environment_brings_the_pip_that_its_lock_names(installed):
    locked = (ROOT / "requirements-pip.lock").read_text("utf-8").split()[0].removeprefix("pip==")

    assert f"pip {locked} " in run(".venv/bin/pip", "--version", cwd=installed)


def test_a_lock_installs_although_newer_releases_are_out(installed):
    """With `coverage==7.10.6` in it, a later coverage published, and pytest-cov asking for `coverage[toml]`."""
    result = run(
        *(".venv/bin/python", "-m", "pip", "install", "--disable-pip-version-check", "--dry-run", "--ignore-installed"),
        *("--require-hashes", "-r", HELD_BACK),
        cwd=installed,
    )

    assert "coverage-7.10.6" in result


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_names_the_extras_that_its_packages_ask_for(lock):
    assert "flask-limiter[redis]==" in (ROOT / lock).read_text("utf-8")
