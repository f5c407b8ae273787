"""Quick starts as their pages show them, written to a folder and run. This module has all that is added to them.

Packages are locked in folders beside this file. A quick start is left out where its language, or the registry of its
packages, is not available.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from idp.developers import quick_starts
from idp.developers.quick_starts import QuickStart
from idp.foundation.web import transactions
from idp.partners import registry
from tests import factories
from tests.html import parse
from tests.interoperability.conftest import RunningProvider
from tests.ports import free_port
from tests.processes import Process

FOLDER = Path(__file__).parent
UNAVAILABLE = (
    "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "E403", "E404", "dial tcp", "no such host", "i/o timeout",
    "403 Forbidden", "404 Not Found", "requires go >=", "Could not transfer artifact", "Could not find artifact",
    "not resolve host", "Could not connect", "Connection refused", "spurious network error", "download of config.json",
    "Timeout was reached", "could not choose a version of cargo", "feature `edition2024` is required",
    "release version 17 not supported", "linker `cc` not found", "Could not find directory of OpenSSL",
)  # fmt: skip
"""Parts of the messages of npm, go, mvn, composer and cargo when packages, or a newer language, are not available."""
SLOW_TO_COMPILE = frozenset({"spring-client", "rust-openidconnect"})
"""Websites that take minutes to compile: `test_built_quick_starts` tests them, `test_quick_starts` does not."""
PREPARE_SECONDS = 180.0
"""How long a program may take to fetch and compile packages; after that, the test of its quick start is skipped."""
COMPILE_SECONDS = 900.0
"""The same for programs that take minutes, which are compiled at low priority while other tests run."""

_FASTER_RUST = {
    "CARGO_INCREMENTAL": "0", "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_PROFILE_DEV_PANIC": "abort",
    "CARGO_PROFILE_DEV_DEBUG_ASSERTIONS": "false", "CARGO_PROFILE_DEV_OVERFLOW_CHECKS": "false",
    "CARGO_PROFILE_DEV_CODEGEN_UNITS": "1",
}  # fmt: skip
"""Compile without what only debuggers and incremental builds need: that takes a quarter of the processor time."""
_GO = {
    "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0", "GOGC": "400",
    "GOFLAGS": "'-gcflags=all=-l -dwarf=false' '-ldflags=-s -w'",
}  # fmt: skip
"""Compile without inlining and what debuggers need, and collect garbage rarely: that takes two fifths of the processor
time. As each program has the same options, Go's own packages are compiled once.
"""
_LOW_PRIORITY = ["nice", "-n", "15"]
JAVA_TRUST = Path("/etc/ssl/certs/java/cacerts")

APPENDED = "# Add this to the end of the file that is there."
"""The first line of text to append to a file that the installing command has made."""


@dataclass(frozen=True)
class Site:
    """A quick start that runs at its URL."""

    quick_start: QuickStart
    url: str
    client_id: str
    text: str
    """The text of all its files."""


def quick_start_page(issuer: str, trust: str, quick_start_id: str, **query: str) -> Any:
    """The page of a quick start, parsed."""
    page = requests.get(f"{issuer}/developers/quick-starts/{quick_start_id}", params=query, verify=trust, timeout=20)
    assert page.status_code == 200, page.text
    return parse(page.text)


def files_of(page: Any, kind: str = "file") -> dict[str, str]:
    """The files that a page shows, by their names."""
    return {element["aria-label"]: element.get_text() for element in page.select(f"pre[id^={kind}-]")}


def make_key(page: Any, folder: Path) -> dict[str, Any]:
    """Run the command that makes a key pair; returns the metadata to register for it, if the page shows one."""
    if page.find(id="make-key") is None:
        return {}
    for name, text in files_of(page, "key-file").items():
        (folder / name).write_text(text, "utf-8")
    command = ["bash", "-c", page.find(id="make-key").get_text()]
    completed = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": _path()}, capture_output=True, text=True, check=True
    )
    return {"jwks": json.loads(completed.stdout)}


def register(provider: RunningProvider, page: Any, **key: Any) -> str:
    """Register the metadata that the page shows, with the names that every partner adds; returns the secret."""
    metadata = {
        "client_name": "A quick start", "client_uri": "https://assembly.example",
        "policy_uri": "https://assembly.example/privacy", "agreement_uri": "https://assembly.example/agreement",
        "agreement_version": "2026", "purpose": "To see that a quick start works unchanged.",
    }  # fmt: skip
    with transactions.transaction(provider.app):
        company = factories.a_partner()
        shown = tomllib.loads(page.find(id="registration").get_text())
        _, secret = registry.register({**shown, **metadata, **key, "partner": company.name})
    return secret or ""


@contextmanager
def running(
    provider: RunningProvider, quick_start_id: str, folder: Path, command: Callable[[int], str] | None = None
) -> Iterator[Site]:
    """The quick start, registered, written to `folder`, and running there until the block ends.

    It is started by the command that its page shows, or where it shows none, by `command(port)`.
    """
    quick_start = quick_starts.find(quick_start_id)
    port = free_port()
    host = "localhost" if quick_start.registration.get("profile") == "fapi2" else "127.0.0.1"
    url, client_id = f"http://{host}:{port}", f"quick-start-{port}"
    page = quick_start_page(provider.issuer, provider.trust, quick_start_id, client_id=client_id, address=url)
    secret, files = register(provider, page, **make_key(page, folder)), files_of(page)
    assert files.keys() == set(quick_start.files)
    if "django-admin" in quick_start.install:  # the last part of the command that installs it
        run("django-admin", shlex.split(quick_start.install.partition("&& django-admin ")[2]), folder, PATH=_path())
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        before = (folder / name).read_text("utf-8") if text.startswith(APPENDED) else ""
        (folder / name).write_text(before + text, "utf-8")
    # Fetch and compile before the program is started: that may take longer than `wait_until` waits.
    if quick_start.language == "Go":
        run("go", ["build", "-o", os.devnull, "."], folder, **_GO)
    elif quick_start.language == "Rust":
        compile_at_low_priority("cargo", ["build", "--quiet"], folder, **_FASTER_RUST)
    elif "spring-boot:run" in quick_start.run:
        run("mvn", ["-q", "-B", "spring-boot:help", "test-compile"], folder)
    command_line = command(port) if command else page.find(id="run").get_text()
    environment = os.environ | _java(provider) | {
        "CLIENT_SECRET": secret, "SESSION_SECRET": "0123456789abcdef0123456789abcdef", "PATH": _path(),
        "NODE_EXTRA_CA_CERTS": provider.trust, "SSL_CERT_FILE": provider.trust, "REQUESTS_CA_BUNDLE": provider.trust,
        **_GO, **_FASTER_RUST,
    }  # fmt: skip
    if quick_start.id == "oidc-client-ts":  # the last part of the command that installs it
        shutil.copy(folder.parent / "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js", folder)
    log = folder / "log"
    with log.open("wb") as log_file:
        popen = subprocess.Popen(
            ["bash", "-c", command_line], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log_file,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    process = Process(popen, log)
    try:
        try:
            process.wait_until(lambda: _responds(url))
        except AssertionError:
            _skip_if_unavailable(quick_start.name, process.output)
            raise
        yield Site(quick_start, url, client_id, "".join(files.values()))
    except AssertionError as error:
        error.add_note(process.output[-3000:])
        raise
    finally:
        if popen.poll() is None:
            process.kill()


def prepare_node(folder: Path) -> None:
    """Install the locked packages in `folder`; folders below it find them there."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FOLDER / "node" / name, folder)
    run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)


