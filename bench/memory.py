"""What a worker holds in memory, after ten thousand requests and after ten thousand more.

There are sign-ins among them, and a worker keeps the memory of a hash for the next one: asking the system for it anew
costs half as much again as hashing does.
"""

from typing import Final

from bench import http, served
from bench.place import Place
from bench.report import Figure

HASH: Final = 19
"""MiB for the one hash at a time."""
GOAL: Final = 120 + HASH
"""MiB after so many requests (performance.md §4) …"""
GROWTH: Final = 2.0
"""… and MiB that as many more may add: a heap that is handed around breathes a little."""
PATIENCE: Final = 300.0
"""Seconds for all of them."""


def measure(url: str, kind: str, *, requests: int) -> list[Figure]:
    """The mix, `requests` times, and then as often again."""
    place, subject = Place(url), f"a worker, {kind}"
    first, second = place.mix.make(requests), place.mix.make(requests)
    place.end_read_transaction()
    with served.idp(url, place.port) as server:
        begun = server.worker_memory()
        runs = [served.put_under(server, first, PATIENCE, most=requests)]
        after = server.worker_memory()
        runs.append(served.put_under(server, second, PATIENCE, most=requests))
        growth = server.worker_memory() - after
    return [
        Figure(subject, "at its first answer", begun, "MiB"),
        Figure(subject, f"after {requests:,} requests", after, "MiB", GOAL, f"{HASH} of them for hashing"),
        Figure(subject, f"added by {requests:,} more", growth, "MiB", GROWTH),
        *http.wrong(subject, runs),
    ]
