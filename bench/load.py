"""The load generator: a separate process that sends requests over keep-alive connections and checks every response.

`run(Load(…))` starts it and waits. Without a rate it is a closed loop: every connection sends its next request as soon
as it has a response, which finds the maximum. With a rate, requests are due at fixed times, and latencies are counted
from those: a stall also counts for the requests that it delayed (no coordinated omission).

It uses plain sockets, because a client library takes as long for a request as the server that is measured.
"""

import gc
import pickle
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

CONNECTIONS: Final = 8
"""Connections for a load as fast as possible: enough that the server never waits for the generator."""
MORE_CONNECTIONS: Final = 32
"""Connections for a load at a rate: enough that a late response does not delay the next requests."""
TIMEOUT_SECONDS: Final = 30.0
"""If no response comes for this long, the server is taken for dead."""
MAX_GENERATOR_CPU: Final = 0.85
"""The share of a core that the generator may use: above it, the generator was the limit, not the server."""
HEADER_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class RequestKind:
    """Requests of one kind, and the status and the text that each response must have."""

    name: str
    requests: Sequence[bytes]
    status: int
    expected_text: str
    single_use: bool = False
    """Whether each of `requests` may be sent only once (a code); otherwise they are sent in turn, repeatedly."""
    may_be_refused: bool = False
    """Whether 503 with `Retry-After` is a valid response too, because the load exceeds a limit."""


@dataclass(frozen=True, slots=True)
class Load:
    """The requests to send to 127.0.0.1:`port`, for how long, and at what rate or as fast as possible."""

    port: int
    kinds: Sequence[RequestKind]
    """The kinds of request, sent in turn; a kind that is listed twice is sent twice as often."""
    seconds: float
    rate: float | None = None
    """Requests per second."""
    burst: int = 1
    """How many of them are due at the same time."""
    max_requests: int | None = None
    connections: int | None = None
    """How many connections; by default `CONNECTIONS`, or `MORE_CONNECTIONS` if there is a rate."""


@dataclass(slots=True)
class LoadResult:
    """What a load measured."""

    latencies: list[float] = field(default_factory=list)
    """For each response, the seconds since its request was due."""
    seconds: float = 0.0
    generator_cpu: float = 0.0
    """The share of a core that the generator used."""
    wrong_responses: int = 0
    """How many responses did not have the expected status and text."""
    example: str = ""
    """The beginning of one of the wrong responses; empty if there were none."""
    refused: int = 0
    """How many responses had 503 where that is valid."""

    @property
    def responses(self) -> int:
        """The number of responses, wrong ones included."""
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.responses / self.seconds

    @property
    def is_generator_bound(self) -> bool:
        """Whether the generator, not the server, was the limit."""
        return self.generator_cpu > MAX_GENERATOR_CPU

    def percentile_ms(self, per_cent: int) -> float:
        """The latency in milliseconds that `per_cent` % of the responses did not exceed."""
        return percentile(self.latencies, per_cent) * 1000


def percentile(values: Sequence[float], per_cent: int) -> float:
    """The value that `per_cent` % of the values do not exceed."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[per_cent - 1]


def run(load: Load) -> LoadResult:
    """Run the load in a separate process. Raises `CalledProcessError` if the server cannot be reached or hangs."""
    process = subprocess.run(
        [sys.executable, "-c", "from bench import load; load.main()"],
        input=pickle.dumps(load),
        stdout=subprocess.PIPE,
        check=True,
    )
    result: LoadResult = pickle.loads(process.stdout)
    return result


# ── in the generator ──────────────────────────────────────────────────────────────────────────────────────────


class Connection:
    """A keep-alive connection with at most one request in progress."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._buffer = b""
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """The descriptor of the socket, for `select`."""
        return self.socket.fileno()

    def send(self, kind: RequestKind, request: bytes, due: float) -> None:
        """Send a request that was due at the time `due`."""
        self.kind, self.due = kind, due
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """The response once it is complete, or None."""
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("the server closed the connection before it had responded")
        self._buffer += received
        head, end, body = self._buffer.partition(HEADER_END)
        if not end or not _is_complete(head.lower(), body):
            return None
        response, self._buffer = self._buffer, b""
        if b"\r\nconnection: close" in head.lower():
            self.socket.close()
            self._connect()
        return response


def _is_complete(head: bytes, body: bytes) -> bool:
    """Whether the body is complete: of the announced length, or up to the last chunk."""
    _, has_length, rest = head.partition(b"\r\ncontent-length:")
    if has_length:
        return len(body) >= int(rest.partition(b"\r\n")[0])
    if b"\r\ntransfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    raise ConnectionError(f"a response without a length: {head[:200]!r}")


class RequestSequence:
    """The requests of a load in the order of sending."""

    def __init__(self, kinds: Sequence[RequestKind]) -> None:
        self._kinds = kinds
        self._numbers_sent = {kind.name: 0 for kind in kinds}
        self._number = 0

    def take(self) -> tuple[RequestKind, bytes] | None:
        """The next request; None if a single-use kind has no more."""
        kind = self._kinds[self._number % len(self._kinds)]
        number_sent = self._numbers_sent[kind.name]
        if kind.single_use and number_sent >= len(kind.requests):
            return None
        self._number += 1
        self._numbers_sent[kind.name] = number_sent + 1
        return kind, kind.requests[number_sent % len(kind.requests)]


def due_time(load: Load, start: float, is_exhausted: Callable[[], bool]) -> Callable[[int, float], float | None]:
    """A function that returns when request number `n` is due, as of the time `now`; None if it is not to be sent."""

    def due_at(number: int, now: float) -> float | None:
        if is_exhausted() or (load.max_requests is not None and number >= load.max_requests):
            return None
        due = now if load.rate is None else start + number // load.burst * load.burst / load.rate
        return due if due < start + load.seconds else None

    return due_at


def drive(load: Load) -> LoadResult:
    """Send the requests and check the responses, in this process."""
    count = load.connections or (MORE_CONNECTIONS if load.rate else CONNECTIONS)
    connections = [Connection(load.port) for _ in range(count)]
    result, cpu_before, start = LoadResult(), time.process_time(), time.perf_counter()
    gc.disable()
    try:
        _drive(load, connections, result, start)
    finally:
        gc.enable()
        for connection in connections:
            connection.socket.close()
    result.seconds = time.perf_counter() - start
    result.generator_cpu = (time.process_time() - cpu_before) / result.seconds
    return result


def _drive(load: Load, connections: list[Connection], result: LoadResult, start: float) -> None:
    free, waiting, sequence = [*connections], set[Connection](), RequestSequence(load.kinds)
    number, following = 0, sequence.take()
    due_of = due_time(load, start, lambda: following is None)
    while True:
        now = time.perf_counter()
        due = due_of(number, now)
        while free and following is not None and due is not None and due <= now:
            connection = free.pop()
            connection.send(*following, due)
            waiting.add(connection)
            number, following = number + 1, sequence.take()
            due = due_of(number, now)
        if due is None and not waiting:
            return
        timeout = max(0.0, due - time.perf_counter()) if free and due is not None else TIMEOUT_SECONDS
        ready: list[Connection] = select.select(waiting, (), (), timeout)[0]
        if not ready and timeout == TIMEOUT_SECONDS:
            raise TimeoutError(f"no response for {TIMEOUT_SECONDS:.0f} seconds")
        for connection in ready:
            if (response := connection.receive()) is not None:
                result.latencies.append(time.perf_counter() - connection.due)
                _check(response, connection.kind, result)
                waiting.remove(connection)
                free.append(connection)


def _check(response: bytes, kind: RequestKind, result: LoadResult) -> None:
    if response[9:12] == b"%d" % kind.status and kind.expected_text.encode() in response:
        return
    if kind.may_be_refused and response[9:12] == b"503" and b"\r\nretry-after: " in response.lower():
        result.refused += 1
        return
    result.wrong_responses += 1
    result.example = result.example or f"{kind.name}: {response[:300]!r}"


def main() -> None:
    """The separate process: read a `Load`, run it, write its `LoadResult`."""
    sys.stdout.buffer.write(pickle.dumps(drive(pickle.load(sys.stdin.buffer))))