def prepare_go(folder: Path) -> None:
    """Fetch the locked modules."""
    for name in ("go.mod", "go.sum"):
        shutil.copy(FOLDER / "go" / name, folder)
    run("go", ["mod", "download"], folder, GOTOOLCHAIN="local", GOWORK="off", GOFLAGS="-mod=mod")


def prepare(quick_start: QuickStart, folder: Path) -> None:
    """Install what a quick start needs in `folder`, where its language does not do so by itself."""
    if quick_start.language == "JavaScript":
        prepare_node(folder)
    elif quick_start.language == "Go":
        prepare_go(folder)
    elif quick_start.language == "PHP":
        run(
            "composer",
            [*shlex.split(quick_start.install)[1:], "--no-interaction"],
            folder,
            COMPOSER_ALLOW_SUPERUSER="1",
        )
    elif quick_start.language == "C#":
        run("dotnet", ["--version"], folder)
    elif quick_start.install.startswith("go install"):
        compile_at_low_priority("go", shlex.split(quick_start.install)[1:], folder, **_GO | {"GOTOOLCHAIN": "auto"})
    elif quick_start.language == "Java":
        for name in ("java", "mvn"):
            run(name, ["-version"], folder)


def run(name: str, arguments: list[str], folder: Path, **environment: str) -> None:
    """Run a program of a language; the test is skipped where it, or what it fetches, is not available in time."""
    _run([_program(name, environment.get("PATH")), *arguments], folder, environment, PREPARE_SECONDS)


def compile_at_low_priority(name: str, arguments: list[str], folder: Path, **environment: str) -> None:
    """Run a compiler that takes minutes, at a low priority so that it delays no other tests; skips as `run` does."""
    _run([*_LOW_PRIORITY, _program(name), *arguments], folder, environment, COMPILE_SECONDS)


def _program(name: str, path: str | None = None) -> str:
    if (program := shutil.which(name, path=path)) is None:
        pytest.skip(f"left out: no {name} on this machine")
    return program


def _run(command: list[str], folder: Path, environment: dict[str, str], seconds: float) -> None:
    with subprocess.Popen(
        command, cwd=folder, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # and the processes that it started
            pytest.skip(f"left out: {shlex.join(command)} takes longer than {seconds:.0f} s")
    if process.returncode:
        _skip_if_unavailable(shlex.join(command), printed)
    assert process.returncode == 0, printed


def _skip_if_unavailable(program: str, printed: str) -> None:
    lines = [line.strip() for line in printed.splitlines() if any(sign in line for sign in UNAVAILABLE)]
    if lines:
        pytest.skip(f"left out: {program} fails: {lines[-1][-300:]}")


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def _responds(url: str) -> bool:
    try:
        return requests.get(url, timeout=10, allow_redirects=False).status_code < 500
    except requests.RequestException:
        return False


def _java(provider: RunningProvider) -> dict[str, str]:
    """A trust store for Java: the machine's certificates, for Maven, and the provider's."""
    store = Path(provider.trust).parent / "trust.jks"
    if not provider.trust or shutil.which("keytool") is None or not JAVA_TRUST.exists():
        return {}
    if not store.exists():
        shutil.copy(JAVA_TRUST, store)
        arguments = ["-importcert", "-noprompt", "-file", provider.trust, "-alias", "idp", "-keystore", str(store)]
        run("keytool", [*arguments, "-storepass", "changeit"], store.parent)
    return {"JAVA_TOOL_OPTIONS": f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"}
