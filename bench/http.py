"""Over HTTP: `idp serve` with one worker, its database beside it, and the load generator in front.

Each endpoint, and for comparison a bare Flask view, is loaded at full speed in several rounds, and then at 70 % of its
own maximum to measure latencies. A rate *per vCPU* is responses per second of the server's processor time: the
generator and PostgreSQL use the same cores, and peers' published figures do not count their database either.
"""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from bench import servers
from bench.load import RequestKind
from bench.provider import CODES, Endpoint, Provider
from bench.report import Figure
from bench.servers import Run, Server
from idp.foundation import runtime

LATENCY_LOAD: Final = 0.7
"""The load at which latencies are measured, as a share of the maximum."""
WARM_UP_SECONDS: Final = 0.4
"""Requests in this time at the beginning are not counted."""
MAX_SINGLE_USE_RATE: Final = 1500
"""Requests per second. Single-use requests are prepared for this rate, which no endpoint exceeds."""
PER_PROCESSOR: Final = {
    "sign-in": (30, 40),
    CODES["ES256"]: (400, 700),
    CODES["RS256"]: (350, 600),
    "token: refresh": (500, 1000),
    "token: client_credentials": (1500, 2000),
    "introspect": (1000, 1500),
    "userinfo": (1000, 1500),
    "par": (600, 600),
    "authorize, nothing to ask": (350, 350),
    "jwks": (4000, 4000),
    "discovery": (4000, 4000),
}
"""Responses per second of processor time: the goal, and the higher rate that we aim for (performance.md §4)."""
PAGE_GOALS: Final = {"authorize, nothing to ask": {99: 150}, "sign-in page": {99: 150}, "sign-in": {99: 300}}
"""The maximum latency of pages in milliseconds, by subject and percentile."""
PROGRAM_GOALS: Final = {50: 10, 99: 50}
"""The maximum latency of endpoints that programs call, in milliseconds, by percentile."""


def measure(url: str, dbms: str, *, rounds: int, seconds: float, steady_seconds: float) -> list[Figure]:
    """Measure on one empty database: `rounds` of `seconds` at full speed, then `steady_seconds` at 70 % of it."""
    provider = Provider(url)
    threads = runtime.for_app(provider.world.app).settings.server.threads
    with ExitStack() as stack:
        bare, server = stack.enter_context(servers.bare(threads)), stack.enter_context(servers.idp(url, provider.port))
        bare_endpoint = bare_view(bare)
        subjects = [
            (bare_endpoint, bare),
            *((endpoint, server) for endpoint in (*provider.endpoints.values(), provider.mix)),
        ]
        for number in range(rounds + 1):  # the first is not counted
            for endpoint, target in subjects:
                duration = seconds if number else WARM_UP_SECONDS
                kinds = endpoint.make(int(MAX_SINGLE_USE_RATE * duration))
                provider.disconnect()
                run = servers.run_load(target, kinds, duration)
                if number:
                    endpoint.runs.append(run)
        result: list[Figure] = []
        for endpoint, target in subjects:
            result += speed(endpoint, dbms, bare_endpoint)
            result += latency(endpoint, target, dbms, steady_seconds)
    return result


def bare_view(server: Server) -> Endpoint:
    """The bare view, as one more endpoint to measure."""
    kinds = [RequestKind("bare view", [servers.request("GET", "/", server.port)], 200, "bare view")]
    return Endpoint("bare view", lambda _times: kinds)


def speed(endpoint: Endpoint, dbms: str, bare_endpoint: Endpoint) -> Iterator[Figure]:
    """The best round: per vCPU, in all, and in relation to the bare view."""
    subject = f"{endpoint.name}, {dbms}"
    median = statistics.median(run.per_processor for run in endpoint.runs)
    goal, aim = PER_PROCESSOR.get(endpoint.name, (None, None))
    aim_note = (
        "" if aim is None or aim == goal else f"aim {aim:,}{' reached' if endpoint.per_processor >= aim else ''}, "
    )
    yield Figure(
        subject, "per vCPU", endpoint.per_processor, "/s", goal, f"{aim_note}median {median:,.0f}", at_least=True
    )
    median = statistics.median(run.rate for run in endpoint.runs)
    bound = "; GENERATOR-BOUND" if any(run.result.is_generator_bound for run in endpoint.runs) else ""
    busy = max(run.result.generator_cpu for run in endpoint.runs)
    note = f"median {median:,.0f}, generator {busy:.0%} of a core{bound}"
    yield Figure(subject, "at most, one worker", endpoint.rate, "/s", note=note)
    yield Figure(subject, "processor, HTTP", bare_endpoint.per_processor / endpoint.per_processor, "×")
    yield from wrong_responses(subject, endpoint.runs)


def latency(endpoint: Endpoint, server: Server, dbms: str, seconds: float) -> Iterator[Figure]:
    """Latencies at 70 % of the best round."""
    subject, rate = f"{endpoint.name}, {dbms}", endpoint.rate * LATENCY_LOAD
    run = servers.run_load(server, endpoint.make(int(rate * seconds) + 10), seconds, rate=rate)
    goals = PAGE_GOALS.get(endpoint.name, PROGRAM_GOALS if endpoint.name in PER_PROCESSOR else {})
    for per_cent in (50, 95, 99):
        note = f"at {rate:,.0f} /s, {run.result.responses:,} answers" if per_cent == 50 else ""
        yield Figure(
            subject, f"p{per_cent} at 70 %", run.result.percentile_ms(per_cent), "ms", goals.get(per_cent), note
        )
    yield from wrong_responses(subject, [run])


def wrong_responses(subject: str, runs: list[Run]) -> Iterator[Figure]:
    """A figure that misses its goal if there were wrong responses."""
    if count := sum(run.result.wrong_responses for run in runs):
        example = next(run.result.example for run in runs if run.result.example)
        yield Figure(subject, "wrong answers", count, "", 0, example)
