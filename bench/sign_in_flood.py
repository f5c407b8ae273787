"""A flood of sign-ins, 200 at once or every second, and its effect on the latency of other requests.

Programs send requests at a fixed rate, without and during the flood; latencies are counted from the time a request was
due. A sign-in beyond the limit gets 503 with `Retry-After`, which is valid and counted.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from bench import load, servers
from bench.load import Load, LoadResult, RequestKind
from bench.provider import Provider
from bench.report import Figure

FLOOD_SIZE: Final = 200
RATES: Final = {"token: client_credentials": 60, "introspect": 60, "/healthz": 20}
"""Requests per second: far from what a worker can do, so that only the flood makes a difference."""
MAX_SLOWDOWN: Final = 3
"""Of the p99 of programs during one flood, in relation to that without …"""
MAX_HEALTH_MS: Final = 100
"""… and of `/healthz` at any time."""
MAX_SIGN_IN_MS: Final = 2000
"""Until a sign-in succeeds or is refused."""
WARM_UP_SIGN_INS: Final = 4
"""One after the other, before anything is measured, because the first compile templates and statements."""
RECOVERY_SECONDS: Final = 5.0
"""After the flood, until latencies must be normal again."""


def measure(url: str, dbms: str, *, seconds: float) -> list[Figure]:
    """On one empty database with one worker: `seconds` without a flood, with one, with one a second, and afterwards."""
    provider = Provider(url)
    kinds = {name: provider.endpoints[name].make(1) for name in RATES if name in provider.endpoints}
    kinds["/healthz"] = [RequestKind("/healthz", [servers.request("GET", "/healthz", provider.port)], 200, "ok")]
    sign_ins = [replace(endpoint, may_be_refused=True) for endpoint in provider.endpoints["sign-in"].make(1)]
    provider.disconnect()
    once = Load(
        provider.port,
        sign_ins,
        seconds,
        rate=FLOOD_SIZE,
        burst=FLOOD_SIZE,
        connections=FLOOD_SIZE,
        max_requests=FLOOD_SIZE,
    )
    with servers.idp(url, provider.port), ThreadPoolExecutor() as pool:

        def programs() -> dict[str, LoadResult]:
            loads = {name: Load(provider.port, kinds[name], seconds, rate=rate) for name, rate in RATES.items()}
            return dict(zip(loads, pool.map(load.run, loads.values()), strict=True))

        def during(flood: Load) -> tuple[dict[str, LoadResult], LoadResult]:
            flooding = pool.submit(load.run, flood)
            return programs(), flooding.result()

        load.run(replace(once, rate=WARM_UP_SIGN_INS, burst=1, connections=1, max_requests=WARM_UP_SIGN_INS))
        programs()  # the first requests are slower in any case, and so are the first sign-ins
        alone = programs()
        with_one, first = during(once)
        with_many, others = during(replace(once, max_requests=None))
        time.sleep(RECOVERY_SECONDS)
        phases = {"while a crowd comes": with_one, "one each second": with_many, "5 s later": programs()}
        return list(_figures(dbms, alone, phases, [first, others]))


def _figures(
    dbms: str, alone: dict[str, LoadResult], phases: dict[str, dict[str, LoadResult]], crowds: list[LoadResult]
) -> Iterator[Figure]:
    goals = {"while a crowd comes": MAX_SLOWDOWN, "one each second": None, "5 s later": 2}
    for name, usual in alone.items():
        subject, usually = f"{name}, {dbms}", usual.percentile_ms(99)
        yield Figure(subject, "p99 alone", usually, "ms")
        for phase, result in phases.items():
            now = result[name].percentile_ms(99)
            if name == "/healthz":
                yield Figure(subject, f"slowest, {phase}", max(result[name].latencies) * 1000, "ms", MAX_HEALTH_MS)
            else:
                yield Figure(subject, f"p99 {phase}", now / usually, "×", goals[phase], f"{now:.1f} ms")
    subject = f"sign-in, {dbms}"
    yield Figure(
        subject, "slowest, in or refused", max(max(crowd.latencies) for crowd in crowds) * 1000, "ms", MAX_SIGN_IN_MS
    )
    refused, all_of_them = sum(crowd.refused for crowd in crowds), sum(crowd.responses for crowd in crowds)
    yield Figure(subject, "refused", refused, "", note=f"of {all_of_them:,}")
    everything = [*crowds, *alone.values(), *(result for phase in phases.values() for result in phase.values())]
    if wrong := sum(item.wrong_responses for item in everything):
        example = next(item.example for item in everything if item.example)
        yield Figure(subject, "wrong answers", wrong, "", 0, example)
