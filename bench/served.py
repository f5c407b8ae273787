"""Servers of their own process: `idp serve` as in production, a bare view, a peer; and what each of them uses."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import load
from bench.load import Asked, Load, Told
from idp.foundation.setting_types import ROOT
from tests.ports import free_port

PROGRAMS: Final = Path(sys.executable).parent
TICK: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
PATIENCE: Final = 30.0
"""Seconds that a server may take to answer for the first time."""
BY_SETTING: Final = {"IDP_THROTTLE__FACTOR": "1000000"}
"""What differs from production for the generator's sake: it is one address, and would be throttled."""
AS_IN_PRODUCTION: Final = {
    "IDP_ENVIRONMENT": "development",  # the test environment hashes passwords cheaply
    "IDP_SERVER__LOG_LEVEL": "INFO",
    "IDP_SERVER__LOG_FORMAT": "json",
}


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers on `port`: a process, and those that it has started."""

    process: subprocess.Popen[bytes]
    port: int

    def processor(self) -> float:
        """Seconds of processor time that it and its workers have used."""
        return sum(_ticks(pid) for pid in self.pids()) / TICK

    def worker_memory(self) -> float:
        """MiB that its largest process holds in memory: the worker."""
        return max(_resident(pid) for pid in self.pids()) / 2**20

    def pids(self) -> Iterator[int]:
        """It and its workers."""
        yield self.process.pid
        yield from _children(self.process.pid)


@dataclass(frozen=True, slots=True)
class Run:
    """What a load met, and what it took the server."""

    told: Told
    processor: float
    """Seconds of the server's processor time."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.told.rate

    @property
    def per_processor(self) -> float:
        """Answers per second of the server's processor time: what one vCPU gives, others' work not counted."""
        return self.told.answers / self.processor if self.processor else 0.0


def put_under(server: Server, asked: Sequence[Asked], seconds: float, **more: float) -> Run:
    """Load the server; `more` is the `rate` or the `most` of `Load`."""
    before = server.processor()
    told = load.run(Load(server.port, asked, seconds, **more))  # type: ignore[arg-type]  # `most` is whole
    return Run(told, server.processor() - before)


def request(method: str, target: str, port: int, body: bytes = b"", **headers: str) -> bytes:
    """A request as it goes over the wire; underscores in the names of `headers` are hyphens."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + load.END + body


@contextmanager
def idp(url: str, port: int, **settings: str) -> Iterator[Server]:
    """`idp serve` on the database behind `url`, which has our tables: one worker, threads as the settings say."""
    issuer = f"http://127.0.0.1:{port}"
    ours = {"IDP_DATABASE__URL": url, "IDP_SERVER__ISSUER": issuer, "IDP_SERVER__PORT": str(port)}
    environment = {"IDP_CONFIG": "config/test.toml", **AS_IN_PRODUCTION, **BY_SETTING, **ours, **settings}
    with running([sys.executable, "-m", "idp.cli", "serve"], port, environment) as server:
        yield server


@contextmanager
def bare(threads: int) -> Iterator[Server]:
    """The bare view, on as many threads as we have."""
    port = free_port()
    with running([str(PROGRAMS / "granian"), *granian(port, threads), "bench.bare:application"], port, {}) as server:
        yield server


def granian(port: int, threads: int) -> list[str]:
    """The options with which Granian serves a WSGI application as `idp serve` does."""
    return [
        "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--no-ws",
        "--blocking-threads", str(threads), "--backpressure", str(threads * 32), "--log-level", "warning",
    ]  # fmt: skip


@contextmanager
def running(
    command: Sequence[str], port: int, environment: Mapping[str, str], folder: Path = ROOT, patience: float = PATIENCE
) -> Iterator[Server]:
    """A program that serves, from when it answers until the block ends. Raises `RuntimeError` with its last words."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=said, stderr=said, cwd=folder, start_new_session=True
        )
        try:
            until = time.monotonic() + patience
            while not answers(port):
                if process.poll() is not None or time.monotonic() > until:
                    said.seek(0)
                    raise RuntimeError(f"{' '.join(command[:4])} … does not serve: {said.read()[-2000:].decode()}")
                time.sleep(0.005)
            yield Server(process, port)
        finally:
            _stop(process)


def done(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a program to its end. Raises `RuntimeError` with its last words where it fails."""
    told = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False
    )
    if told.returncode:
        raise RuntimeError(f"{Path(command[-3]).name} failed: {told.stderr.strip()[-500:]}")


def answers(port: int, target: str = "/") -> bool:
    """Whether anything answers on the port, whatever it answers."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
        line.settimeout(PATIENCE)
        line.sendall(request("GET", target, port, Connection="close"))
        return line.recv(12).startswith(b"HTTP/1.1 ")
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """It, and whatever it leaves behind: it leads a group of its own."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _children(pid: int) -> Iterator[int]:
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in file.read_text("ascii").split():
            yield int(child)
            yield from _children(int(child))


def _ticks(pid: int) -> int:
    """User and system time of a process: fields 14 and 15 of its `stat`, counted behind its name."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE
