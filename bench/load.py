"""The load generator: a process of its own that asks over keep-alive connections and checks every answer.

`run(Load(…))` starts it and waits. Without a rate it is a closed loop: every connection asks again as soon as it is
answered, which finds the maximum. With a rate, requests are due at fixed moments whatever happened to those before
them, and how long each took is counted from the moment it was due: a stall that makes the next ones late is told of
them too, not hidden (no coordinated omission).

Plain sockets: a client library takes as long for a request as the server that is to be measured.
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
"""Of a closed loop: enough that the server never waits for the generator."""
MORE_CONNECTIONS: Final = 32
"""With a rate: enough that a late answer does not keep back the requests after it."""
PATIENCE: Final = 30.0
"""Seconds without any answer, after which the server is taken for dead."""
BOUND: Final = 0.85
"""Of a processor: a generator that used more of it was measured itself."""
END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """A kind of request: as bytes, what the answer's status must be, and what must stand in it."""

    name: str
    requests: Sequence[bytes]
    status: int
    word: str
    once: bool = False
    """Whether each of `requests` may be sent only once (a code); they are taken in turn, over and over, otherwise."""
    busy: bool = False
    """Whether 503 with `Retry-After` is as good an answer: more is offered than there is room for."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask of 127.0.0.1:`port`, for how long, and at what rate, or as fast as answers come."""

    port: int
    asked: Sequence[Asked]
    """In turn; several kinds are a mix, in which each has as many turns as it has places here."""
    seconds: float
    rate: float | None = None
    """Requests per second."""
    burst: int = 1
    """How many of them are due at the same moment."""
    most: int | None = None
    """Requests, after which it is enough."""
    connections: int | None = None
    """`CONNECTIONS` or `MORE_CONNECTIONS` otherwise."""


@dataclass(slots=True)
class Told:
    """What came of it."""

    took: list[float] = field(default_factory=list)
    """Seconds for each answer, from the moment its request was due."""
    seconds: float = 0.0
    busy: float = 0.0
    """Of a processor, what the generator itself used."""
    wrong: int = 0
    """Answers that were not what they had to be …"""
    example: str = ""
    """… and the beginning of one of them."""
    refused: int = 0
    """Answers that were 503, where that is right."""

    @property
    def answers(self) -> int:
        """How many there were, wrong ones included."""
        return len(self.took)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds

    @property
    def is_bound(self) -> bool:
        """Whether it was the generator that could do no more."""
        return self.busy > BOUND

    def within(self, per_cent: int) -> float:
        """Milliseconds within which this many of a hundred answers came."""
        return percentile(self.took, per_cent) * 1000


def percentile(values: Sequence[float], per_cent: int) -> float:
    """The value that this many of a hundred do not exceed."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[per_cent - 1]


def run(load: Load) -> Told:
    """Do it in a process of its own. Raises `CalledProcessError` when the server is not there or does not answer."""
    done = subprocess.run(
        [sys.executable, "-c", "from bench import load; load.main()"],
        input=pickle.dumps(load),
        stdout=subprocess.PIPE,
        check=True,
    )
    told: Told = pickle.loads(done.stdout)
    return told


# ── in the generator ──────────────────────────────────────────────────────────────────────────────────────────


class Line:
    """A connection, with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._buffer = b""
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """For `select`."""
        return self.socket.fileno()

    def ask(self, asked: Asked, request: bytes, due: float) -> None:
        """Send a request that was due at `due`."""
        self.asked, self.due = asked, due
        self.socket.sendall(request)

    def heard(self) -> bytes | None:
        """The answer, once all of it is there."""
        got = self.socket.recv(65536)
        if not got:
            raise ConnectionError("the server hung up before it had answered")
        self._buffer += got
        head, end, body = self._buffer.partition(END)
        if not end or not _is_whole(head.lower(), body):
            return None
        answer, self._buffer = self._buffer, b""
        if b"\r\nconnection: close" in head.lower():
            self.socket.close()
            self._connect()
        return answer


def _is_whole(head: bytes, body: bytes) -> bool:
    """Whether all of the body is there: of its length, or up to the last chunk."""
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if found:
        return len(body) >= int(rest.partition(b"\r\n")[0])
    if b"\r\ntransfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    raise ConnectionError(f"an answer whose end cannot be told: {head[:200]!r}")


class Turns:
    """Which request is next."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        self._asked = asked
        self._taken = {each.name: 0 for each in asked}
        self._number = 0

    def take(self) -> tuple[Asked, bytes] | None:
        """The next one; None when a kind that may be sent only once has no more."""
        asked = self._asked[self._number % len(self._asked)]
        taken = self._taken[asked.name]
        if asked.once and taken >= len(asked.requests):
            return None
        self._number += 1
        self._taken[asked.name] = taken + 1
        return asked, asked.requests[taken % len(asked.requests)]


def due(load: Load, began: float, ended: Callable[[], bool]) -> Callable[[int, float], float | None]:
    """When request number `n` is due, asked at the moment `now`; None where it is not to be sent any more."""

    def of(number: int, now: float) -> float | None:
        if ended() or (load.most is not None and number >= load.most):
            return None
        moment = now if load.rate is None else began + number // load.burst * load.burst / load.rate
        return moment if moment < began + load.seconds else None

    return of


def drive(load: Load) -> Told:
    """Ask, hear and check until it is over."""
    lines = [Line(load.port) for _ in range(load.connections or (MORE_CONNECTIONS if load.rate else CONNECTIONS))]
    told, spent, began = Told(), time.process_time(), time.perf_counter()
    gc.disable()
    try:
        _drive(load, lines, told, began)
    finally:
        gc.enable()
        for line in lines:
            line.socket.close()
    told.seconds = time.perf_counter() - began
    told.busy = (time.process_time() - spent) / told.seconds
    return told


def _drive(load: Load, free: list[Line], told: Told, began: float) -> None:
    free, waiting, turns = [*free], set[Line](), Turns(load.asked)
    number, coming = 0, turns.take()
    when = due(load, began, lambda: coming is None)
    while True:
        now = time.perf_counter()
        following = when(number, now)
        while free and coming is not None and following is not None and following <= now:
            line = free.pop()
            line.ask(*coming, following)
            waiting.add(line)
            number, coming = number + 1, turns.take()
            following = when(number, now)
        if following is None and not waiting:
            return
        pause = max(0.0, following - time.perf_counter()) if free and following is not None else PATIENCE
        ready: list[Line] = select.select(waiting, (), (), pause)[0]
        if not ready and pause == PATIENCE:
            raise TimeoutError(f"no answer for {PATIENCE:.0f} seconds")
        for line in ready:
            if (answer := line.heard()) is not None:
                told.took.append(time.perf_counter() - line.due)
                _check(answer, line.asked, told)
                waiting.remove(line)
                free.append(line)


def _check(answer: bytes, asked: Asked, told: Told) -> None:
    if answer[9:12] == b"%d" % asked.status and asked.word.encode() in answer:
        return
    if asked.busy and answer[9:12] == b"503" and b"\r\nretry-after: " in answer.lower():
        told.refused += 1
        return
    told.wrong += 1
    told.example = told.example or f"{asked.name}: {answer[:300]!r}"


def main() -> None:
    """In the process of its own: read a `Load`, do it, write what came of it."""
    sys.stdout.buffer.write(pickle.dumps(drive(pickle.load(sys.stdin.buffer))))
