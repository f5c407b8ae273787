"""Each fast path alone, over HTTP: the processor time of a request without it, beside the service as it is.

Two servers on one database are asked the same request in turn, one request at a time, so that both meet the same
machine. The processor time of each request is the server's threads' own (`schedstat`, nanoseconds); medians are
compared, because single requests are sometimes charged to the next one.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from bench import served
from bench.load import Asked, Line
from bench.place import CODES, Place
from bench.report import Figure
from bench.served import Server
from bench.without import CHANGES
from tests.ports import free_port

ENDPOINTS: Final = (
    "token: client_credentials", "token: refresh", "introspect", "userinfo", "par", "authorize, nothing to ask",
    CODES["ES256"], "jwks",
)  # fmt: skip
SETTLES: Final = 0.001
"""Seconds until the thread that has answered sleeps, and its time is told."""
WARM_UP: Final = 0.1
"""Of the requests, thrown away."""
THREADS: Final = 20


class Probe:
    """One server, asked one request at a time over one connection."""

    def __init__(self, server: Server) -> None:
        self._line, self._pids = Line(server.port), list(server.pids())
        self._threads: dict[Path, int] = {}
        """What each thread has used; those that have ended keep what they had."""
        self.spent: list[int] = []
        """Nanoseconds of the server's processor time for each request."""

    def ask(self, asked: Asked, request: bytes) -> None:
        """Ask, check the status, and keep what it took. Raises `RuntimeError` for a wrong answer."""
        before = self._spent()
        self._line.ask(asked, request, 0)
        while (answer := self._line.heard()) is None:
            pass
        if int(answer[9:12]) != asked.status:
            raise RuntimeError(f"{asked.name} answered {answer[:300]!r}")
        time.sleep(SETTLES)
        self.spent.append(self._spent() - before)

    def median(self) -> float:
        """Of the requests after the warm-up."""
        return statistics.median(self.spent[int(len(self.spent) * WARM_UP) :])

    def close(self) -> None:
        """Close the connection."""
        self._line.socket.close()

    def _spent(self) -> int:
        for pid in self._pids:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):  # it has just ended
                    self._threads[thread] = int((thread / "schedstat").read_bytes().split()[0])
        return sum(self._threads.values())


def measure(url: str, kind: str, *, requests: int) -> list[Figure]:
    """Every fast path on one empty database, `requests` of each kind with it and without."""
    place = Place(url)
    return [figure for name in CHANGES for figure in _without(place, kind, name, requests)]


def _without(place: Place, kind: str, name: str, requests: int) -> Iterator[Figure]:
    costs = dict[str, float]()
    with _service(place, "") as whole, _service(place, name) as other:  # both of the same age
        for endpoint in ENDPOINTS:
            asked = place.endpoints[endpoint].make(2 * requests)[0]
            place.end_read_transaction()
            costs[endpoint] = _compare(asked, whole, other, requests)
    for endpoint, cost in costs.items():
        yield Figure(f"without {name}, {kind}", endpoint, cost, "%")
    yield Figure(f"without {name}, {kind}", "costs at most", max(costs.values()), "%", 5, at_least=True)


def _compare(asked: Asked, whole: Server, other: Server, requests: int) -> float:
    """How much more, in per cent, a request takes `other`."""
    probes = Probe(whole), Probe(other)
    turns = _turns(asked.requests)
    for number in range(requests):
        for probe in probes if number % 2 else reversed(probes):
            probe.ask(asked, next(turns))
    for probe in probes:
        probe.close()
    return (probes[1].median() / probes[0].median() - 1) * 100


def _turns(requests: Sequence[bytes]) -> Iterator[bytes]:
    """The requests in turn, over and over."""
    while True:
        yield from requests


@contextmanager
def _service(place: Place, without: str) -> Iterator[Server]:
    """The service on the database of `place` and under its issuer, without one fast path."""
    port = free_port()
    environment = {
        "IDP_CONFIG": "config/test.toml", **served.AS_IN_PRODUCTION, **served.BY_SETTING,
        "IDP_SERVER__ISSUER": f"http://127.0.0.1:{place.port}", "IDP_SERVER__PORT": str(port),
        "IDP_DATABASE__URL": place.url, "BENCH_WITHOUT": without,
    }  # fmt: skip
    command = [str(served.PROGRAMS / "granian"), *served.granian(port, THREADS), "bench.without:application"]
    with ExitStack() as stack:
        yield stack.enter_context(served.running(command, port, environment))
