"""A crowd at the sign-in page: 200 sign-ins at once, again every second, and what everybody else notices of it.

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
"""× their own p99 alone that programs may wait beside a crowd …"""
ALIVE: Final = 100
"""… and milliseconds that `/healthz` may."""
TOLD: Final = 2000
"""Milliseconds within which a sign-in succeeds or is refused."""
NORMAL: Final = 5.0
"""Seconds after the crowd until all is as it was."""


def measure(url: str, kind: str, *, seconds: float) -> list[Figure]:
    """All on one empty database, one worker: `seconds` alone, as many beside a crowd, as many `NORMAL` afterwards."""
    place = Place(url)
    asked = {name: place.endpoints[name].make(1) for name in RATES if name in place.endpoints}
    asked["/healthz"] = [Asked("/healthz", [served.request("GET", "/healthz", place.port)], 200, "ok")]
    signing_in = [replace(each, busy=True) for each in place.endpoints["sign-in"].make(1)]
    place.let_go()
    with served.idp(url, place.port), ThreadPoolExecutor() as pool:

        def ask() -> dict[str, Told]:
            loads = {name: Load(place.port, asked[name], seconds, rate=rate) for name, rate in RATES.items()}
            return dict(zip(loads, pool.map(load.run, loads.values()), strict=True))

        def crowd() -> list[Told]:
            until, came = time.monotonic() + seconds, []
            while time.monotonic() < until:
                began = time.monotonic()
                came.append(load.run(Load(place.port, signing_in, seconds, most=CROWD, connections=CROWD)))
                time.sleep(max(0.0, began + 1 - time.monotonic()))
            return came

        ask()  # the first requests are slower in any case
        alone = ask()
        coming = pool.submit(crowd)
        beside = ask()
        came = coming.result()
        time.sleep(NORMAL)
        return list(_figures(kind, alone, beside, ask(), came))


def _figures(
    kind: str, alone: dict[str, Told], beside: dict[str, Told], after: dict[str, Told], came: list[Told]
) -> Iterator[Figure]:
    for name, usual in alone.items():
        subject, long = f"{name}, {kind}", usual.within(99)
        yield Figure(subject, "p99 alone", long, "ms")
        for when, told, goal in (("beside a crowd", beside[name], TIMES), ("5 s later", after[name], 2)):
            now = told.within(99)
            if name == "/healthz":
                yield Figure(subject, f"slowest, {when}", max(told.took) * 1000, "ms", ALIVE)
            else:
                yield Figure(subject, f"p99 {when}", now / long, "×", goal, f"{now:.1f} ms")
    subject, slowest = f"sign-in, {kind}", max(max(each.took) for each in came) * 1000
    refused, all_of_them = sum(each.refused for each in came), sum(each.answers for each in came)
    yield Figure(subject, "slowest, in or refused", slowest, "ms", TOLD)
    yield Figure(subject, "refused", refused, "", note=f"of {all_of_them:,}")
    everybody = [*came, *alone.values(), *beside.values(), *after.values()]
    if wrong := sum(each.wrong for each in everybody):
        example = next(each.example for each in everybody if each.example)
        yield Figure(subject, "wrong answers", wrong, "", 0, example)
