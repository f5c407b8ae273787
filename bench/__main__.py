"""`python -m bench [--quick] [costs http …]`: measure, print the figures, and keep them in bench/results/.

`python -m bench compare ONE OTHER` says what moved between two of those files, and `python -m bench figures FILE
docs/figures.md` writes one of them down for people.
"""

import argparse
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

os.environ["IDP_CONFIG"] = "config/test.toml"

import psycopg

from bench import (
    costs,
    events,
    extracts,
    fastpaths,
    figures,
    growth,
    http,
    machine,
    memory,
    partner_api,
    peers,
    register,
    report,
    sign_in_flood,
    start,
    xporter,
)
from bench.report import Figure
from tests import postgresql

DURABLE: Final = ("synchronous_commit=on",)
"""PostgreSQL's options, as in production: what was committed is on the disk."""
ONE_DATABASE: Final = {"memory", "start"}
"""Parts that are measured on one database only: on PostgreSQL if there is one."""

Database = Callable[[], AbstractContextManager[str]]
"""Makes an empty database, which is deleted after the block."""
Part = Callable[[Callable[[], str], str], list[Figure]]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done: rounds, requests, seconds, rows."""

    rounds: int
    calls: int
    http_rounds: int
    http_seconds: float
    steady: float
    probes: int
    crowd: float
    schools: int
    authorised: int
    searches: int
    families: tuple[int, ...]
    load: float
    requests: int
    starts: int
    pupils: int


FULL_SCALE: Final = Scale(
    rounds=7, calls=100, http_rounds=3, http_seconds=1.0, steady=2.5, probes=400, crowd=10.0, schools=52_000,
    authorised=100_000, searches=300, families=(10_000, 1_000_000), load=4.0, requests=10_000, starts=5, pupils=2_000,
)  # fmt: skip
QUICK_SCALE: Final = Scale(
    rounds=3, calls=40, http_rounds=1, http_seconds=0.5, steady=0.7, probes=60, crowd=2.0, schools=5_000,
    authorised=5_000, searches=60,
    families=(10_000,), load=2.0, requests=1_000, starts=2, pupils=300,
)  # fmt: skip
SEEDS: Final = {"register": 52_000, "growth": growth.SEED}


def _parts(scale: Scale, folder: Path, schools: register.Material | None) -> dict[str, Part]:
    """By name, the function that measures a part; its first argument makes an empty database of one DBMS."""
    rounds, seconds = scale.http_rounds, scale.http_seconds
    return {
        "costs": lambda new, dbms: costs.measure(new(), dbms, rounds=scale.rounds, calls=scale.calls),
        "http": lambda new, dbms: http.measure(
            new(), dbms, rounds=rounds, seconds=seconds, steady_seconds=scale.steady
        ),
        "fastpaths": lambda new, dbms: fastpaths.measure(new(), dbms, requests=scale.probes),
        "crowd": lambda new, dbms: sign_in_flood.measure(new(), dbms, seconds=scale.crowd),
        "register": lambda new, dbms: register.measure(new(), dbms, schools, times=scale.searches) if schools else [],
        "growth": lambda new, dbms: growth.measure(new(), dbms, sizes=scale.families, starts=2, seconds=scale.load),
        "api": lambda new, dbms: (
            partner_api.measure(new(), dbms, schools, schools=scale.authorised, seconds=scale.crowd) if schools else []
        ),
        "events": lambda new, dbms: events.measure(new(), dbms, seconds=scale.crowd),
        "extracts": lambda new, dbms: extracts.measure(new(), dbms, pupils=scale.pupils),
        "xporter": lambda new, dbms: xporter.measure(new(), dbms, rounds=scale.rounds, calls=scale.calls),
        "memory": lambda new, dbms: memory.measure(new(), dbms, requests=scale.requests),
        "start": lambda new, dbms: start.measure(new(), dbms, times=scale.starts),
        "peers": lambda new, dbms: (
            peers.measure(new, folder, rounds=rounds, seconds=seconds) if dbms == "PostgreSQL" else []
        ),
    }


def main() -> int:
    """Run the requested parts; returns the exit code, which is 1 if a goal was missed."""
    match sys.argv[1:]:
        case ["compare", one, other]:
            report.compare(Path(one), Path(other))
            return 0
        case ["figures", file, page]:
            Path(page).write_text(figures.page(report.read(Path(file))), "utf-8")
            return 0
    arguments = _arguments()
    scale = QUICK_SCALE if arguments.quick else FULL_SCALE
    if arguments.huge:
        scale = Scale(**(asdict(scale) | {"families": (*FULL_SCALE.families, 10_000_000)}))
    results: dict[str, list[Figure]] = {name: [] for name in arguments.parts}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        schools = register.generate(folder, scale.schools) if {"register", "api"} & results.keys() else None
        server = None if arguments.quick else _server(stack)
        databases = list(_databases(folder, server))
        settings = {
            "databases": machine.databases(server), "scale": asdict(scale), "seeds": SEEDS,
            "load_before": round(os.getloadavg()[0], 2),
        }  # fmt: skip
        parts = _parts(scale, folder, schools)
        for name in results:
            began = time.monotonic()
            for dbms, database in databases[-1:] if name in ONE_DATABASE else databases:
                results[name] += _measured(parts[name], dbms, database)
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    for name, measured in results.items():
        report.show(report.TITLES[name], measured)
    print(f"\nKept in {report.keep(results, quick=arguments.quick, **settings).relative_to(Path.cwd())}")
    return _exit_code([figure for measured in results.values() for figure in measured])


def _measured(part: Part, dbms: str, database: Database) -> list[Figure]:
    """Measure one part on one DBMS; the databases that it made are deleted afterwards."""
    with ExitStack() as stack:
        return part(lambda: stack.enter_context(database()), dbms)


def _arguments() -> argparse.Namespace:
    parts = list(report.TITLES)
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all of them otherwise")
    parser.add_argument("--quick", action="store_true", help="smaller, on SQLite alone, and without peers")
    parser.add_argument("--huge", action="store_true", help="growth to ten million rows: ten minutes more")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    arguments.parts = arguments.parts or [name for name in parts if not (arguments.quick and name == "peers")]
    return arguments


def _exit_code(measured: Sequence[Figure]) -> int:
    missed = [figure for figure in measured if figure.verdict == "MISSED"]
    print(f"{sum(figure.verdict == 'reached' for figure in measured)} goals reached, {len(missed)} missed")
    return int(bool(missed))


def _server(stack: ExitStack) -> str | None:
    """A PostgreSQL server: the one TEST_DATABASE names, or one of our own."""
    if url := os.environ.get("TEST_DATABASE"):
        return url
    if programs := postgresql.programs():
        return stack.enter_context(postgresql.running_server_url(programs, DURABLE))
    print("No PostgreSQL here (Debian: postgresql): measuring on SQLite alone, and without peers.")
    return None


def _databases(folder: Path, server: str | None) -> Iterator[tuple[str, Database]]:
    yield "SQLite", lambda: _sqlite(folder)
    if server:
        yield "PostgreSQL", lambda: _postgres(server)


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    file = folder / f"{uuid.uuid4().hex}.sqlite3"
    yield f"sqlite:///{file}"
    for path in folder.glob(f"{file.name}*"):
        path.unlink()


@contextmanager
def _postgres(server: str) -> Iterator[str]:
    base, name = server.rsplit("/", 1)[0], f"bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield f"{base}/{name}".replace("postgresql://", "postgresql+psycopg://")
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


if __name__ == "__main__":
    sys.exit(main())
