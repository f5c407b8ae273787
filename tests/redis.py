"""A Redis server of our own, on a free port, gone afterwards: for the limits that several processes share."""

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
"""Seconds until it has to answer."""


def program() -> str | None:
    """Redis's server, or None where it is not installed."""
    return shutil.which("redis-server")


@dataclass
class Server:
    """Where it is; it can be stopped, hung and started again, and forgets everything when it stops."""

    folder: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As the setting `throttle.storage` has it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and return when it answers."""
        settings = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "save": "", "appendonly": "no"}
        options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen([str(program()), *options], stdout=subprocess.DEVNULL)
        until = time.monotonic() + TIMEOUT_SECONDS
        while not self._answers():
            assert self.process.poll() is None, "redis-server stopped by itself"
            assert time.monotonic() < until, "redis-server does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        """Gone at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def hang(self) -> None:
        """It takes connections, as the kernel does for it, and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def knows_something(self) -> bool:
        """Whether anything has been counted here."""
        with Redis(port=self.port) as asking:
            return bool(asking.dbsize())

    def forget(self) -> None:
        """Everything."""
        with Redis(port=self.port) as asking:
            asking.flushall()

    def _answers(self) -> bool:
        with Redis(port=self.port, socket_timeout=5) as asking:
            try:
                return bool(asking.ping())
            except RedisError:
                return False


@contextmanager
def a_server() -> Iterator[Server]:
    """One that runs until the block ends."""
    with tempfile.TemporaryDirectory(prefix="idp-redis-") as folder:
        server = Server(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
