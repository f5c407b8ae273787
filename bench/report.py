"""Tables for people, JSON for `compare`: what was measured, on which machine, and what moved between two runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine

TITLES = {
    "costs": "What a request costs in process; × is times a bare Flask view in the same run",
    "http": "Over HTTP: one worker, its database beside it; per vCPU is per second of the server's processor time",
    "fastpaths": "Processor time of a request without one fast path, over HTTP; % more than with it",
    "crowd": "200 sign-ins at once, or again every second, beside other requests; × is times their own p99 alone",
    "register": "The national register at full size",
    "growth": "As tables grow",
    "api": "The API for partners over HTTP, among many schools that authorised one client",
    "events": "Events for partners, recorded and pushed to ten endpoints, one of them dead",
    "extracts": "XporterOnDemand: extracts of a large school, received and applied",
    "xporter": "XporterOnDemand, what partners read; × is times a bare Flask view in the same run",
    "memory": "What a worker holds in memory",
    "start": "Cold starts",
    "peers": "Peers, on this machine in this run; × is how many times their rate per vCPU ours is",
}
"""Every part, in the order of a run."""
RESULTS = Path(__file__).parent / "results"
NOTABLE_CHANGE = 0.15
"""A ratio that differs by more than this is marked."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: `value` in `unit`, and its goal: at most `goal`, at least `goal` (`at_least`), or none."""

    subject: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    note: str = ""
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """Whether the goal was reached."""
        if self.goal is None:
            return ""
        good = self.value >= self.goal if self.at_least else self.value <= self.goal
        return "reached" if good else "MISSED"


def show(title: str, figures: Sequence[Figure]) -> None:
    """Print one table."""
    print(f"\n{title}")
    rows = [("", "", "", "goal", "")] + [
        (
            figure.subject,
            figure.what,
            f"{figure.value:,.2f} {figure.unit}",
            "" if figure.goal is None else f"{'>=' if figure.at_least else '<='} {figure.goal:g}",
            " ".join(part for part in (figure.verdict, figure.note) if part),
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows[1:]:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def keep(parts: Mapping[str, Sequence[Figure]], **settings: Any) -> Path:
    """Write the results of one run to `bench/results/<time>-<commit>.json`."""
    RESULTS.mkdir(exist_ok=True)
    moment = datetime.now(UTC)
    file = RESULTS / f"{moment:%Y%m%dT%H%M%S}-{machine.commit().replace('+', '-changed')}.json"
    run = {
        "at": moment.isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "settings": settings,
        "figures": {name: [asdict(figure) for figure in figures] for name, figures in parts.items()},
    }
    file.write_text(json.dumps(run, indent=1), "utf-8")
    return file


def read(file: Path) -> dict[str, Any]:
    """Read what `keep` wrote."""
    run: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return run


def compare(first_file: Path, second_file: Path) -> None:
    """Print the changes between two runs; ratios (unit ×) that changed by more than `NOTABLE_CHANGE` are marked."""
    before, after = _by_name(read(first_file)), _by_name(read(second_file))
    for name in sorted(before.keys() & after.keys()):
        was, now = before[name], after[name]
        moved = (now["value"] - was["value"]) / was["value"] if was["value"] else 0.0
        mark = "  <-- moved" if was["unit"] == "×" and abs(moved) > NOTABLE_CHANGE else ""
        print(f"{' · '.join(name):60} {was['value']:>10,.2f} {now['value']:>10,.2f} {was['unit']:4} {moved:+.0%}{mark}")


def _by_name(run: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {
        (part, figure["subject"], figure["what"]): figure
        for part, figures in run["figures"].items()
        for figure in figures
    }
