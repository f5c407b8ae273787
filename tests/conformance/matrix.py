"""The conformance matrix: which module tests which requirement of which specification, and its result."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

HEAD = """# The conformance matrix

Made by `make matrix` from a run of `tests/conformance`, the project's mirror of the OpenID Foundation's plans; not
written by hand. A module marked *not applicable* is one that the suite itself skips for us: its test proves the reason.
"""
COLUMNS = ("Specification", "Clause", "Requirement", "Module", "Result")
NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True)
class Row:
    """The row of one test."""

    plan: str
    module: str
    specification: str
    clause: str
    requirement: str
    is_applicable: bool


class Matrix:
    """Collects rows in the order of the tests, then their outcomes, and writes the table at the end."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.rows: dict[str, list[Row]] = {}
        self.results: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if marks := list(item.iter_markers("spec")):
                self.rows[item.nodeid] = [_row(item, mark) for mark in reversed(marks)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.results[report.nodeid] = "failed" if report.failed else report.outcome

    def pytest_sessionfinish(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(self._to_markdown(), "utf-8")

    def _to_markdown(self) -> str:
        lines, plan = [HEAD.rstrip()], ""
        for nodeid, rows in self.rows.items():
            for row in rows:
                if row.plan != plan:
                    plan = row.plan
                    lines += ["", f"## {plan}", "", _line(COLUMNS), _line("---" for _ in COLUMNS)]
                result = self.results.get(nodeid, "not run")
                if result == "passed" and not row.is_applicable:
                    result = "not applicable"
                lines.append(_line((row.specification, row.clause, row.requirement, f"`{row.module}`", result)))
        outcomes = sorted(self.results.get(nodeid, "not run") for nodeid in self.rows)
        total = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(outcomes))
        return "\n".join([*lines, "", f"{len(outcomes)} tests: {total}.", ""])


def _row(item: pytest.Item, mark: pytest.Mark) -> Row:
    module = item.getparent(pytest.Module)
    component = module.obj if module is not None else None
    variant = f" ({item.callspec.id})" if hasattr(item, "callspec") else ""
    module_name = mark.kwargs.get("module") or item.name.partition("[")[0].removeprefix("test_").replace("_", "-")
    return Row(
        plan=getattr(component, "PLAN", str(item.path.name)),
        module=getattr(component, "MODULE", "{}").format(module_name) + variant,
        specification=mark.args[0], clause=mark.args[1], requirement=mark.kwargs.get("requirement", ""),
        is_applicable=item.get_closest_marker(NOT_APPLICABLE) is None,
    )  # fmt: skip


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
