"""The page docs/figures.md: the results of one run as tables, with the text around them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

Json = dict[str, Any]
"""A figure, or a whole run, as `report.keep` wrote it."""

DATABASES: Final = ("SQLite", "PostgreSQL")
INTRODUCTION: Final = """\
# Figures

Measured by `make bench` on {processor}, {cores} cores, {memory_gib} GiB, Linux {kernel}, Python \
{python}{postgresql}; commit {commit}, {at}. {libraries}. The load average before it began was {load_before}. Times \
differ between machines: compare ratios (×, times a bare Flask view in the same run). **Missed** marks a goal \
([performance.md](design/performance.md) §4) that was not reached.
"""
COSTS: Final = """\
## What a request costs in process

Processor time on our side. *Share* is the part of the whole time that a bare view, the request's hashes and \
signatures, and as many bare statements and commits would take. What each fast path saves is in \
[decision 5](decisions/0005-fast-paths-that-earn-their-place.md).
"""
HTTP: Final = """\
## Over HTTP, on {dbms}

`idp serve` with one worker and the default number of threads, logging as in production; the load generator and the \
database run on the same machine. *Per vCPU* is answers per second of the server's own processor time: the \
database's is not included, as in peers' figures. *One worker* is the throughput on this machine. Latencies are \
measured at a fixed rate of 70 % of that, from the moment each request was due. Every answer was checked. Limits by \
address were raised (`throttle.factor`), because the generator has one address.
"""
FASTPATHS: Final = """\
## Fast paths, each alone

How much more of the server's processor time a request takes, in per cent, when a library's own way takes the place of \
one fast path (`idp/foundation/fastpath`), all others in place: over HTTP, one request at a time, two servers in turn, \
medians. A fast path stays where that is 5 % or more. On a busy machine a figure is good to about ± 3.
"""
CROWD: Final = """\
## A crowd at the sign-in page

Programs send 60 requests a second each: for ten seconds alone, for ten in which 200 people sign in at once, and for \
ten in which 200 more do so every second. × is times their own p99 alone, in the same run.
"""
REGISTER: Final = """\
## The national register at full size

52,000 schools in the real 140-column format.
"""
GROWTH: Final = """\
## As tables grow

Refresh tokens have a row for each family. Access tokens have no row; the cost of one is shown for comparison. \
Retention deletes 20,000 expired rows in batches of 1,000 while refreshes continue at half of the maximum rate.
"""
API: Final = """\
## The API for partners

`idp serve` with one worker, ten requests a second for one client, which as many schools have authorised: latencies.
"""
EVENTS: Final = """\
## Events for partners

Pushed by one `idp worker` to nine endpoints that take everything and one that accepts connections and never answers; \
ten are recorded in one transaction. Recording, worker, endpoints and database share the machine.
"""
XPORTER: Final = """\
## XporterOnDemand

What partners read, in multiples of a bare Flask view in the same run (processor time, in process, introspection from \
the cache), 50 partners who read at once in one process with their own client, and extracts of a school of 2,000 \
pupils over HTTP, from the first byte to being applied.
"""
MEMORY: Final = "## Memory and cold starts\n"
PEERS: Final = """\
## Peers beside us

