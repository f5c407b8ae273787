"""Comparison with peers: on this machine, in this run, with the same generator and one worker process each.

They are installed from package registries into a temporary folder; one that cannot be installed is reported and left
out. A rate per vCPU is responses per second of the server's own processor time, for peers as for us. What a server does
for a request differs, and `how` describes it: the kind of token, where it is stored, how client secrets are stored.
"""

import base64
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from bench import costs, http, servers
from bench.load import RequestKind
from bench.provider import CODES, Endpoint, Provider
from bench.report import Figure
from bench.servers import Server
from tests.ports import free_port

FOLDER: Final = Path(__file__).parent
OUR_NAME: Final = "IDaaS"
OWN_TOKEN: Final = "client_credentials"
CODE: Final = "code for tokens"
SECRET: Final = "a-secret-for-the-benchmark-alone"
MAX_CODE_RATE: Final = 1500
"""Codes per second; no server redeems more, so that many are prepared."""
INSTALL_TIMEOUT_SECONDS: Final = 240.0
PREPARE_TIMEOUT_SECONDS: Final = 120.0
"""For a peer to make its codes."""

NewDatabase = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A server that handles the request `what`: whose it is, and how it does it."""

    what: str
    who: str
    how: str
    server: Server
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Setup:
    """What all servers need: `new` makes a PostgreSQL database; `codes` is the number of codes for each."""

    stack: ExitStack
    new: NewDatabase
    folder: Path
    codes: int


def measure(new: NewDatabase, folder: Path, *, rounds: int, seconds: float) -> list[Figure]:
    """Measure ourselves and every peer that can be installed, in turn, in rounds."""
    with ExitStack() as stack:
        setup = Setup(stack, new, folder, int(MAX_CODE_RATE * (rounds * seconds + http.WARM_UP_SECONDS)))
        entrants = list(_us(setup))
        for name, peer in (("django-oauth-toolkit", _django), ("node-oidc-provider", _node)):
            try:
                entrants += list(peer(setup))
            except (OSError, subprocess.SubprocessError, RuntimeError) as error:
                print(f"{name} cannot be installed here and is left out: {error}", flush=True)
        for number in range(rounds + 1):  # the first is not counted
            for entrant in entrants:
                duration = seconds if number else http.WARM_UP_SECONDS
                run = servers.run_load(entrant.server, entrant.endpoint.make(int(MAX_CODE_RATE * duration)), duration)
                if number:
                    entrant.endpoint.runs.append(run)
        return [figure for entrant in entrants for figure in _figures(entrant, entrants)]


def _figures(entrant: Entrant, entrants: list[Entrant]) -> Iterator[Figure]:
    """The rate of a server, and ours in relation to it, per vCPU."""
    subject, runs = f"{entrant.what}: {entrant.who}, {entrant.how}", entrant.endpoint.runs
    bound = "GENERATOR-BOUND" if any(run.result.is_generator_bound for run in runs) else ""
    yield Figure(subject, "per vCPU", entrant.endpoint.per_processor, "/s")
    yield Figure(subject, "at most, one process", entrant.endpoint.rate, "/s", note=bound)
    if entrant.who != OUR_NAME:
        us = next(other for other in entrants if other.who == OUR_NAME and other.what == entrant.what)
        yield Figure(subject, "we, times that", us.endpoint.per_processor / entrant.endpoint.per_processor, "×")
    yield from http.wrong(subject, runs)


def _us(setup: Setup) -> Iterator[Entrant]:
    provider = Provider(setup.new())
    server = setup.stack.enter_context(servers.idp(provider.url, provider.port))
    for what, name, how in (
        (OWN_TOKEN, "token: client_credentials", "ES256 JWT, PostgreSQL"),
        (CODE, CODES["ES256"], "ES256 twice, PostgreSQL"),
        (CODE, CODES["RS256"], "ES256 and RS256, PostgreSQL"),
    ):
        yield Entrant(what, OUR_NAME, how, server, provider.endpoints[name])


# ── django-oauth-toolkit ──────────────────────────────────────────────────────────────────────────────────────


def _django(setup: Setup) -> Iterator[Entrant]:
    """With PostgreSQL and Granian, as ours; its access tokens are rows."""
    home = setup.folder / "django"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=INSTALL_TIMEOUT_SECONDS)
    programs = home / "bin"
    _install([str(programs / "pip"), "install", "--quiet", "-r", str(FOLDER / "requirements.txt")], setup.folder)
    version = _pinned("requirements.txt", "django-oauth-toolkit == ")
    port, codes = free_port(), home / "codes"
    settings = {**_environment(setup.new()), "KEY": str(home / "key.pem")}
    script = Path(shutil.copy(FOLDER / "django_oauth_toolkit.py", home))
    servers.run_to_end([str(programs / "python"), str(script), str(setup.codes), str(codes)], settings)
    command = [str(programs / "granian"), *servers.granian(port, 2), f"{script.stem}:application"]
    server = setup.stack.enter_context(servers.running(command, port, settings, home))
    who, at = f"django-oauth-toolkit {version}", "/o/token/"
    yield Entrant(OWN_TOKEN, who, "row, PostgreSQL, secret kept plain", server, _own_token(port, at, "itself"))
    yield Entrant(
        OWN_TOKEN,
        who,
        "row, PostgreSQL, secret hashed",
        server,
        _own_token(port, at, "itself-hashed"),
    )
    yield Entrant(CODE, who, "row and RS256, PostgreSQL", server, _codes(port, at, codes))


# ── node-oidc-provider ────────────────────────────────────────────────────────────────────────────────────────


def _node(setup: Setup) -> Iterator[Entrant]:
    """In memory, its default, and with a table of PostgreSQL through our adapter."""
    home = setup.folder / "node"
    home.mkdir()
    for name in ("package.json", "node_oidc_provider.mjs"):
        shutil.copy(FOLDER / name, home)
    _install(["npm", "install", "--no-audit", "--no-fund", "--silent"], home)
    version = _pinned("package.json", '"oidc-provider": "')
    who = f"node-oidc-provider {version}"
    for kept, address in (("in memory", ""), ("PostgreSQL", setup.new())):
        port, codes = free_port(), home / f"codes {kept}"
        command = ["node", "node_oidc_provider.mjs", str(port), str(setup.codes), str(codes)]
        if address:
            command.append(_environment(address)["DATABASE"])
        running = servers.running(command, port, _environment(address), home, PREPARE_TIMEOUT_SECONDS)
        server = setup.stack.enter_context(running)
        yield Entrant(OWN_TOKEN, who, f"opaque, {kept}", server, _own_token(port, "/token", "itself"))
        if not address:
            signed = {"resource": "https://api.example", "scope": "schools.list"}
            yield Entrant(
                OWN_TOKEN,
                who,
                "ES256 JWT, nothing kept",
                server,
                _own_token(port, "/token", "itself", **signed),
            )
        yield Entrant(CODE, who, f"opaque and ES256, {kept}", server, _codes(port, "/token", codes))


# ── for each of them ──────────────────────────────────────────────────────────────────────────────────────────


def _install(command: list[str], folder: Path) -> None:
    """Run an installer. Raises `RuntimeError` with the end of its error output if it fails."""
    process = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS, check=False
    )
    if process.returncode:
        raise RuntimeError(f"{Path(command[0]).name} install: {process.stderr.strip()[-300:]}")


def _pinned(file: str, before: str) -> str:
    """The version in a file after the text `before`."""
    rest = (FOLDER / file).read_text("utf-8").partition(before)[2]
    return rest.partition("\n")[0].strip(' ",')


def _environment(database: str) -> dict[str, str]:
    plain = database.replace("postgresql+psycopg://", "postgresql://")
    return {"SECRET": SECRET, "CHALLENGE": costs.CHALLENGE, "DATABASE": plain}


def _request(port: int, at: str, client: str, form: dict[str, str]) -> bytes:
    basic = base64.b64encode(f"{client}:{SECRET}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content_Type": "application/x-www-form-urlencoded"}
    return servers.request("POST", at, port, urlencode(form).encode(), **headers)


def _own_token(port: int, at: str, client: str, **options: str) -> Endpoint:
    """Requests with the client credentials grant."""
    requests = [_request(port, at, client, {"grant_type": "client_credentials", **options})]
    kinds = [RequestKind(OWN_TOKEN, requests, 200, "access_token")]
    return Endpoint(OWN_TOKEN, lambda _times: kinds)


def _codes(port: int, at: str, file: Path) -> Endpoint:
    """Token requests with the codes in a file, each used once."""
    codes = iter(file.read_text("ascii").split())
    form = {"grant_type": "authorization_code", "redirect_uri": costs.CALLBACK, "code_verifier": costs.VERIFIER}

    def make(times: int) -> list[RequestKind]:
        some = [code for code, _ in zip(codes, range(times), strict=False)]
        return [
            RequestKind(
                CODE,
                [_request(port, at, "web", form | {"code": code}) for code in some],
                200,
                "id_token",
                single_use=True,
            )
        ]

    return Endpoint(CODE, make)
