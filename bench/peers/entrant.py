"""A server in the comparison with peers, and the six kinds of request that are sent to every one of them."""

import base64
import http.client
import json
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from bench import costs, servers
from bench.load import RequestKind
from bench.provider import EXPECTED_TEXTS, Endpoint
from bench.servers import Server

FOLDER: Final = Path(__file__).parent
CLIENT_CREDENTIALS: Final = "client_credentials"
CODE: Final = "code for tokens"
REFRESH: Final = "refresh"
INTROSPECT: Final = "introspection"
USERINFO: Final = "userinfo"
SILENT: Final = "silent authorize"
SECRET: Final = "a-secret-for-the-benchmark-alone"
PERSON: Final = "someone"
SCOPE: Final = "openid offline_access"
"""The scope of requests to peers: the smallest for which there are an ID Token and a refresh token."""
INSTALL_TIMEOUT_SECONDS: Final = 240.0
PREPARE_TIMEOUT_SECONDS: Final = 300.0
"""How long a peer may take to make its codes, or to be built."""

NewDatabase = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Entrant:
    """One measured combination: a server, one of the six kinds of request, and the method by which it is handled."""

    request: str
    """`CLIENT_CREDENTIALS`, `CODE` …"""
    product: str
    """The name and version of the server's software."""
    method: str
    """The kind of token or the storage, for the table."""
    server: Server
    endpoint: Endpoint
    goal: float | None = None
    """The least ratio of our rate per vCPU to that of this server."""
    warm_up_seconds: float = 1.0
    """How long requests are sent before they are counted."""

    @property
    def per_processor(self) -> float:
        """Responses per second of processor time, the median of the runs."""
        return statistics.median(run.per_processor for run in self.endpoint.runs)

    @property
    def rate(self) -> float:
        """Responses per second, the median of the runs."""
        return statistics.median(run.rate for run in self.endpoint.runs)


@dataclass(frozen=True, slots=True)
class Setup:
    """What all servers need: `new_database` makes a PostgreSQL database; `codes` is the number of codes for each."""

    stack: ExitStack
    new_database: NewDatabase
    folder: Path
    codes: int


@dataclass(frozen=True, slots=True)
class Requests:
    """Makes requests for one peer: the paths of its endpoints by `CLIENT_CREDENTIALS`, `REFRESH` …, on `port`."""

    port: int
    paths: Mapping[str, str]
    scope: str = SCOPE

    def client_credentials(self, client: str = "itself", **options: str) -> Endpoint:
        """Token requests with the client credentials grant."""
        return self._posted(CLIENT_CREDENTIALS, client, {"grant_type": "client_credentials", **options}, "access_token")

    def codes(self, codes: Sequence[str]) -> Endpoint:
        """Token requests with these codes, each used once."""
        unused = iter(codes)

        def make(times: int) -> list[RequestKind]:
            requests = [self.post(CODE, "web", _exchange(code)) for code, _ in zip(unused, range(times), strict=False)]
            return [RequestKind(CODE, requests, 200, "id_token", single_use=True)]

        return Endpoint(CODE, make)

    def tokens(self, code: str) -> dict[str, str]:
        """The token response for one code."""
        response = self.send(self.post(CODE, "web", _exchange(code)))
        tokens: dict[str, str] = json.loads(response.body)
        if "access_token" not in tokens:
            raise RuntimeError(f"a code was not exchanged: {response.body[:300]!r}")
        return tokens

    def refresh(self, token: str) -> Endpoint:
        """Token requests with one refresh token, which stays valid."""
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return self._posted(REFRESH, "web", form, "access_token")

    def introspect(self, token: str) -> Endpoint:
        """Introspection of one access token by its client."""
        return self._posted(INTROSPECT, "web", {"token": token}, '"active":true')

    def userinfo(self, token: str) -> Endpoint:
        """Userinfo with one access token."""
        request = servers.request("GET", self.paths[USERINFO], self.port, Authorization=f"Bearer {token}")
        return _repeatable(USERINFO, [request], 200, EXPECTED_TEXTS["userinfo"])

    def silent_authorize(self, cookies: str, status: int) -> Endpoint:
        """Authorization requests with `prompt=none`, by a person who is signed in and has authorised the client."""
        request = servers.request("GET", self.authorize(prompt="none"), self.port, Cookie=cookies)
        return _repeatable(SILENT, [request], status, "code=")

    def authorize(self, **options: str) -> str:
        """The request target of an authorization request."""
        query = {
            "response_type": "code", "client_id": "web", "redirect_uri": costs.CALLBACK, "scope": self.scope,
            "state": "s" * 20, "nonce": "n" * 20, "code_challenge": costs.CHALLENGE, "code_challenge_method": "S256",
            **options,
        }  # fmt: skip
        return f"{self.paths[SILENT]}?{urlencode(query)}"

    def post(self, kind: str, client: str, form: dict[str, str]) -> bytes:
        """A form that a client sends, with its secret."""
        basic = base64.b64encode(f"{client}:{SECRET}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content_Type": "application/x-www-form-urlencoded"}
        return servers.request("POST", self.paths[kind], self.port, urlencode(form).encode(), **headers)

    def send(self, request: bytes) -> "Response":
        """Send one request outside a load."""
        head, _, body = request.partition(b"\r\n\r\n")
        request_line, *lines = head.decode().split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return Response(response.status, response.headers.items(), response.read())
        finally:
            connection.close()

    def _posted(self, kind: str, client: str, form: dict[str, str], text: str) -> Endpoint:
        return _repeatable(kind, [self.post(kind, client, form)], 200, text)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    cookies: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        pairs = [value.partition(";")[0].split("=", 1) for name, value in self.headers if name.lower() == "set-cookie"]
        object.__setattr__(self, "cookies", {name: value for name, value in pairs if value})

    def header(self, name: str) -> str:
        """The value of a header, or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def code(self) -> str:
        """The authorization code in its `Location`. Raises `RuntimeError` if there is none."""
        if match := re.search(r"[?&]code=([^&]+)", self.header("location")):
            return match[1]
        raise RuntimeError(f"no code in the response {self.status}: {self.header('location') or self.body[:300]!r}")


def install(command: list[str], folder: Path) -> None:
    """Run an installer. Raises `RuntimeError` with the end of its output if it fails."""
    process = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS, check=False
    )
    if process.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: {(process.stderr or process.stdout).strip()[-300:]}")


def copy(folder: Path, *names: str) -> None:
    """Copy files that lie beside this one into a folder, which is made."""
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(FOLDER / name, folder)


def pinned_version(file: str, before: str) -> str:
    """The version in a file after the text `before`."""
    rest = (FOLDER / file).read_text("utf-8").partition(before)[2]
    return rest.partition("\n")[0].strip(' ",')


def environment(database: str) -> dict[str, str]:
    """Environment variables for a peer's script: the database's address without our driver's name, and the secret."""
    plain = database.replace("postgresql+psycopg://", "postgresql://")
    return {"SECRET": SECRET, "CHALLENGE": costs.CHALLENGE, "DATABASE": plain, "PERSON": PERSON}


def _repeatable(kind: str, requests: Sequence[bytes], status: int, text: str) -> Endpoint:
    kinds = [RequestKind(kind, requests, status, text)]
    return Endpoint(kind, lambda _times: kinds)


def _exchange(code: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code", "redirect_uri": costs.CALLBACK, "code_verifier": costs.VERIFIER,
        "code": code,
    }  # fmt: skip
