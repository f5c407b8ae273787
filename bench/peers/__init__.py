"""Peers beside us: on this machine, in this run, by the same generator, each with one worker process.

They come from the package registries, into a folder that is gone afterwards; one that cannot be had is named and left
out. A rate per vCPU is answers per second of the server's own processor time, for them as for us. What each does for
a request differs, and `how` says it: what the token is, where it is kept, and what the client's secret costs.
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

HERE: Final = Path(__file__).parent
US: Final = "IDaaS"
ITSELF: Final = "client_credentials"
CODE: Final = "code for tokens"
SECRET: Final = "a-secret-for-the-benchmark-alone"
FASTEST: Final = 1500
"""Codes per second that nobody redeems more of: so many are made."""
INSTALLING: Final = 240.0
"""Seconds, after which a registry counts as out of reach."""
PREPARING: Final = 120.0
"""Seconds that a peer may take to make its codes."""

NewDatabase = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Rival:
    """Somebody who does `what`, and how."""

    what: str
    who: str
    how: str
    server: Server
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Course:
    """What all of them run on: `new` makes a PostgreSQL database, and `codes` is how many codes each needs."""

    stack: ExitStack
    new: NewDatabase
    folder: Path
    codes: int


def measure(new: NewDatabase, folder: Path, *, rounds: int, seconds: float) -> list[Figure]:
    """Us, and every peer that can be had, in turn round by round."""
    with ExitStack() as stack:
        course = Course(stack, new, folder, int(FASTEST * (rounds * seconds + http.WARM_UP_SECONDS)))
        rivals = list(_us(course))
        for name, peer in (("django-oauth-toolkit", _django), ("node-oidc-provider", _node)):
            try:
                rivals += list(peer(course))
            except (OSError, subprocess.SubprocessError, RuntimeError) as fault:
                print(f"{name} cannot be had here and is left out: {fault}", flush=True)
        for number in range(rounds + 1):  # the first is thrown away
            for rival in rivals:
                lasting = seconds if number else http.WARM_UP_SECONDS
                run = servers.run_load(rival.server, rival.endpoint.make(int(FASTEST * lasting)), lasting)
                if number:
                    rival.endpoint.runs.append(run)
        return [figure for rival in rivals for figure in _figures(rival, rivals)]


def _figures(rival: Rival, rivals: list[Rival]) -> Iterator[Figure]:
    """How fast it is, and how many times as fast we are at the same, per vCPU."""
    subject, runs = f"{rival.what}: {rival.who}, {rival.how}", rival.endpoint.runs
    bound = "GENERATOR-BOUND" if any(run.result.is_generator_bound for run in runs) else ""
    yield Figure(subject, "per vCPU", rival.endpoint.per_processor, "/s")
    yield Figure(subject, "at most, one process", rival.endpoint.rate, "/s", note=bound)
    if rival.who != US:
        us = next(one for one in rivals if one.who == US and one.what == rival.what)
        yield Figure(subject, "we, times that", us.endpoint.per_processor / rival.endpoint.per_processor, "×")
    yield from http.wrong(subject, runs)


def _us(course: Course) -> Iterator[Rival]:
    provider = Provider(course.new())
    server = course.stack.enter_context(servers.idp(provider.url, provider.port))
    for what, name, how in (
        (ITSELF, "token: client_credentials", "ES256 JWT, PostgreSQL"),
        (CODE, CODES["ES256"], "ES256 twice, PostgreSQL"),
        (CODE, CODES["RS256"], "ES256 and RS256, PostgreSQL"),
    ):
        yield Rival(what, US, how, server, provider.endpoints[name])


# ── django-oauth-toolkit ──────────────────────────────────────────────────────────────────────────────────────


def _django(course: Course) -> Iterator[Rival]:
    """With PostgreSQL and Granian, as we are; its access tokens are rows."""
    home = course.folder / "django"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=INSTALLING)
    programs = home / "bin"
    _install([str(programs / "pip"), "install", "--quiet", "-r", str(HERE / "requirements.txt")], course.folder)
    version = _pinned("requirements.txt", "django-oauth-toolkit == ")
    port, codes = free_port(), home / "codes"
    settings = {**_told(course.new()), "KEY": str(home / "key.pem")}
    script = Path(shutil.copy(HERE / "django_oauth_toolkit.py", home))
    servers.run_to_end([str(programs / "python"), str(script), str(course.codes), str(codes)], settings)
    command = [str(programs / "granian"), *servers.granian(port, 2), f"{script.stem}:application"]
    server = course.stack.enter_context(servers.running(command, port, settings, home))
    who, at = f"django-oauth-toolkit {version}", "/o/token/"
    yield Rival(ITSELF, who, "row, PostgreSQL, secret kept plain", server, _itself(port, at, "itself"))
    yield Rival(ITSELF, who, "row, PostgreSQL, secret hashed", server, _itself(port, at, "itself-hashed"))
    yield Rival(CODE, who, "row and RS256, PostgreSQL", server, _codes(port, at, codes))


# ── node-oidc-provider ────────────────────────────────────────────────────────────────────────────────────────


def _node(course: Course) -> Iterator[Rival]:
    """In memory, as it comes, and with one table of PostgreSQL behind an adapter of ours."""
    home = course.folder / "node"
    home.mkdir()
    for name in ("package.json", "node_oidc_provider.mjs"):
        shutil.copy(HERE / name, home)
    _install(["npm", "install", "--no-audit", "--no-fund", "--silent"], home)
    version = _pinned("package.json", '"oidc-provider": "')
    who = f"node-oidc-provider {version}"
    for kept, address in (("in memory", ""), ("PostgreSQL", course.new())):
        port, codes = free_port(), home / f"codes {kept}"
        command = ["node", "node_oidc_provider.mjs", str(port), str(course.codes), str(codes)]
        if address:
            command.append(_told(address)["DATABASE"])
        server = course.stack.enter_context(servers.running(command, port, _told(address), home, PREPARING))
        yield Rival(ITSELF, who, f"opaque, {kept}", server, _itself(port, "/token", "itself"))
        if not address:
            signed = {"resource": "https://api.example", "scope": "schools.list"}
            yield Rival(ITSELF, who, "ES256 JWT, nothing kept", server, _itself(port, "/token", "itself", **signed))
        yield Rival(CODE, who, f"opaque and ES256, {kept}", server, _codes(port, "/token", codes))


# ── for each of them ──────────────────────────────────────────────────────────────────────────────────────────


def _install(command: list[str], folder: Path) -> None:
    """Raises `RuntimeError`, with the last of what was said, where it does not work."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALLING, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} install: {done.stderr.strip()[-300:]}")


