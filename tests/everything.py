"""`make test`: every check, in order; at the end it names what failed and what could not be checked.

lint · format and import contracts, beside compiling the tests · each package by its own tests on SQLite, with their
coverage · types beside all these · the other tests on SQLite · the suite on PostgreSQL · pages in Chromium, beside the
installation on a new machine · quick starts that are compiled for minutes, beside these two, the slowest in turn.
`make check` (`--quick`): lint, format, import contracts, and types beside the tests of idp's packages, without coverage
and without `COVERED_BY_OTHERS` and `NOT_QUICK`. The programs in `clients/` know idp by the protocol alone, and have
their tests in `make test T=tests/clients`.
Chromium, PostgreSQL and Redis are installed from Debian's packages where they are missing and that is possible;
otherwise the run ends non-zero, unless ALLOW_MISSING=1.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from tests import chromium, postgresql, redis

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
MOD_AUTH_OPENIDC = Path("/usr/lib/apache2/modules/mod_auth_openidc.so")
COVERAGE_FLOOR = 91.0
"""Percent of lines and branches together that the packages' own tests must reach on SQLite. It only rises.

Not counted are tests of the whole product (conformance, security, faults, browser …), slow tests that reach next to
nothing alone, and the processes that tests start.
"""
MAX_FAILURES, MAX_LINES = 5, 30
"""How many failed tests of a stage the report at the end shows again, and how many lines of each."""
MIN_FREE_BYTES = 2 << 30
"""Bytes that must be free in memory for temporary files to be put there."""
TYPES = [str(BIN / "mypy")]
COMPILED_QUICK_STARTS = "tests/interoperability/test_built_quick_starts.py"
COMPILED_IN_TURN = ("rust-openidconnect", "oauth2_proxy")
"""The two quick starts that take two minutes of processor time or more to compile, by the names in their tests' ids.

One of them is compiled each day: with both, the whole run would take longer than 25 minutes.
"""
OTHER_STAGES = ["--ignore=tests/browser", "--ignore=tests/installation", f"--ignore={COMPILED_QUICK_STARTS}"]
SERIAL = [sys.executable, "-m", "pytest", "-q", "-rs"]
COLLECT = [*SERIAL, "--collect-only", "-qq"]
"""Compiles all tests once: in a fresh clone, each worker of pytest would compile each file."""
PROCESSORS = os.cpu_count() or 2
ONE_FILE_PER_WORKER = [*SERIAL, "--dist", "loadfile", "--no-loadscope-reorder"]
"""In the order in which paths are given: otherwise files of few slow tests come last, and one worker ends long after
the others."""
PYTEST = [*ONE_FILE_PER_WORKER, "-n", str(PROCESSORS + 1)]
"""One more than there are processors: tests wait for processes, a database or a browser. Each reads all tests first."""
QUICK_PYTEST = [*ONE_FILE_PER_WORKER, "-n", str(PROCESSORS)]
"""These tests wait for little, and one worker less has not to read them all. Nor are they compiled beforehand: in the
clone of a person who runs this often, they are compiled already."""
FOR_POSTGRESQL = ["tests/interoperability", "tests/journeys", "tests/conformance", "tests/security"]
"""Tests of the whole product that are run once: on the database it is meant for, if they have one."""
WHOLE_PRODUCT = [
    *FOR_POSTGRESQL,
    *("tests/faults", "tests/demo", "tests/fuzz", "tests/bench"),
    *("tests/test_architecture.py", "tests/test_cli.py", "tests/test_conformance_matrix.py", "tests/test_docs.py"),
    *("tests/test_worker.py", "tests/schools/test_search_properties.py"),
    *("tests/foundation/web/test_form_drafts.py", "tests/foundation/web/test_post_redirect_get.py"),
]
"""Tests of several packages. The packages' own tests cover the same lines; tracing would double the time of these.

