"""Cold starts: of the server, whatever its tables hold, and of `idp --help`."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

from bench import served
from bench.place import Place
from bench.report import Figure
from idp.foundation.setting_types import ROOT

GOAL: Final = 1.5
"""Seconds from the start of `idp serve` to its first answer (performance.md §4)."""


def measure(url: str, kind: str, *, times: int) -> list[Figure]:
    """On an empty database; `growth` does the same on full ones."""
    return [*first_answers(Place(url), f"empty, {kind}", times), help_page(times)]


def first_answers(place: Place, subject: str, times: int) -> Iterator[Figure]:
    """How long the server takes to answer at all, and then its first token, for which it loads its keys."""
    asked = place.endpoints["token: client_credentials"].make(1)
    place.end_read_transaction()
    starts, tokens = [], []
    for _ in range(times):
        began = time.perf_counter()
        with served.idp(place.url, place.port) as server:
            starts.append(time.perf_counter() - began)
            tokens.append(served.put_under(server, asked, 5, most=1).told.within(50))
    yield Figure(subject, "first answer", min(starts), "s", GOAL, f"median {statistics.median(starts):.2f}")
    yield Figure(subject, "its first token", min(tokens), "ms", note=f"median {statistics.median(tokens):.0f}")


def help_page(times: int) -> Figure:
    """How long a person waits for the list of commands."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "idp.cli", "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return Figure("idp --help", "all of it", min(taken), "s", note=f"median {statistics.median(taken):.2f}")
