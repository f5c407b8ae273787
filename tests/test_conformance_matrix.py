"""The committed matrix (docs/conformance-matrix.md) names the tests there are, and none that failed."""

import subprocess
import sys

from idp.foundation.setting_types import ROOT
from tests.conformance.matrix import NOT_APPLICABLE

COMMITTED = ROOT / "docs" / "conformance-matrix.md"
SUCCESSFUL_RESULTS = {"passed", NOT_APPLICABLE.replace("_", " ")}


def rows(text):
    """Each row of a matrix: the heading above it, its cells, and its result."""
    plan, results = "", []
    for line in text.splitlines():
        if line.startswith("## "):
            plan = line
        elif line.startswith("| ") and not line.startswith(("| ---", "| Specification")):
            cells, _, result = line.strip("| ").rpartition(" | ")
            results.append((plan, cells, result))
    return results


def test_the_matrix_is_up_to_date(scratch):
    """`make matrix` writes it again."""
    collect = "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", "tests/conformance"
    subprocess.run(
        [sys.executable, *collect, "--matrix", str(scratch / "now.md")], cwd=ROOT, check=True, capture_output=True
    )
    collected = [(plan, cells) for plan, cells, _ in rows((scratch / "now.md").read_text("utf-8"))]
    assert collected == [(plan, cells) for plan, cells, _ in rows(COMMITTED.read_text("utf-8"))]


def test_every_test_of_the_matrix_passed():
    assert {result for _, _, result in rows(COMMITTED.read_text("utf-8"))} == SUCCESSFUL_RESULTS