The quick starts come first: they are one file, and take longest where nothing was ever downloaded or compiled.
"""
COVERED_BY_OTHERS = [
    *("tests/estabs/test_credentials.py", "tests/estabs/test_passphrases.py", "tests/estabs/test_people.py"),
    *("tests/federation/test_views.py", "tests/foundation/test_wording.py", "tests/oidc/test_backchannel.py"),
    *("tests/oidc/test_consent.py", "tests/oidc/test_messages.py", "tests/oidc/test_revocation.py"),
    *("tests/partner_api/test_openapi.py", "tests/foundation/fastpath/test_rows.py", "tests/schools/test_cli.py"),
    *("tests/schools/test_query_parser.py", "tests/schools/test_views.py", "tests/signin/test_strength_views.py"),
    *("tests/oidc/test_signed_responses.py", "tests/oidc/test_token.py", "tests/sharing/test_authorise.py"),
    *("tests/signin/test_session.py", "tests/signin/test_views.py"),
]
"""The packages' slow tests that reach next to nothing alone (measured): not traced, and not in `make check`.

With a database they run once, as those of the whole product do.
"""
NOT_QUICK = [
    *("tests/migrations/test_backups.py", "tests/migrations/test_previous_release.py"),
    *("tests/outbox/test_sms_providers.py", "tests/schools/test_download.py"),
    *("tests/partner_api/test_pages.py", "tests/test_everything.py"),
]
"""Not in `make check`: they take a seventh of its time (measured), and are about what few changes touch."""
SAME_ON_ANY_DATABASE = [
    *("tests/bench", "tests/demo", "tests/foundation/web", "tests/fuzz", "tests/clients/endpoint"),
    *("tests/clients/test_assembly.py", "tests/clients/test_assembly_accounts.py"),
    *("tests/clients/test_assembly_connector.py", "tests/clients/test_assembly_resets.py"),
    *("tests/clients/test_assembly_with_provider.py", "tests/clients/test_mailbox.py", "tests/clients/test_netrc.py"),
    *("tests/clients/test_stand_alone.py", "tests/clients/xporter/test_bulk.py"),
    *("tests/clients/xporter/test_database.py", "tests/clients/xporter/test_fields.py"),
    *("tests/clients/xporter/test_filter_properties.py", "tests/clients/xporter/test_from_export_to_partner.py"),
    *("tests/clients/xporter/test_full_disk.py", "tests/clients/xporter/test_oneroster.py"),
    *("tests/clients/xporter/test_public_pages.py", "tests/clients/xporter/test_reads.py"),
    *("tests/clients/xporter/test_retention.py", "tests/clients/xporter/test_shapes.py"),
    "tests/clients/xporter/test_tokens.py",
    "tests/federation/test_views.py::TestInvalidResponsesOfProviders",
    "tests/outbox/test_sms_providers.py",
    *("tests/foundation/test_ui.py", "tests/oidc/test_checks.py"),
    *("tests/schools/test_forms.py", "tests/signin/test_strength_views.py"),
    *("tests/security/test_local_next.py", "tests/security/test_redirect_before_proof.py"),
    *("tests/security/test_repeated_parameters.py", "tests/security/test_script_uris.py"),
    *("tests/security/test_ssrf.py", "tests/security/test_tenancy.py", "tests/security/test_unknown_parameters.py"),
    *("tests/faults/test_partner.py", "tests/faults/test_stopping.py"),
    *(COMPILED_QUICK_STARTS, "tests/interoperability/test_quick_starts.py"),
    "tests/schools/test_search_properties.py",
    *("tests/test_architecture.py", "tests/test_cli.py", "tests/test_conformance_matrix.py", "tests/test_docs.py"),
]
"""Not run on PostgreSQL: they read sources, wait for processes, reach no row of theirs, or repeat other tests.

