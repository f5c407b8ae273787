"""`make test`: everything that must hold, in order, with what it could not check said out loud.

lint · format · types · import contracts · the suite on SQLite · the suite on PostgreSQL · pages in Chromium.
Chromium and PostgreSQL are installed from Debian's packages where they are missing and that is possible;
otherwise the run ends non-zero, unless ALLOW_MISSING=1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import postgresql

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
ROOM = 2 << 30
"""Bytes that have to be free in memory to have temporary files there."""
PYTEST = [sys.executable, "-m", "pytest", "-q"]


def main() -> int:
    """Run every stage; the exit code is 0 only if all of them ran and passed."""
    failed: list[str] = []
    missing: list[str] = []
    began = time.monotonic()
    quick = _in_memory()

    def stage(name: str, command: list[str], **environment: str) -> None:
        print(f"\n=== {name}", flush=True)
        environment |= quick
        done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False)
        if done.returncode != 0:
            failed.append(name)

    stage("Lint", [str(BIN / "ruff"), "check", "."])
    stage("Format", [str(BIN / "ruff"), "format", "--check", "."])
    stage("Types", [str(BIN / "mypy")])
    stage("Import contracts", [str(BIN / "lint-imports")])
    several = ["-n", str(max(2, os.cpu_count() or 2)), "--dist", "loadfile"]
    stage("Suite on SQLite", [*PYTEST, *several, "-m", "not browser"])
    if programs := _postgresql():
        with postgresql.a_server(programs) as url:
            stage("Suite on PostgreSQL", [*PYTEST, *several, "-m", "not browser"], TEST_DATABASE=url)
    else:
        missing.append("the suite on PostgreSQL: no initdb and pg_ctl (Debian: postgresql)")
    if _chromium():
        stage("Pages in Chromium", [*PYTEST, *several, "-m", "browser"])
    else:
        missing.append("real pages: no chromium (Debian: chromium)")

    shutil.rmtree(quick.get("TMPDIR", ""), ignore_errors=True)
    print(f"\n=== Done in {time.monotonic() - began:.0f} s")
    for name in failed:
        print(f"FAILED       {name}")
    for name in missing:
        print(f"NOT CHECKED  {name}")
    allowed = os.environ.get("ALLOW_MISSING") == "1"
    return 1 if failed or (missing and not allowed) else 0


def _in_memory() -> dict[str, str]:
    """Have temporary files in memory where there is room: databases that wait for no disk take half the time."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < ROOM:
        return {}
    return {"TMPDIR": tempfile.mkdtemp(prefix="idp-tests-", dir=memory)}


def _chromium() -> bool:
    return bool(shutil.which("chromium") or (_installed("chromium") and shutil.which("chromium")))


def _postgresql() -> Path | None:
    """PostgreSQL's server programs, installed if need be."""
    if found := postgresql.programs():
        return found
    return postgresql.programs() if _installed("postgresql") else None


def _installed(package: str) -> bool:
    """Install a Debian package, if this machine lets us."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print(f"\n=== Installing {package}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    quiet = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    subprocess.run([*quiet, "update"], env=environment, check=False, stdout=subprocess.DEVNULL)
    install = [*quiet, "install", "-y", "--no-install-recommends", package]
    return subprocess.run(install, env=environment, check=False, stdout=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