def _pinned(file: str, before: str) -> str:
    """The version that stands in a file behind these words."""
    rest = (HERE / file).read_text("utf-8").partition(before)[2]
    return rest.partition("\n")[0].strip(' ",')


def _told(database: str) -> dict[str, str]:
    plain = database.replace("postgresql+psycopg://", "postgresql://")
    return {"SECRET": SECRET, "CHALLENGE": costs.CHALLENGE, "DATABASE": plain}


def _asked(port: int, at: str, client: str, form: dict[str, str]) -> bytes:
    basic = base64.b64encode(f"{client}:{SECRET}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content_Type": "application/x-www-form-urlencoded"}
    return servers.request("POST", at, port, urlencode(form).encode(), **headers)


def _itself(port: int, at: str, client: str, **more: str) -> Endpoint:
    """A client's requests for tokens of its own."""
    wired = [_asked(port, at, client, {"grant_type": "client_credentials", **more})]
    kinds = [RequestKind(ITSELF, wired, 200, "access_token")]
    return Endpoint(ITSELF, lambda _times: kinds)


def _codes(port: int, at: str, file: Path) -> Endpoint:
    """Requests with the codes of a file, each once."""
    codes = iter(file.read_text("ascii").split())
    form = {"grant_type": "authorization_code", "redirect_uri": costs.CALLBACK, "code_verifier": costs.VERIFIER}

    def make(times: int) -> list[RequestKind]:
        some = [code for code, _ in zip(codes, range(times), strict=False)]
        return [
            RequestKind(
                CODE,
                [_asked(port, at, "web", form | {"code": code}) for code in some],
                200,
                "id_token",
                single_use=True,
            )
        ]

    return Endpoint(CODE, make)
