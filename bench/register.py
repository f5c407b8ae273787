"""The register at full size: 52,000 schools imported, imported again, and searched (school-register.md §5, §6).

    python -m bench.register [--rows N] [--postgres URL] [--names links.csv] [--keep DIR] [--json FILE]

Makes a register in the real 140-column format, with the names of a real links file where there is one, and
measures on SQLite and, where `--postgres` or `TEST_DATABASE` names a server, on PostgreSQL. Exits 1 when a
target is missed.
"""

import argparse
import csv
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
from flask import Flask
from sqlalchemy import select

os.environ.setdefault("IDP_CONFIG", "config/test.toml")

from idp.foundation import database, runtime
from idp.foundation.settings import ROOT, load
from idp.foundation.web.transactions import Application, work
from idp.schools import codes, files, gias, links, refresh, search, words
from idp.schools.models import School

SAMPLE = ROOT / "config" / "sample-register.csv"
ENCODING = "cp1252"
LETTERS = "ABDEFGHJLNPQRSTUWXYZ"
STATUS_SHARES = {codes.OPEN: 500, codes.CLOSED: 470, codes.CLOSING: 10, codes.PROPOSED: 20}
AREAS = ("B", "BN", "BS", "CB", "CM", "DH", "E", "GU", "L", "LE", "LS", "M", "ME", "N", "NE", "NG", "NR", "S", "SE",
         "SO", "SW", "TQ", "TR", "UB", "W", "WA", "YO")  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One measurement beside its target; both in `unit`, the smaller the better."""

    what: str
    database: str
    value: float
    unit: str
    target: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool:
        """True where there is no target."""
        return self.target is None or self.value <= self.target


# ── a register of full size ───────────────────────────────────────────────────────────────────────────────────


def real_names(path: Path | None) -> list[str]:
    """The distinct school names of a real links file; none where there is no such file."""
    found = [path] if path else sorted((ROOT.parent / "shared" / "data").glob("gias-links-*.csv"))
    if not found or not found[-1].is_file():
        return []
    with found[-1].open(encoding=ENCODING, errors="replace", newline="") as file:
        return sorted({row["LinkName"] for row in csv.DictReader(file) if row["LinkName"]})


def make(path: Path, rows: int, names: list[str]) -> None:
    """Write a register of `rows` schools: other columns as in the sample, names, places and numbers drawn by seed."""
    chance = random.Random(52_000)
    with SAMPLE.open(encoding=ENCODING, newline="") as file:
        sample = list(csv.DictReader(file))
    names = names or _invented(sample, chance)
    towns = sorted({name.split()[0].strip(",.'’()") for name in names if len(name.split()[0]) > 4})[:1500]
    states = chance.choices(list(STATUS_SHARES), list(STATUS_SHARES.values()), k=rows)
    las = sorted({(row["LA (code)"], row["LA (name)"]) for row in sample if len(row["LA (code)"]) == 3})
    with path.open("w", encoding=ENCODING, errors="replace", newline="") as file:
        writer = csv.DictWriter(file, sample[0].keys(), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for number, status in enumerate(states):
            la, la_name = chance.choice(las)
            like = sample[number % len(sample)]
            writer.writerow(like | {
                "URN": 100_000 + number, "LA (code)": la, "LA (name)": la_name,
                "EstablishmentNumber": chance.randint(1000, 7999), "UKPRN": 10_000_000 + number,
                "EstablishmentName": names[number] if number < len(names) else chance.choice(names),
                "EstablishmentStatus (code)": status, "EstablishmentStatus (name)": codes.STATUSES[status],
                "OpenDate": f"01-09-{chance.randint(1950, 2020)}",
                "CloseDate": f"31-08-{chance.randint(2001, 2024)}" if status == codes.CLOSED else "",
                "Town": chance.choice(towns), "Postcode": _postcode(chance), "PreviousLA (code)": "999",
                "PreviousEstablishmentNumber": "", "LastChangedDate": f"{chance.randint(1, 28):02}-03-2024",
            })  # fmt: skip


def _postcode(chance: random.Random) -> str:
    outward = f"{chance.choice(AREAS)}{chance.randint(1, 30)}"
    return f"{outward} {chance.randint(0, 9)}{chance.choice(LETTERS)}{chance.choice(LETTERS)}"


def _invented(sample: list[dict[str, str]], chance: random.Random) -> list[str]:
    """Names mixed from the words of the sample's, where no real ones are at hand."""
    firsts = sorted({row["EstablishmentName"].split()[0] for row in sample})
    rests = sorted({" ".join(row["EstablishmentName"].split()[1:]) for row in sample})
    return [f"{chance.choice(firsts)}{chance.choice(['', 'ton', 'by'])} {chance.choice(rests)}" for _ in range(29_000)]


# ── databases ─────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def on_database(url: str) -> Iterator[Flask]:
    """An application that has a database with our tables, and nothing else."""
    settings = load(database={"url": url})
    app = Application("idp")
    runtime.configure(app, settings)
    database.configure(app, settings)
    with app.app_context():
        database.db.create_all()
    yield app
    with app.app_context():
        database.db.engine.dispose()


@contextmanager
def new_postgres(server: str) -> Iterator[str]:
    """A database of its own on the server at `server`, dropped afterwards."""
    base, name = server.rsplit("/", 1)[0], f"bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{base}/{name}".replace("postgresql://", "postgresql+psycopg://")
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


# ── measuring ─────────────────────────────────────────────────────────────────────────────────────────────────


