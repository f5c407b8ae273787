"""The register at full size: 52,000 schools imported, imported again, and searched (school-register.md §5, §6).

The register is generated in the real 140-column format. Its schools have the names of a real links file if
`GIAS_LINKS` is the path of one, and random names otherwise.
"""

import csv
import multiprocessing
import os
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from bench.report import Figure
from idp.app import create_app
from idp.foundation import database, runtime
from idp.foundation.load_settings import load
from idp.foundation.setting_types import ROOT
from idp.foundation.web.transactions import transaction
from idp.schools import codes, files, gias, refresh, search, succession, words
from idp.schools.models import School

SAMPLE = ROOT / "config" / "sample-register.csv"
REAL_LINKS = Path(os.environ["GIAS_LINKS"]) if os.environ.get("GIAS_LINKS") else None
ENCODING = "cp1252"
LETTERS = "ABDEFGHJLNPQRSTUWXYZ"
STATUS_SHARES = {codes.OPEN: 500, codes.CLOSED: 470, codes.CLOSING: 10, codes.PROPOSED: 20}
AREAS = ("B", "BN", "BS", "CB", "CM", "DH", "E", "GU", "L", "LE", "LS", "M", "ME", "N", "NE", "NG", "NR", "S", "SE",
         "SO", "SW", "TQ", "TR", "UB", "W", "WA", "YO")  # fmt: skip


# ── the generated register ────────────────────────────────────────────────────────────────────────────────────


def real_names(path: Path | None) -> list[str]:
    """The distinct school names of a real links file; none where there is no such file."""
    if path is None or not path.is_file():
        return []
    with path.open(encoding=ENCODING, errors="replace", newline="") as file:
        return sorted({row["LinkName"] for row in csv.DictReader(file) if row["LinkName"]})


