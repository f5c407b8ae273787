"""The memory of a worker after ten thousand requests and after ten thousand more.

Some are sign-ins: a worker reuses the memory of a hash for the next one, because allocating it again adds half to the
time of hashing.
"""

from typing import Final

from bench import http, servers
from bench.provider import Provider
from bench.report import Figure

HASH_MIB: Final = 19
"""The memory of one password hash; one is calculated at a time."""
MAX_MIB: Final = 120 + HASH_MIB
"""How much memory a worker may use after the first requests (performance.md §4)."""
MAX_GROWTH_MIB: Final = 2.0
"""How much more it may use after as many again; a heap varies a little."""
TIMEOUT_SECONDS: Final = 300.0
"""How long all requests may take."""


def measure(url: str, dbms: str, *, requests: int) -> list[Figure]:
    """Send so many `requests` of all kinds, then as many again, and measure the memory after both."""
    provider, subject = Provider(url), f"a worker, {dbms}"
    first, second = provider.mix.make(requests), provider.mix.make(requests)
    provider.disconnect()
    with servers.idp(url, provider.port) as server:
        at_start = server.worker_memory()
        runs = [servers.run_load(server, first, TIMEOUT_SECONDS, max_requests=requests)]
        after = server.worker_memory()
        runs.append(servers.run_load(server, second, TIMEOUT_SECONDS, max_requests=requests))
        growth = server.worker_memory() - after
    return [
        Figure(subject, "at its first answer", at_start, "MiB"),
        Figure(subject, f"after {requests:,} requests", after, "MiB", MAX_MIB, f"{HASH_MIB} of them for hashing"),
        Figure(subject, f"added by {requests:,} more", growth, "MiB", MAX_GROWTH_MIB),
        *http.wrong_responses(subject, runs),
    ]
