"""`python -m bench [--quick] [costs register …]`: measure, tell, and keep the figures in bench/results/."""

import argparse
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

os.environ["IDP_CONFIG"] = "config/test.toml"

import psycopg

from bench import costs, register, report
from tests import postgresql

TITLES = {
    "costs": "What a request costs in process; × is times a bare Flask view in the same run",
    "register": "The national register at full size",
}
PARTS = tuple(TITLES)
DURABLE = ("synchronous_commit=on",)
"""As in production: what was committed is on the disk."""


def main() -> int:
    """Run the parts asked for; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all of them otherwise")
    parser.add_argument("--quick", action="store_true", help="smaller, and on SQLite alone")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    parts = asked.parts or list(PARTS)

    found: dict[str, list[report.Figure]] = {name: [] for name in parts}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        schools = register.material(folder, 5_000 if asked.quick else 52_000) if "register" in parts else None
        for kind, new in _databases(stack, folder, None if asked.quick else _server(stack)):
            if "costs" in parts:
                rounds, calls = (3, 40) if asked.quick else (7, 100)
                found["costs"] += costs.measure(new(), kind, rounds=rounds, calls=calls)
            if schools:
                found["register"] += register.measure(new(), kind, schools, times=60 if asked.quick else 300)
    for name, figures in found.items():
        report.show(TITLES[name], figures)
    print(f"\nKept in {report.keep(found, quick=asked.quick).relative_to(Path.cwd())}")
    return int(any(figure.verdict == "MISSED" for figures in found.values() for figure in figures))


def _server(stack: ExitStack) -> str | None:
    """A PostgreSQL server: the one TEST_DATABASE names, or one of our own."""
    if url := os.environ.get("TEST_DATABASE"):
        return url
    if programs := postgresql.programs():
        return stack.enter_context(postgresql.a_server(programs, DURABLE))
    print("No PostgreSQL here (Debian: postgresql): measuring on SQLite alone.")
    return None


@contextmanager
def _postgres(server: str) -> Iterator[str]:
    base, name = server.rsplit("/", 1)[0], f"bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield f"{base}/{name}".replace("postgresql://", "postgresql+psycopg://")
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _databases(stack: ExitStack, folder: Path, server: str | None) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "SQLite", lambda: f"sqlite:///{folder / uuid.uuid4().hex}.sqlite3"
    if server:
        yield "PostgreSQL", lambda: stack.enter_context(_postgres(server))


if __name__ == "__main__":
    sys.exit(main())
