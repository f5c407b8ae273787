"""A PostgreSQL server of our own, on a free port, gone afterwards: for the suite and the benchmarks."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""For tests: nothing has to survive."""

ALONE = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200")
"""On its port alone: a socket's path may be too long for the system."""


def programs() -> Path | None:
    """The folder of PostgreSQL's server programs, or None where they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if program := shutil.which("pg_ctl"):
        found.append(Path(program).resolve())
    return found[-1].parent if found else None


@contextmanager
def a_server(at: Path, settings: tuple[str, ...] = FAST) -> Iterator[str]:
    """Its address. PostgreSQL will not run as root, so as root we step down to the user `postgres`."""
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="idp-postgresql-"))
    as_owner: list[str] = []
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_owner = ["runuser", "-u", "postgres", "--"]

    def run(*command: str) -> None:
        subprocess.run([*as_owner, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")

    data = str(folder / "data")
    given = " ".join(f"-c {setting}" for setting in (*ALONE, *settings))
    run(str(at / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
    run(str(at / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", f"-p {port} {given}", "start")
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        run(str(at / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