def timed(job: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def imports(app: Flask, register: Path, names: Path | None, kind: str) -> Iterator[Figure]:
    """The first import, the same again, a thousand schools changed, and the real links file."""

    def take(path: Path) -> refresh.Summary:
        with work(app), files.opened(path) as sources:
            return refresh.run(sources)

    yield Figure("first import", kind, timed(lambda: take(register)), "s", 5 if kind == "SQLite" else 10)
    yield Figure("unchanged import", kind, timed(lambda: take(register)), "s", 2)
    changed = register.with_name("changed.csv")
    body = register.read_bytes().replace(b'"Willow', b'"Weeping Willow')
    changed.write_bytes(body)
    told = take(changed)
    yield Figure("import with some changed", kind, told.seconds, "s", note=f"{told.changed} changed")
    if names:
        with work(app), files.opened(register, names) as sources, _text_of(sources) as found:
            yield Figure("real links file", kind, timed(lambda: links.replace(found)), "s")


@contextmanager
def _text_of(sources: files.Sources) -> Iterator[Iterator[gias.Link]]:
    assert sources.links
    with sources.links.text() as text_:
        yield gias.links(text_)


def searches(app: Flask, kind: str, times: int) -> Iterator[Figure]:
    """Each way of searching: p95 in milliseconds, every answer checked."""
    chance = random.Random(7)
    with work(app):
        open_ones = select(School).where(School.standing == 0)
        schools = list(database.session().scalars(open_ones.order_by(School.register_id).limit(12_000)))
        asked = chance.sample(schools, times)
    for what, target, question in (
        ("URN", 10, lambda school: school.register_id),
        ("DfE number", 10, lambda school: school.dfe_number),
        ("UKPRN", 10, lambda school: school.ukprn),
        ("postcode", 10, lambda school: school.postcode),
        ("beginning of a postcode", 10, lambda school: school.postcode[:-2]),
        ("name", 50, lambda school: school.name),
        ("name and town, unfinished", 50, lambda school: f"{school.name} {school.town[:3]}"),
        ("misspelt name", 50, lambda school: _misspelt(school.name, chance)),
        ("one common word", 50, lambda _school: chance.choice(("school", "primary school", "st", "saint", "church"))),
    ):
        yield _search(app, what, target, [(school, question(school) or school.register_id) for school in asked], kind)


def _search(app: Flask, what: str, target: float, questions: list[tuple[School, str]], kind: str) -> Figure:
    taken, found = [], 0
    with work(app):
        for number, (school, question) in enumerate(questions):
            start = time.perf_counter()
            answer = search.find(question, show=200 if what in {"name", "misspelt name"} else 20)
            if number >= 10:  # thrown away as warm-up
                taken.append((time.perf_counter() - start) * 1000)
            found += any(one.school.id == school.id for one in answer.results) or answer.more
    p95 = statistics.quantiles(taken, n=20)[-1]
    note = f"median {statistics.median(taken):.1f}, worst {max(taken):.0f}, found {100 * found / len(questions):.0f} %"
    return Figure(f"search: {what}, p95", kind, p95, "ms", target, note)


def _misspelt(name: str, chance: random.Random) -> str:
    """The name with two neighbouring letters of its longest word swapped."""
    longest = max(words.plain(name).split() or [name], key=len)
    if len(longest) < 4:
        return name
    at = chance.randrange(1, len(longest) - 2)
    swapped = longest[:at] + longest[at + 1] + longest[at] + longest[at + 2 :]
    return words.plain(name).replace(longest, swapped, 1)


def measure(url: str, kind: str, register: Path, options: argparse.Namespace) -> list[Figure]:
    """Everything on one database."""
    figures = []
    with on_database(url) as app:
        for figure in imports(app, register, options.names, kind):
            _tell(figure)
            figures.append(figure)
        for figure in searches(app, kind, options.searches):
            _tell(figure)
            figures.append(figure)
    return figures


def _tell(figure: Figure) -> None:
    target = f"≤ {figure.target:g}" if figure.target else ""
    verdict = "" if figure.target is None else "ok" if figure.is_met else "MISSED"
    print(
        f"{figure.database:<11} {figure.what:<40} {figure.value:>8.2f} {figure.unit:<3} {target:>6} {verdict:<7}"
        f"{figure.note}",
        flush=True,
    )


def main() -> int:
    """Make, measure, tell. 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=52_000)
    parser.add_argument("--searches", type=int, default=300, help="of each kind")
    parser.add_argument("--postgres", default=os.environ.get("TEST_DATABASE", ""), help="postgresql://… of a server")
    parser.add_argument("--names", type=Path, help="a real links file to take the names from")
    parser.add_argument("--keep", type=Path, help="folder to leave the register in")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    names = real_names(options.names)
    print(f"{options.rows:,} schools; {len(names):,} real names{'' if names else ', so they are invented'}")
    if not options.names:
        options.names = max((ROOT.parent / "shared" / "data").glob("gias-links-*.csv"), default=None)
    with tempfile.TemporaryDirectory() as folder:
        register = (options.keep or Path(folder)) / "edubasealldata20240404.csv"
        make(register, options.rows, names)
        print(f"{register.stat().st_size / 1e6:.0f} MB")
        figures = measure(f"sqlite:///{folder}/bench.sqlite3", "SQLite", register, options)
        print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
        if options.postgres:
            with new_postgres(options.postgres) as url:
                figures += measure(url, "PostgreSQL", register, options)
        else:
            print("No PostgreSQL: name a server with --postgres or TEST_DATABASE to measure there too.")
    if options.json:
        options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n", "utf-8")
    return int(any(not figure.is_met for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