Nor is a test that has no database."""

ON_SQLITE = [
    *("tests/developers", "tests/estabs", "tests/federation", "tests/foundation", "tests/invitations", "tests/keys"),
    *("tests/manage", "tests/oidc", "tests/onboarding", "tests/operate", "tests/partner_api", "tests/partners"),
    *("tests/sharing", "tests/signin", "tests/xporter"),
]
"""Packages whose own tests run on SQLite. Of these, PostgreSQL gets the slow ones and those with `POSTGRESQL_FIXTURES`;
it has the conformance plans and the tests of security for all that the protocol and its pages do with a database."""
POSTGRESQL_FIXTURES = frozenset({"run_concurrently", "run_overlapping", "on_postgresql", "also_on_postgresql"})
"""Fixtures of tests in which the database decides between two transactions, or for which PostgreSQL differs from
SQLite. No other fixture uses them.
"""


@dataclass(frozen=True)
class Program:
    """A program that stages need, how to find it, its Debian package, and what is not checked without it."""

    program: str
    find: Callable[[], object]
    package: str
    unchecked: str
    alternative: Callable[[], object] = lambda: None
    """Finds another program that serves where the package cannot be installed."""


CHROMIUM = Program(
    chromium.HEADLESS_SHELL, lambda: shutil.which(chromium.HEADLESS_SHELL), chromium.HEADLESS_SHELL, "real pages",
    alternative=chromium.program,
)  # fmt: skip
POSTGRESQL = Program("initdb and pg_ctl", postgresql.programs, "postgresql", "the suite on PostgreSQL")
OPTIONAL = (
    Program("node and npm", lambda: shutil.which("node") and shutil.which("npm"), "npm", "a partner in Node"),
    Program("mod_auth_openidc", MOD_AUTH_OPENIDC.exists, "libapache2-mod-auth-openidc", "a partner behind Apache"),
    Program("go", lambda: shutil.which("go"), "golang", "a partner in Go"),
    Program("java and mvn", lambda: shutil.which("java") and shutil.which("mvn"), "maven", "a partner in Java"),
    Program("cargo", lambda: shutil.which("cargo"), "cargo", "a partner in Rust"),
)
"""Never installed; without them the run does not fail, and reports what was left out."""
REDIS = Program("redis-server", redis.program, "redis-server", "limits that several processes share through Redis")


@dataclass
class Run:
    """The results so far."""

    environment: dict[str, str]
    failed: dict[str, str] = field(default_factory=dict)
    """The stages that failed, each with the end of what its first failed tests wrote."""
    missing: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def stage(self, name: str, command: list[str], **environment: str) -> None:
        """Run one command; if it fails, the next stages still run."""
        print(f"\n=== {name}", flush=True)
        variables = os.environ | self.environment | environment
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / "results.xml"
            run = [*command, f"--junit-xml={results}"] if "pytest" in command else command
            if subprocess.run(run, cwd=ROOT, env=variables, check=False).returncode != 0:
                self.failed[name] = _failures(results)

    def covered_stage(self, name: str, command: list[str]) -> None:
        """Run tests, which must reach `COVERAGE_FLOOR`."""
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "coverage.json"
            self.stage(name, [sys.executable, "-m", "slipcover", "--json", "--out", str(report), *command[1:]])
            percent = json.loads(report.read_text("utf-8"))["summary"]["percent_covered"] if report.exists() else 0.0
        print(f"Coverage: {percent:.1f} % of lines and branches", flush=True)
        if percent < COVERAGE_FLOOR:
            self.failed.setdefault(name, f"coverage is below {COVERAGE_FLOOR} %")

    @contextmanager
    def beside(self, name: str, command: list[str]) -> Iterator[None]:
        """Run one command while the block does; afterwards print what it wrote, or of a success the end."""
        with tempfile.TemporaryFile("w+") as written:
            variables = os.environ | self.environment
            process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=written, stderr=subprocess.STDOUT)
            try:
                yield
            except BaseException:
                process.terminate()
                raise
            finally:
                code = process.wait()
            written.seek(0)
            output = written.read()
        if code != 0:
            self.failed[name] = _end_of(output)
        print(f"\n=== {name}\n{output if code != 0 else _end_of(output, lines=5)}", flush=True)

    def has(self, needed: Program) -> bool:
        """Whether the program is installed, after installing it where possible."""
        if needed.find() or (_installed(needed.package) and needed.find()) or needed.alternative():
            return True
        self.missing.append(f"{needed.unchecked}: no {needed.program} (Debian: {needed.package})")
        return False

    def note_if_missing(self, needed: Program) -> None:
        """Record what is not checked where an optional program is missing."""
        if not needed.find():
            self.left_out.append(f"{needed.unchecked}: no {needed.program}")


def main(*, quick: bool) -> int:
    """Run every stage, or with `quick` the first ones; the exit code is 0 only if all of them ran and passed."""
    began = time.monotonic()
    os.environ.pop("TEST_DATABASE", None)  # each stage has its own
    run = Run(_temporary_folder_in_memory())
    try:
        _quick_stages(run) if quick else _all_stages(run)
    finally:
        shutil.rmtree(run.environment.get("TMPDIR", ""), ignore_errors=True)
    print(f"\n=== Done in {time.monotonic() - began:.0f} s")
    return _report(run)


def marks(test: str, fixtures: Collection[str] = ()) -> list[str]:
    """The marks of a test that has a database; `test` is its path and name as pytest writes them."""
    if test.startswith((*FOR_POSTGRESQL, *COVERED_BY_OTHERS)) and not test.startswith(tuple(SAME_ON_ANY_DATABASE)):
        return ["postgresql", "database"]
    is_same = test.startswith((*SAME_ON_ANY_DATABASE, *ON_SQLITE)) and POSTGRESQL_FIXTURES.isdisjoint(fixtures)
    return [] if is_same else ["database"]


def left_out_on(day: date) -> str:
    """The quick start of `COMPILED_IN_TURN` that is left out on this day."""
    return COMPILED_IN_TURN[day.toordinal() % len(COMPILED_IN_TURN)]


def _static_stages(run: Run) -> None:
    run.stage("Lint", [str(BIN / "ruff"), "check", "."])
    run.stage("Format", [str(BIN / "ruff"), "format", "--check", "."])
    run.stage("Import contracts", [str(BIN / "lint-imports")])


def _quick_stages(run: Run) -> None:
    _static_stages(run)
    structure = ["tests/test_architecture.py", "tests/test_docs.py"]
    others = [
        path for path in [*WHOLE_PRODUCT, *COVERED_BY_OTHERS, *NOT_QUICK, "tests/clients"] if path not in structure
    ]
    with run.beside("Types", TYPES):
        run.stage("Packages on SQLite", [*QUICK_PYTEST, *OTHER_STAGES, *_with("not redis"), *_without(others)])


def _all_stages(run: Run) -> None:
    for needed in OPTIONAL:
        run.note_if_missing(needed)
    others = [*WHOLE_PRODUCT, *COVERED_BY_OTHERS]
    with run.beside("Types", TYPES):
        with run.beside("Compiling the tests", COLLECT):
            _static_stages(run)
        possible = [] if run.has(REDIS) else ["not redis"]
        run.covered_stage("Packages on SQLite", [*PYTEST, *OTHER_STAGES, *_with(*possible), *_without(others)])
    on_postgresql = postgresql.programs() if run.has(POSTGRESQL) else None
    once = ["not postgresql"] if on_postgresql else []
    run.stage("The whole on SQLite", [*PYTEST, *OTHER_STAGES, *_with(*possible, *once), *others])
    postponed = left_out_on(datetime.now(UTC).date())
    run.left_out.append(f"the quick start {postponed}: compiled every second day; make test T={COMPILED_QUICK_STARTS}")
    installation = [*SERIAL, "tests/installation"]
    quick_starts = [*SERIAL, COMPILED_QUICK_STARTS, "-k", f"not {postponed}"]
    with run.beside("Quick starts that are compiled for minutes", quick_starts):
        if on_postgresql:
            _suite_on_postgresql(run, on_postgresql)
        # Browsers wait for pages, and an installation for a package registry: a third of the processors' time is left.
        with run.beside("The installation on a new machine", installation):
            if run.has(CHROMIUM):
                run.stage("Pages in Chromium", [*PYTEST, "--dist", "worksteal", "tests/browser"])


def _suite_on_postgresql(run: Run, programs_folder: Path) -> None:
    name = "Suite on PostgreSQL"
    selection = [*_with("database"), *_without([*SAME_ON_ANY_DATABASE, *_without_postgresql_fixtures()])]
    with ExitStack() as server:
        try:
            url = server.enter_context(postgresql.running_server_url(programs_folder))
        except (OSError, LookupError, subprocess.SubprocessError) as error:
            run.failed[name] = f"PostgreSQL did not start: {error}"
        else:
            run.stage(name, [*PYTEST, *OTHER_STAGES, *selection], TEST_DATABASE=url)


def _with(*marks: str) -> list[str]:
    return ["-m", " and ".join(marks)]


def _without(paths: list[str]) -> list[str]:
    return [f"--ignore={path}" for path in paths if "::" not in path]


def _without_postgresql_fixtures() -> list[str]:
    """The files of `ON_SQLITE` of which PostgreSQL gets no test: to read them would take as long as to run a few."""
    files = [path for folder in ON_SQLITE for path in sorted((ROOT / folder).rglob("test_*.py"))]
    names = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in files}
    return [
        name for name, text in names.items()
        if name not in COVERED_BY_OTHERS and not any(fixture in text for fixture in POSTGRESQL_FIXTURES)
    ]  # fmt: skip


def _report(run: Run) -> int:
    """Print what failed and what was not checked; returns the exit code."""
    for name, failures in run.failed.items():
        print(f"FAILED       {name}\n{failures}".rstrip())
    for name in run.missing:
        print(f"NOT CHECKED  {name}")
    for name in run.left_out:
        print(f"LEFT OUT     {name}")
    allowed = os.environ.get("ALLOW_MISSING") == "1"
    return 1 if run.failed or (run.missing and not allowed) else 0


def _failures(results: Path) -> str:
    """Which tests failed and how, from pytest's JUnit report: of a long output, many services keep only the end."""
    try:
        report = ET.parse(results)
    except (FileNotFoundError, ET.ParseError):  # pytest was killed, or had no room for it
        return ""
    failed = [
        f"--- {case.get('classname', '')}::{case.get('name', '')}\n{_end_of(outcome.text or '')}"
        for case in report.iter("testcase")
        for outcome in case
        if outcome.tag in {"failure", "error"}
    ]
    more = [f"--- and {len(failed) - MAX_FAILURES} more"] if len(failed) > MAX_FAILURES else []
    return "\n".join([*failed[:MAX_FAILURES], *more])


def _end_of(text: str, lines: int = MAX_LINES) -> str:
    return "\n".join(text.splitlines()[-lines:])


def _temporary_folder_in_memory() -> dict[str, str]:
    """Put temporary files into memory if enough is free: databases that do not wait for a disk take half the time."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < MIN_FREE_BYTES:
        return {}
    folder = tempfile.mkdtemp(prefix="idp-tests-", dir=memory)
    Path(folder).chmod(0o711)  # PostgreSQL runs as a user of its own, and must reach files in it
    return {"TMPDIR": folder}


def _installed(package: str) -> bool:
    """Install a Debian package, if this process may."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print(f"\n=== Installing {package}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # Another program may be installing just now, and a mirror may fail for a moment.
    quiet = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    subprocess.run([*quiet, "update"], env=environment, check=False, stdout=subprocess.DEVNULL)
    install = [*quiet, "install", "-y", "--no-install-recommends", package]
    return subprocess.run(install, env=environment, check=False, stdout=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    sys.exit(main(quick="--quick" in sys.argv))