def make(path: Path, rows: int, names: list[str]) -> None:
    """Write a register of `rows` schools like those of the sample, with random names, places and numbers."""
    rng = random.Random(52_000)
    with SAMPLE.open(encoding=ENCODING, newline="") as file:
        sample = list(csv.DictReader(file))
    names = names or _random_names(sample, rng)
    towns = sorted({name.split()[0].strip(",.'’()") for name in names if len(name.split()[0]) > 4})[:1500]
    states = rng.choices(list(STATUS_SHARES), list(STATUS_SHARES.values()), k=rows)
    authorities = sorted({(row["LA (code)"], row["LA (name)"]) for row in sample if len(row["LA (code)"]) == 3})
    with path.open("w", encoding=ENCODING, errors="replace", newline="") as file:
        writer = csv.DictWriter(file, sample[0].keys(), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for number, status in enumerate(states):
            la, la_name = rng.choice(authorities)
            sample_row = sample[number % len(sample)]
            writer.writerow(sample_row | {
                "URN": 100_000 + number, "LA (code)": la, "LA (name)": la_name,
                "EstablishmentNumber": rng.randint(1000, 7999), "UKPRN": 10_000_000 + number,
                "EstablishmentName": names[number] if number < len(names) else rng.choice(names),
                "EstablishmentStatus (code)": status, "EstablishmentStatus (name)": codes.STATUSES[status],
                "OpenDate": f"01-09-{rng.randint(1950, 2020)}",
                "CloseDate": f"31-08-{rng.randint(2001, 2024)}" if status == codes.CLOSED else "",
                "Town": rng.choice(towns), "Postcode": _postcode(rng), "PreviousLA (code)": "999",
                "PreviousEstablishmentNumber": "", "LastChangedDate": f"{rng.randint(1, 28):02}-03-2024",
            })  # fmt: skip


def _postcode(rng: random.Random) -> str:
    outward = f"{rng.choice(AREAS)}{rng.randint(1, 30)}"
    return f"{outward} {rng.randint(0, 9)}{rng.choice(LETTERS)}{rng.choice(LETTERS)}"


def _random_names(sample: list[dict[str, str]], rng: random.Random) -> list[str]:
    """Names mixed from the words of names in the sample register, if there is no file with real ones."""
    first_words = sorted({row["EstablishmentName"].split()[0] for row in sample})
    other_words = sorted({" ".join(row["EstablishmentName"].split()[1:]) for row in sample})
    return [
        f"{rng.choice(first_words)}{rng.choice(['', 'ton', 'by'])} {rng.choice(other_words)}" for _ in range(29_000)
    ]


# ── databases ─────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def on_database(url: str) -> Iterator[Flask]:
    """The application on an empty database with our tables."""
    app = create_app(load(database={"url": url}))
    with app.app_context():
        database.db.create_all()
    yield app
    with app.app_context():
        database.db.engine.dispose()


# ── measuring ─────────────────────────────────────────────────────────────────────────────────────────────────


def timed(job: Callable[[], object]) -> float:
    """The seconds that `job` takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def imports(app: Flask, register: Path, names: Path | None, dbms: str) -> Iterator[Figure]:
    """The first import, the same again, one with some changed names, and the real links file."""

    def run_import(path: Path) -> refresh.Summary:
        with transaction(app), files.open_sources(path) as sources:
            return refresh.run(sources)

    before = _peak_memory()
    yield Figure(
        f"register, {dbms}", "first import", timed(lambda: run_import(register)), "s", 5 if dbms == "SQLite" else 10
    )
    yield Figure(f"register, {dbms}", "memory that it added, at most", _peak_memory() - before, "MB")
    yield Figure(f"register, {dbms}", "unchanged import", timed(lambda: run_import(register)), "s", 2)
    changed = register.with_name("changed.csv")
    body = register.read_bytes().replace(b'"Willow', b'"Weeping Willow')
    changed.write_bytes(body)
    summary = run_import(changed)
    yield Figure(
        f"register, {dbms}", "import with some changed", summary.seconds, "s", note=f"{summary.changed} changed"
    )
    if names:
        with transaction(app), files.open_sources(register, names) as sources, _read_links(sources) as links:
            yield Figure(f"register, {dbms}", "real links file", timed(lambda: succession.replace(links)), "s")


def _peak_memory() -> float:
    """The peak memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _read_links(sources: files.Sources) -> Iterator[Iterator[gias.Link]]:
    assert sources.links
    with sources.links.text() as file:
        yield gias.links(file)


def searches(app: Flask, dbms: str, times: int) -> Iterator[Figure]:
    """Each way of searching: p95 in milliseconds, and whether the school was found."""
    rng = random.Random(7)
    with transaction(app):
        open_schools = select(School).where(School.standing == 0)
        schools = list(database.session().scalars(open_schools.order_by(School.register_id).limit(12_000)))
        sampled = rng.sample(schools, times)
    for what, target, query in (
        ("URN", 10, lambda school: school.register_id),
        ("DfE number", 10, lambda school: school.dfe_number),
        ("UKPRN", 10, lambda school: school.ukprn),
        ("postcode", 10, lambda school: school.postcode),
        ("beginning of a postcode", 10, lambda school: school.postcode[:-2]),
        ("name", 50, lambda school: school.name),
        ("name and town, unfinished", 50, lambda school: f"{school.name} {school.town[:3]}"),
        ("misspelt name", 50, lambda school: _misspelt(school.name, rng)),
        ("one common word", 50, lambda _school: rng.choice(("school", "primary school", "st", "saint", "church"))),
    ):
        yield _search(app, what, target, [(school, query(school) or school.register_id) for school in sampled], dbms)


def pages(app: Flask, dbms: str, times: int) -> Iterator[Figure]:
    """The page of results and the list while typing, through the whole application."""
    browser, rng = app.test_client(), random.Random(9)
    host = {"Host": _host(app)}
    with transaction(app):
        names = list(database.session().scalars(select(School.name).limit(4000)))
    for what, target, address in (("the whole page", 150, "/register"), ("the list", 50, "/schools/search.json")):
        durations = []
        for number in range(times):
            sampled = {"q": rng.choice(names)}
            start = time.perf_counter()
            response = browser.get(address, query_string=sampled, headers=host)
            if number >= 10:
                durations.append((time.perf_counter() - start) * 1000)
            assert response.status_code == 200, response.status
        p95 = statistics.quantiles(durations, n=20)[-1]
        note = f"median {statistics.median(durations):.1f}, worst {max(durations):.0f}"
        yield Figure(f"register, {dbms}", f"{what}, p95", p95, "ms", target, note)


def _host(app: Flask) -> str:
    """The host name that the application accepts."""
    with app.app_context():
        return runtime.settings().server.host_name


def _search(app: Flask, what: str, target: float, queries: list[tuple[School, str]], dbms: str) -> Figure:
    durations, found_count = [], 0
    with transaction(app):
        for number, (school, query) in enumerate(queries):
            start = time.perf_counter()
            found = search.find(query, show=200 if what in {"name", "misspelt name"} else 20)
            if number >= 10:  # the first are a warm-up
                durations.append((time.perf_counter() - start) * 1000)
            found_count += any(result.school.id == school.id for result in found.results) or found.more
    p95 = statistics.quantiles(durations, n=20)[-1]
    found_percent = 100 * found_count / len(queries)
    note = f"median {statistics.median(durations):.1f}, worst {max(durations):.0f}, found {found_percent:.0f} %"
    return Figure(f"register, {dbms}", f"search by {what}, p95", p95, "ms", target, note)


def _misspelt(name: str, rng: random.Random) -> str:
    """The name with two neighbouring letters of its longest word swapped."""
    longest = max(words.normalise(name).split() or [name], key=len)
    if len(longest) < 4:
        return name
    at = rng.randrange(1, len(longest) - 2)
    swapped = longest[:at] + longest[at + 1] + longest[at] + longest[at + 2 :]
    return words.normalise(name).replace(longest, swapped, 1)


@dataclass(frozen=True)
class Material:
    """What is imported and searched: the register's file, and the real links file where there is one."""

    register: Path
    links: Path | None


def generate(folder: Path, rows: int) -> Material:
    """Write the register of a run into `folder`."""
    names = real_names(REAL_LINKS)
    register = folder / "edubasealldata20240404.csv"
    generator = multiprocessing.Process(target=make, args=(register, rows, names))
    generator.start()  # a process of its own, so that its memory is not counted as the import's
    generator.join()
    print(f"{rows:,} schools, {register.stat().st_size / 1e6:.0f} MB; {len(names):,} real names", flush=True)
    return Material(register, REAL_LINKS)


def measure(url: str, dbms: str, material: Material, *, times: int) -> list[Figure]:
    """Everything on one database; `times` searches of each kind."""
    with on_database(url) as app:
        return [
            *imports(app, material.register, material.links, dbms),
            *searches(app, dbms, times),
            *pages(app, dbms, times),
        ]
