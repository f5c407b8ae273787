"""A crowd at the sign-in page: 200 sign-ins at once, or again every second, and what other requests notice of it.

Programs ask at a fixed rate, alone and beside the crowd, and how long each answer took is counted from the moment its
request was due. A sign-in that finds no room is answered 503 with `Retry-After`; that is right, and counted.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from bench import load, served
from bench.load import Asked, Load, Told
from bench.place import Place
from bench.report import Figure

CROWD: Final = 200
RATES: Final = {"token: client_credentials": 60, "introspect": 60, "/healthz": 20}
"""Requests per second: far from what a worker can do, so that only the crowd makes a difference."""
TIMES: Final = 3
"""× their own p99 alone that programs may wait while a crowd comes once …"""
ALIVE: Final = 100
"""… and milliseconds that `/healthz` may, whatever comes."""
TOLD: Final = 2000
"""Milliseconds within which a sign-in succeeds or is refused."""
FIRST: Final = 4
"""Sign-ins, one after the other, before anything is measured: templates and statements are compiled by the first."""
NORMAL: Final = 5.0
"""Seconds after the crowd until all is as it was."""


def measure(url: str, kind: str, *, seconds: float) -> list[Figure]:
    """All on one empty database, one worker: `seconds` alone, with one crowd, with one a second, and afterwards."""
    place = Place(url)
    asked = {name: place.endpoints[name].make(1) for name in RATES if name in place.endpoints}
    asked["/healthz"] = [Asked("/healthz", [served.request("GET", "/healthz", place.port)], 200, "ok")]
    signing_in = [replace(each, busy=True) for each in place.endpoints["sign-in"].make(1)]
    place.end_read_transaction()
    once = Load(place.port, signing_in, seconds, rate=CROWD, burst=CROWD, connections=CROWD, most=CROWD)
    with served.idp(url, place.port), ThreadPoolExecutor() as pool:

        def programs() -> dict[str, Told]:
            loads = {name: Load(place.port, asked[name], seconds, rate=rate) for name, rate in RATES.items()}
            return dict(zip(loads, pool.map(load.run, loads.values()), strict=True))

        def beside(crowd: Load) -> tuple[dict[str, Told], Told]:
            coming = pool.submit(load.run, crowd)
            return programs(), coming.result()

        load.run(replace(once, rate=FIRST, burst=1, connections=1, most=FIRST))
        programs()  # the first requests are slower in any case, and so are the first sign-ins
        alone = programs()
        with_one, first = beside(once)
        with_many, others = beside(replace(once, most=None))
        time.sleep(NORMAL)
        phases = {"while a crowd comes": with_one, "one each second": with_many, "5 s later": programs()}
        return list(_figures(kind, alone, phases, [first, others]))


def _figures(
    kind: str, alone: dict[str, Told], phases: dict[str, dict[str, Told]], crowds: list[Told]
) -> Iterator[Figure]:
    goals = {"while a crowd comes": TIMES, "one each second": None, "5 s later": 2}
    for name, usual in alone.items():
        subject, usually = f"{name}, {kind}", usual.within(99)
        yield Figure(subject, "p99 alone", usually, "ms")
        for phase, told in phases.items():
            now = told[name].within(99)
            if name == "/healthz":
                yield Figure(subject, f"slowest, {phase}", max(told[name].took) * 1000, "ms", ALIVE)
            else:
                yield Figure(subject, f"p99 {phase}", now / usually, "×", goals[phase], f"{now:.1f} ms")
    subject = f"sign-in, {kind}"
    yield Figure(subject, "slowest, in or refused", max(max(each.took) for each in crowds) * 1000, "ms", TOLD)
    refused, all_of_them = sum(each.refused for each in crowds), sum(each.answers for each in crowds)
    yield Figure(subject, "refused", refused, "", note=f"of {all_of_them:,}")
    everything = [*crowds, *alone.values(), *(told for phase in phases.values() for told in phase.values())]
    if wrong := sum(each.wrong for each in everything):
        example = next(each.example for each in everything if each.example)
        yield Figure(subject, "wrong answers", wrong, "", 0, example)
