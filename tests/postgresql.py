"""A temporary PostgreSQL server on a free port, for the suite and the benchmarks."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port

FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""Settings for tests, whose data need not survive a crash."""

SERVER_OPTIONS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=600")
"""Settings to listen on a TCP port only: the path of a Unix socket may be too long for the system."""


def programs() -> Path | None:
    """The folder of PostgreSQL's server programs, or None where they are not installed."""
    paths = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if program := shutil.which("pg_ctl"):
        paths.append(Path(program).resolve())
    return paths[-1].parent if paths else None


@dataclass(frozen=True)
class Server:
    """A server, with its folder and port. PostgreSQL does not run as root, so root runs it as the user `postgres`."""

    programs_folder: Path
    folder: Path
    settings: tuple[str, ...]
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """The URL of its database `postgres`."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def create_cluster(self) -> None:
        """Create an empty database cluster, without starting it."""
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")

    def start(self) -> None:
        """Start the server, and return when it accepts connections."""
        options = " ".join(f"-c {setting}" for setting in (*SERVER_OPTIONS, *self.settings))
        log = str(self.folder / "log")
        self._run("pg_ctl", "-w", "-t", "300", "-l", log, "-o", f"-p {self.port} {options}", "start")

    def stop(self) -> None:
        """Stop the server at once, as if the machine had lost power."""
        self._run("pg_ctl", "-m", "immediate", "-t", "300", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_owner, str(self.programs_folder / program), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def running_server(programs_folder: Path, settings: tuple[str, ...] = FAST) -> Iterator[Server]:
    """A server that runs until the block ends."""
    server = Server(programs_folder, Path(tempfile.mkdtemp(prefix="idp-postgresql-")), settings)
    try:
        server.create_cluster()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)


@contextmanager
def running_server_url(programs_folder: Path, settings: tuple[str, ...] = FAST) -> Iterator[str]:
    """The URL of a server that runs until the block ends."""
    with running_server(programs_folder, settings) as server:
        yield server.url
