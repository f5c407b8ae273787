"""`make mutants`: change the product in one place at a time, and name the changes that no test notices (mutmut).

A pattern names modules (`idp.keys`, `idp.estabs.accounts`, `idp.keys.*`) or, as an earlier run printed them, mutants of
one module (`idp.keys.rotation.x_rotate__mutmut_3`). Every mutant gets those of the selected tests that reach the
function it changes. docs/testing.md says what has been run and what came of it.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

from mutmut import __main__ as mutmut
from mutmut.configuration import config
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).resolve().parents[1]
MUTANT = re.compile(r"\.x[_ǁ].*$")
"""The part of a mutant's name behind its module's."""
SELECTIONS = {"estabs": ["tests/estabs", "tests/signin"]}
"""The tests of a package, where they are not `tests/<package>`; `AUDIT_TESTS` is added to all."""
AUDIT_TESTS = "tests/audit/test_acts.py"


def modules(pattern: str) -> list[Path]:
    """The files that a pattern names, relative to the project."""
    wanted = MUTANT.sub("", pattern)
    files = sorted(path.relative_to(ROOT) for path in (ROOT / "idp").rglob("*.py"))
    return [path for path in files if any(fnmatchcase(dotted(path), pattern) for pattern in (wanted, f"{wanted}.*"))]


def dotted(path: Path) -> str:
    """The name a module is imported by."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def main(patterns: list[str], tests: list[str]) -> int:
    """Run the mutants that the patterns name, and print those that survive; the exit code is 0 if none does."""
    files = {path: pattern for pattern in patterns for path in modules(pattern)}
    if not files:
        print(f"No module is called {' or '.join(patterns)}.")
        return 2
    packages = sorted({path.parts[1] for path in files})

    os.chdir(ROOT)
    shutil.rmtree("mutants", ignore_errors=True)  # results of another selection of tests would be mixed with these
    config().only_mutate = [str(path) for path in files]
    package_tests = [item for package in packages for item in SELECTIONS.get(package, [f"tests/{package}"])]
    config().pytest_add_cli_args_test_selection = tests or [*package_tests, AUDIT_TESTS]
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # databases in memory are quicker
    with tempfile.TemporaryDirectory(prefix="idp-mutants-", dir=memory) as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        mutmut._run([pattern if MUTANT.search(pattern) else f"{dotted(path)}.x*" for path, pattern in files.items()], 1)
    return _report()


def _report() -> int:
    """Print the diff of each mutant that survived, and a count for each module; returns the exit code."""
    survivors = 0
    _, data = mutmut.collect_source_file_mutation_data(mutant_names=[])
    for path, result in data.items():
        ran = {name: status_by_exit_code[code] for name, code in result.exit_code_by_key.items() if code is not None}
        left = [name for name, outcome in ran.items() if outcome not in {"killed", "timeout"}]
        for name in left:
            print(f"# {name}: {ran[name]}\n{get_diff_for_mutant(name, path=path)}")
        print(f"{path}: {len(ran)} mutants, {len(ran) - len(left)} killed, {len(left)} left", flush=True)
        survivors += len(left)
    return 1 if survivors else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("pattern", nargs="+")
    parser.add_argument("--tests", nargs="+", default=[])
    arguments = parser.parse_args()
    sys.exit(main(arguments.pattern, arguments.tests))
