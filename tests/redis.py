"""A temporary Redis server on a free port, for the limits that several processes share."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from redis import Redis
from redis.exceptions import RedisError

from tests.ports import free_port

TIMEOUT_SECONDS = 60.0
"""Seconds within which the server has to respond after its start."""


def program() -> str | None:
    """The path of Redis's server, or None where it is not installed."""
    return shutil.which("redis-server")


@dataclass
class Server:
    """A server that can be stopped, suspended and started again; it loses its data when it stops."""

    folder: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The value for the setting `throttle.storage`."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server, and return when it responds."""
        settings = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "save": "", "appendonly": "no"}
        options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen([str(program()), *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not self._responds():
            assert self.process.poll() is None, "redis-server stopped by itself"
            assert time.monotonic() < deadline, "redis-server does not respond"
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill the server."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def hang(self) -> None:
        """Suspend the server: the kernel still accepts connections for it, and no command gets a response."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def has_data(self) -> bool:
        """Whether the server has any data."""
        with Redis(port=self.port) as connection:
            return bool(connection.dbsize())

    def delete_data(self) -> None:
        """Delete all data."""
        with Redis(port=self.port) as connection:
            connection.flushall()

    def _responds(self) -> bool:
        with Redis(port=self.port, socket_timeout=5) as connection:
            try:
                return bool(connection.ping())
            except RedisError:
                return False


@contextmanager
def running_server() -> Iterator[Server]:
    """A server that runs until the block ends."""
    with tempfile.TemporaryDirectory(prefix="idp-redis-") as folder:
        server = Server(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
