"""Over HTTP: `idp serve` with one worker, its database beside it, and the load generator in front.

Each endpoint is asked as fast as it answers, round by round, a bare Flask view on the same server among them; then
at 70 % of its own maximum, where latencies are counted from the moment a request was due. A rate *per vCPU* is
answers per second of the server's processor time: the generator and PostgreSQL work on the same cores, and a peer's
published figures do not count their database's either.
"""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from bench import served
from bench.load import Asked
from bench.place import CODES, Endpoint, Place
from bench.report import Figure
from bench.served import Run, Server
from idp.foundation import runtime

SHARE: Final = 0.7
"""Of the maximum: the load at which latencies are taken."""
WARM_UP: Final = 0.4
"""Seconds, thrown away."""
FASTEST: Final = 1500
"""Requests per second that no endpoint with single-use requests reaches: so many are made."""
PER_PROCESSOR: Final = {  # must, aim (performance.md §4)
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
PAGES: Final = {"authorize, nothing to ask": {99: 150}, "sign-in page": {99: 150}, "sign-in": {99: 300}}
"""Milliseconds within which this many of a hundred answers are to come …"""
OTHERWISE: Final = {50: 10, 99: 50}
"""… and from what only programs call."""


def measure(url: str, kind: str, *, rounds: int, seconds: float, steady: float) -> list[Figure]:
    """All on one empty database: `rounds` of `seconds` at full speed each, then `steady` seconds at 70 %."""
    place = Place(url)
    threads = runtime.of(place.world.app).settings.server.threads
    with ExitStack() as stack:
        bare, server = stack.enter_context(served.bare(threads)), stack.enter_context(served.idp(url, place.port))
        nothing = bare_view(bare)
        subjects = [(nothing, bare), *((each, server) for each in (*place.endpoints.values(), place.mix))]
        for number in range(rounds + 1):  # the first is thrown away
            for endpoint, whose in subjects:
                lasting = seconds if number else WARM_UP
                asked = endpoint.make(int(FASTEST * lasting))
                place.end_read_transaction()
                run = served.put_under(whose, asked, lasting)
                if number:
                    endpoint.runs.append(run)
        found: list[Figure] = []
        for endpoint, whose in subjects:
            found += speed(endpoint, kind, nothing)
            found += latency(endpoint, whose, kind, steady)
    return found


def bare_view(server: Server) -> Endpoint:
    """The bare view, as something to be asked."""
    asked = [Asked("bare view", [served.request("GET", "/", server.port)], 200, "nothing at all")]
    return Endpoint("bare view", lambda _times: asked)


def speed(endpoint: Endpoint, kind: str, nothing: Endpoint) -> Iterator[Figure]:
    """Its best round: per vCPU, as it was, and beside the bare view."""
    subject = f"{endpoint.name}, {kind}"
    usual = statistics.median(run.per_processor for run in endpoint.runs)
    must, aim = PER_PROCESSOR.get(endpoint.name, (None, None))
    above = "" if aim is None or aim == must else f"aim {aim:,}{' reached' if endpoint.per_processor >= aim else ''}, "
    yield Figure(subject, "per vCPU", endpoint.per_processor, "/s", must, f"{above}median {usual:,.0f}", at_least=True)
    usual = statistics.median(run.rate for run in endpoint.runs)
    bound = "; GENERATOR-BOUND" if any(run.told.is_bound for run in endpoint.runs) else ""
    busy = max(run.told.busy for run in endpoint.runs)
    note = f"median {usual:,.0f}, generator {busy:.0%} of a core{bound}"
    yield Figure(subject, "at most, one worker", endpoint.rate, "/s", note=note)
    yield Figure(subject, "processor, HTTP", nothing.per_processor / endpoint.per_processor, "×")
    yield from wrong(subject, endpoint.runs)


def latency(endpoint: Endpoint, server: Server, kind: str, seconds: float) -> Iterator[Figure]:
    """Its latencies at 70 % of its best round."""
    subject, rate = f"{endpoint.name}, {kind}", endpoint.rate * SHARE
    run = served.put_under(server, endpoint.make(int(rate * seconds) + 10), seconds, rate=rate)
    goals = PAGES.get(endpoint.name, OTHERWISE if endpoint.name in PER_PROCESSOR else {})
    for per_cent in (50, 95, 99):
        note = f"at {rate:,.0f} /s, {run.told.answers:,} answers" if per_cent == 50 else ""
        yield Figure(subject, f"p{per_cent} at 70 %", run.told.within(per_cent), "ms", goals.get(per_cent), note)
    yield from wrong(subject, [run])


def wrong(subject: str, runs: list[Run]) -> Iterator[Figure]:
    """A missed goal, where answers were not what they had to be."""
    if count := sum(run.told.wrong for run in runs):
        example = next(run.told.example for run in runs if run.told.example)
        yield Figure(subject, "wrong answers", count, "", 0, example)