On the same machine in the same run, by the same generator, each with one process; rates are medians of the rounds. \
*Per vCPU* as above. What a request does differs, as the rows say. In the last column but one, × is our rate per vCPU \
divided by theirs; its goals are those of [performance.md](design/performance.md) §4.
"""


def page(run: Json) -> str:
    """The whole page, with the parts that the run measured."""
    parts: dict[str, list[Json]] = run["figures"]
    written = [_introduction(run)]
    makers: dict[str, Callable[[list[Json]], Iterable[str]]] = {
        "costs": _costs, "http": _http, "fastpaths": _fastpaths,
        "crowd": _crowd, "register": _register, "growth": _growth, "peers": _peers,
    }  # fmt: skip
    for name, make in makers.items():
        if parts.get(name):
            written += make(parts[name])
    if parts.get("api"):
        written += [API, _listed(parts["api"])]
    if parts.get("events"):
        written += [EVENTS, _listed(parts["events"])]
    if of_xporter := [*parts.get("xporter", ()), *parts.get("extracts", ())]:
        written += [XPORTER, _listed(of_xporter)]
    if small := [*parts.get("memory", ()), *parts.get("start", ())]:
        written += [MEMORY, _listed(small)]
    return "\n".join(written)


def _introduction(run: Json) -> str:
    machine, settings = run["machine"], run["settings"]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    server = settings["databases"].get("PostgreSQL")
    beside = f", PostgreSQL {server['server_version']} beside it with fsync {server['fsync']}" if server else ""
    kernel = ".".join(machine["kernel"].split(".")[:2])
    return INTRODUCTION.format(
        **{**machine, "kernel": kernel, "libraries": libraries}, postgresql=beside, commit=run["commit"],
        at=run["at"][:10], load_before=settings["load_before"],
    )  # fmt: skip


def _costs(figures: list[Json]) -> Iterator[str]:
    yield COSTS
    by_dbms = _by_dbms(figures)
    rows = []
    for name in dict.fromkeys(name for name, _ in by_dbms):
        row = [name]
        for dbms in DATABASES:
            by_name = by_dbms.get((name, dbms), {})
            figure = by_name.get("processor") or by_name.get("elapsed") or {}
            row += [_value(figure, 2), _goal(figure)]
        share = by_dbms.get((name, "PostgreSQL"), {}).get("share", {})
        rows.append([*row, _value(share, 0), _goal(share)])
    yield _table(["request", "SQLite", "goal", "PostgreSQL", "goal", "share", "goal"], rows)


def _http(figures: list[Json]) -> Iterator[str]:
    by_dbms = _by_dbms(figures)
    for dbms in DATABASES:
        rows = []
        for name, by_name in [
            (name, by_name) for (name, dbms_of_run), by_name in by_dbms.items() if dbms_of_run == dbms
        ]:
            rate = by_name["per vCPU"]
            steady = [_value(by_name[f"p{per_cent} at 70 %"], 1) for per_cent in (50, 95, 99)]
            rows.append([name, _value(rate, 0), _goal(rate), _value(by_name["at most, one worker"], 0), *steady])
        if rows:
            yield HTTP.format(dbms=dbms)
            yield _table(["request", "per vCPU", "goal", "one worker", "p50", "p95", "p99"], rows)


def _fastpaths(figures: list[Json]) -> Iterator[str]:
    yield FASTPATHS
    names = list(dict.fromkeys(figure["what"] for figure in figures))
    rows = [
        [subject, *(f"{figure['value']:+.0f}" for figure in figures if figure["subject"] == subject)]
        for subject in dict.fromkeys(figure["subject"] for figure in figures)
    ]
    yield _table(["", *names], rows)


def _crowd(figures: list[Json]) -> Iterator[str]:
    yield CROWD
    yield _listed(figures)


def _register(figures: list[Json]) -> Iterator[str]:
    yield REGISTER
    by_dbms = _by_dbms(figures)
    names = dict.fromkeys(figure["what"] for figure in figures)
    columns = [by_dbms.get(("register", dbms), {}) for dbms in DATABASES]
    goals = [
        " / ".join(dict.fromkeys(filter(None, (_goal(by_name.get(name, {})) for by_name in columns)))) for name in names
    ]
    rows = [
        [name, *(_value(by_name.get(name, {}), 2) for by_name in columns), goal]
        for name, goal in zip(names, goals, strict=True)
    ]
    yield _table(["", *DATABASES, "goal"], rows)


def _growth(figures: list[Json]) -> Iterator[str]:
    yield GROWTH
    yield _listed(figures)


def _peers(figures: list[Json]) -> Iterator[str]:
    yield PEERS
    rows: dict[str, dict[str, Json]] = {}
    for figure in figures:
        rows.setdefault(figure["subject"], {})[figure["what"]] = figure
    columns = ("per vCPU", "at most, one process", "we, times that")
    ordered = sorted(rows.items(), key=lambda row: (row[0].partition(":")[0], -row[1]["per vCPU"]["value"]))
    table = [
        [
            name,
            *(_value(by_name.get(what, {}), 2 if what == columns[-1] else 0) for what in columns),
            _goal(by_name.get(columns[-1], {})),
        ]
        for name, by_name in ordered
    ]
    yield _table(["", "per vCPU", "one process", "we, beside it", "goal"], table)


def _listed(figures: Sequence[Json]) -> str:
    rows = [[figure["subject"], figure["what"], _value(figure, 2), _goal(figure)] for figure in figures]
    return _table(["", "", "", "goal"], rows)


def _by_dbms(figures: list[Json]) -> dict[tuple[str, str], dict[str, Json]]:
    """Figures by subject without its database, the database, and what was measured."""
    by_dbms: dict[tuple[str, str], dict[str, Json]] = {}
    for figure in figures:
        name, _, dbms = figure["subject"].rpartition(", ")
        by_dbms.setdefault((name, dbms), {})[figure["what"]] = figure
    return by_dbms


def _value(figure: Json, digits: int) -> str:
    if not figure:
        return ""
    text = f"{figure['value']:,.{digits}f} {figure['unit']}".strip()
    return text if _is_good(figure) else f"**{text} missed**"


def _goal(figure: Json) -> str:
    if not figure or figure["goal"] is None:
        return ""
    return f"{'≥' if figure['at_least'] else '≤'} {figure['goal']:,g}"


def _is_good(figure: Json) -> bool:
    goal = figure["goal"]
    if goal is None:
        return True
    return bool(figure["value"] >= goal if figure["at_least"] else figure["value"] <= goal)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
