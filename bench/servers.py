"""Servers in separate processes (`idp serve` as in production, a bare view, a peer), and the resources they use."""

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
from bench.load import Load, LoadResult, RequestKind
from idp.foundation.setting_types import ROOT
from tests.ports import free_port

PROGRAMS: Final = Path(sys.executable).parent
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE")
START_TIMEOUT_SECONDS: Final = 30.0
BENCH_SETTINGS: Final = {"IDP_THROTTLE__FACTOR": "1000000"}
"""Differs from production, because the generator has one address and would be throttled."""
PRODUCTION_SETTINGS: Final = {
    "IDP_ENVIRONMENT": "development",  # the test environment hashes passwords cheaply
    "IDP_SERVER__LOG_LEVEL": "INFO",
    "IDP_SERVER__LOG_FORMAT": "json",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server on `port`: its process, whose children are its workers."""

    process: subprocess.Popen[bytes]
    port: int

    def processor_seconds(self) -> float:
        """Seconds of processor time used by it and its workers."""
        return sum(_ticks(pid) for pid in self.pids()) / TICKS_PER_SECOND

    def worker_memory(self) -> float:
        """MiB of resident memory of its largest process, the worker."""
        return max(_resident(pid) for pid in self.pids()) / 2**20

    def pids(self) -> Iterator[int]:
        """The process ids of the server and its workers."""
        yield self.process.pid
        yield from _children(self.process.pid)


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a load, and the processor time of the server."""

    result: LoadResult
    processor: float
    """Seconds of the server's processor time."""

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.result.rate

    @property
    def per_processor(self) -> float:
        """Responses per second of the server's processor time: the rate per vCPU."""
        return self.result.responses / self.processor if self.processor else 0.0


def run_load(server: Server, kinds: Sequence[RequestKind], seconds: float, **options: float) -> Run:
    """Load the server; `options` are the `rate` or `max_requests` of `Load`."""
    before = server.processor_seconds()
    result = load.run(Load(server.port, kinds, seconds, **options))  # type: ignore[arg-type]  # `max_requests` is an int
    return Run(result, server.processor_seconds() - before)


def request(method: str, target: str, port: int, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a request; underscores in the names of `headers` become hyphens."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + load.HEADER_END + body


@contextmanager
def idp(url: str, port: int, **settings: str) -> Iterator[Server]:
    """`idp serve` on the migrated database at `url`: one worker, threads as in the settings."""
    issuer = f"http://127.0.0.1:{port}"
    variables = {"IDP_DATABASE__URL": url, "IDP_SERVER__ISSUER": issuer, "IDP_SERVER__PORT": str(port)}
    environment = {"IDP_CONFIG": "config/test.toml", **PRODUCTION_SETTINGS, **BENCH_SETTINGS, **variables, **settings}
    with running([sys.executable, "-m", "idp.cli", "serve"], port, environment) as server:
        yield server


@contextmanager
def bare(threads: int) -> Iterator[Server]:
    """The bare view, with as many threads as `idp serve` has."""
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
    command: Sequence[str],
    port: int,
    environment: Mapping[str, str],
    folder: Path = ROOT,
    start_timeout: float = START_TIMEOUT_SECONDS,
) -> Iterator[Server]:
    """A server, from its first response until the context ends. Raises `RuntimeError` with its output if it fails."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output, cwd=folder, start_new_session=True
        )
        try:
            deadline = time.monotonic() + start_timeout
            while not responds(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    output.seek(0)
                    raise RuntimeError(f"{' '.join(command[:4])} … does not serve: {output.read()[-2000:].decode()}")
                time.sleep(0.005)
            yield Server(process, port)
        finally:
            _stop(process)


def run_to_end(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a program to its end. Raises `RuntimeError` with its error output if it fails."""
    process = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False
    )
    if process.returncode:
        raise RuntimeError(f"{Path(command[-3]).name} failed: {process.stderr.strip()[-500:]}")


def responds(port: int, target: str = "/") -> bool:
    """Whether a server responds on the port, with any status."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.settimeout(START_TIMEOUT_SECONDS)
        connection.sendall(request("GET", target, port, Connection="close"))
        return connection.recv(12).startswith(b"HTTP/1.1 ")
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop it and all processes that it started, which are in its process group."""
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
    """User and system time of a process: fields 14 and 15 of its `stat`, counted after its name."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE_SIZE
