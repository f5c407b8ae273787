"""The effect of each fast path, over HTTP: the processor time of a request without it, compared with the whole service.

Two servers on one database get the same request in turn, one at a time, so that both run under the same conditions.
The processor time is that of the server's threads (`schedstat`, nanoseconds); medians are compared, because the time
of a request is sometimes counted for the next one.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from bench import servers
from bench.load import Connection, RequestKind
from bench.provider import CODES, Provider
from bench.report import Figure
from bench.servers import Server
from bench.without import CHANGES
from tests.ports import free_port

ENDPOINTS: Final = (
    "token: client_credentials", "token: refresh", "introspect", "userinfo", "par", "authorize, nothing to ask",
    CODES["ES256"], "jwks",
)  # fmt: skip
SETTLE_SECONDS: Final = 0.001
"""The pause after a response until the thread that sent it sleeps and its processor time is up to date."""
WARM_UP_SHARE: Final = 0.1
"""The share of the requests that are sent first and not counted."""
THREADS: Final = 20


class Probe:
    """One server that gets one request at a time over one connection."""

    def __init__(self, server: Server) -> None:
        self._connection, self._pids = Connection(server.port), list(server.pids())
        self._threads: dict[Path, int] = {}
        """The processor time of each thread, also of those that have ended."""
        self.spent: list[int] = []
        """The server's processor time for each request, in nanoseconds."""

    def send(self, kind: RequestKind, request: bytes) -> None:
        """Send a request, check the status, and record its processor time. Raises `RuntimeError` if it is wrong."""
        before = self._spent()
        self._connection.send(kind, request, 0)
        while (response := self._connection.receive()) is None:
            pass
        if int(response[9:12]) != kind.status:
            raise RuntimeError(f"{kind.name} responded {response[:300]!r}")
        time.sleep(SETTLE_SECONDS)
        self.spent.append(self._spent() - before)

    def median(self) -> float:
        """The median of the requests after the warm-up."""
        return statistics.median(self.spent[int(len(self.spent) * WARM_UP_SHARE) :])

    def close(self) -> None:
        """Close the connection."""
        self._connection.socket.close()

    def _spent(self) -> int:
        for pid in self._pids:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):  # it has just ended
                    self._threads[thread] = int((thread / "schedstat").read_bytes().split()[0])
        return sum(self._threads.values())


def measure(url: str, dbms: str, *, requests: int) -> list[Figure]:
    """Measure every fast path on one empty database, with `requests` of each kind."""
    provider = Provider(url)
    return [figure for name in CHANGES for figure in _without(provider, dbms, name, requests)]


def _without(provider: Provider, dbms: str, name: str, requests: int) -> Iterator[Figure]:
    costs = dict[str, float]()
    with _service(provider, "") as usual_server, _service(provider, name) as changed_server:  # started at the same time
        for endpoint in ENDPOINTS:
            request_kind = provider.endpoints[endpoint].make(2 * requests)[0]
            provider.disconnect()
            costs[endpoint] = _compare(request_kind, usual_server, changed_server, requests)
    for endpoint, cost in costs.items():
        yield Figure(f"without {name}, {dbms}", endpoint, cost, "%")
    yield Figure(f"without {name}, {dbms}", "costs at most", max(costs.values()), "%", 5, at_least=True)


def _compare(kind: RequestKind, usual_server: Server, changed_server: Server, requests: int) -> float:
    """By how many per cent a request takes longer on `changed_server`."""
    probes = Probe(usual_server), Probe(changed_server)
    cycle = _cycle(kind.requests)
    for number in range(requests):
        for probe in probes if number % 2 else reversed(probes):
            probe.send(kind, next(cycle))
    for probe in probes:
        probe.close()
    return (probes[1].median() / probes[0].median() - 1) * 100


def _cycle(requests: Sequence[bytes]) -> Iterator[bytes]:
    """The requests in turn, repeatedly."""
    while True:
        yield from requests


@contextmanager
def _service(provider: Provider, without: str) -> Iterator[Server]:
    """The service on the database of `provider` and under its issuer, without one fast path."""
    port = free_port()
    environment = {
        "IDP_CONFIG": "config/test.toml", **servers.PRODUCTION_SETTINGS, **servers.BENCH_SETTINGS,
        "IDP_SERVER__ISSUER": f"http://127.0.0.1:{provider.port}", "IDP_SERVER__PORT": str(port),
        "IDP_DATABASE__URL": provider.url, "BENCH_WITHOUT": without,
    }  # fmt: skip
    command = [str(servers.PROGRAMS / "granian"), *servers.granian(port, THREADS), "bench.without:application"]
    with ExitStack() as stack:
        yield stack.enter_context(servers.running(command, port, environment))
