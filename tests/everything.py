"""`make test`: everything that must hold, in order, with what it could not check said out loud.

lint · format · types · import contracts · the suite on SQLite · the suite on PostgreSQL · pages in Chromium.
Chromium and PostgreSQL are installed from Debian's packages where they are missing and that is possible;
otherwise the run ends non-zero, unless ALLOW_MISSING=1.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PYTEST = [sys.executable, "-m", "pytest", "-q"]


def main() -> int:
    """Run every stage; the exit code is 0 only if all of them ran and passed."""
    failed: list[str] = []
    missing: list[str] = []
    began = time.monotonic()

    def stage(name: str, command: list[str], **environment: str) -> None:
        print(f"\n=== {name}", flush=True)
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
        with _server(programs) as url:
            stage("Suite on PostgreSQL", [*PYTEST, *several, "-m", "not browser"], TEST_DATABASE=url)
    else:
        missing.append("the suite on PostgreSQL: no initdb and pg_ctl (Debian: postgresql)")
    if _chromium():
        stage("Pages in Chromium", [*PYTEST, "-m", "browser"])
    else:
        missing.append("real pages: no chromium (Debian: chromium)")

    print(f"\n=== Done in {time.monotonic() - began:.0f} s")
    for name in failed:
        print(f"FAILED       {name}")
    for name in missing:
        print(f"NOT CHECKED  {name}")
    allowed = os.environ.get("ALLOW_MISSING") == "1"
    return 1 if failed or (missing and not allowed) else 0


def _chromium() -> bool:
    return bool(shutil.which("chromium") or (_installed("chromium") and shutil.which("chromium")))


def _postgresql() -> Path | None:
    """The folder of PostgreSQL's server programs."""
    for attempt in (False, True):
        if attempt and not _installed("postgresql"):
            return None
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
        if program := shutil.which("pg_ctl"):
            found.append(Path(program).resolve())
        if found:
            return found[-1].parent
    return None


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


@contextmanager
def _server(programs: Path) -> Iterator[str]:
    """A PostgreSQL server of our own on a free port, gone afterwards. It will not run as root, so we step down."""
    port = _free_port()
    folder = Path(tempfile.mkdtemp(prefix="idp-postgresql-"))
    as_owner: list[str] = []
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_owner = ["runuser", "-u", "postgres", "--"]

    def run(*command: str) -> None:
        subprocess.run([*as_owner, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")

    data = str(folder / "data")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
    run(str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
    run(str(programs / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
