"""Cold starts of the server, with tables of any size, and of `idp --help`."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

from bench import servers
from bench.provider import Provider
from bench.report import Figure
from idp.foundation.setting_types import ROOT

MAX_START_SECONDS: Final = 1.5
"""From the start of `idp serve` to its first response (performance.md §4)."""


def measure(url: str, dbms: str, *, times: int) -> list[Figure]:
    """On an empty database; `growth` does the same on full ones."""
    return [*first_answers(Provider(url), f"empty, {dbms}", times), help_page(times)]


def first_answers(provider: Provider, subject: str, times: int) -> Iterator[Figure]:
    """The time to the first response, and then to the first token, for which the server loads its keys."""
    kinds = provider.endpoints["token: client_credentials"].make(1)
    provider.disconnect()
    starts, tokens = [], []
    for _ in range(times):
        began = time.perf_counter()
        with servers.idp(provider.url, provider.port) as server:
            starts.append(time.perf_counter() - began)
            tokens.append(servers.run_load(server, kinds, 5, max_requests=1).result.percentile_ms(50))
    yield Figure(
        subject, "first answer", min(starts), "s", MAX_START_SECONDS, f"median {statistics.median(starts):.2f}"
    )
    yield Figure(subject, "its first token", min(tokens), "ms", note=f"median {statistics.median(tokens):.0f}")


def help_page(times: int) -> Figure:
    """The time until the list of commands is shown."""
    durations = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "idp.cli", "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        durations.append(time.perf_counter() - began)
    return Figure("idp --help", "all of it", min(durations), "s", note=f"median {statistics.median(durations):.2f}")
