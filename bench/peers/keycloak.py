"""Keycloak, from Maven Central, on PostgreSQL, as it is set up by itself: sessions in its cache and in the database."""

import html
import re
import shutil
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode, urlsplit

from bench import servers
from bench.peers import entrant
from bench.peers.entrant import (
    CLIENT_CREDENTIALS,
    CODE,
    INTROSPECT,
    PERSON,
    REFRESH,
    SECRET,
    SILENT,
    USERINFO,
    Entrant,
    Requests,
    Setup,
)
from tests.ports import free_port

VERSION: Final = "26.7.3"
REALM: Final = "/realms/bench/protocol/openid-connect"
PATHS: Final = {
    CLIENT_CREDENTIALS: f"{REALM}/token", CODE: f"{REALM}/token", REFRESH: f"{REALM}/token",
    INTROSPECT: f"{REALM}/token/introspect", USERINFO: f"{REALM}/userinfo", SILENT: f"{REALM}/auth",
}  # fmt: skip
GOAL: Final = 1.0
"""The least ratio of our rate per vCPU to its own."""
WARM_UP_SECONDS: Final = 5.0
"""For Java to compile what it runs often."""


def entrants(setup: Setup) -> Iterator[Entrant]:
    """All six kinds of request, signed with ES256."""
    home = setup.folder / f"keycloak-{VERSION}"
    _install(setup)
    port = free_port()
    server = setup.stack.enter_context(
        servers.running(
            [str(home / "bin" / "kc.sh"), "start", "--import-realm"],
            port,
            _settings(setup.new_database(), port),
            home,
            entrant.PREPARE_TIMEOUT_SECONDS,
        )
    )
    requests = Requests(port, PATHS, scope="openid")
    cookies = _sign_in(requests)
    silent = requests.silent_authorize(cookies, 302)
    request = silent.make(1)[0].requests[0]
    codes = [requests.send(request).code() for _ in range(setup.codes)]
    tokens = requests.tokens(codes.pop())
    for method, endpoint in (
        ("ES256 JWT", requests.client_credentials()),
        ("ES256 three times", requests.codes(codes)),
        ("ES256 twice and HS512", requests.refresh(tokens["refresh_token"])),
        ("ES256 JWT", requests.introspect(tokens["access_token"])),
        ("ES256 JWT", requests.userinfo(tokens["access_token"])),
        ("code in its cache", silent),
    ):
        yield Entrant(
            endpoint.name, f"Keycloak {VERSION}", f"{method}, PostgreSQL", server, endpoint, GOAL, WARM_UP_SECONDS
        )


def _install(setup: Setup) -> None:
    """Download and unpack it, with the realm in its folder for imports."""
    artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
    copy = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={setup.folder}"]
    entrant.install(copy, setup.folder)
    entrant.install(["unzip", "-q", f"keycloak-quarkus-dist-{VERSION}.zip"], setup.folder)
    realm = setup.folder / f"keycloak-{VERSION}" / "data" / "import" / "realm.json"
    realm.parent.mkdir(parents=True)
    shutil.copy(entrant.FOLDER / "keycloak_realm.json", realm)


def _settings(database: str, port: int) -> dict[str, str]:
    at = urlsplit(entrant.environment(database)["DATABASE"])
    return {
        "KC_DB": "postgres",
        "KC_DB_URL": f"jdbc:postgresql://{at.hostname}:{at.port}{at.path}",
        "KC_DB_USERNAME": str(at.username),
        "KC_DB_PASSWORD": "",
        "KC_CACHE": "local",
        "KC_HTTP_ENABLED": "true",
        "KC_HTTP_HOST": "127.0.0.1",
        "KC_HTTP_PORT": str(port),
        "KC_HOSTNAME": f"http://127.0.0.1:{port}",
        "SECRET": SECRET,
        "PERSON": PERSON,
    }


def _sign_in(requests: Requests) -> str:
    """Sign the person in by its form; returns the cookies."""
    page = requests.send(servers.request("GET", requests.authorize(), requests.port))
    form = re.search(r'action="([^"]+)"', page.body.decode())
    if form is None:
        raise RuntimeError(f"Keycloak shows no form: {page.status} {page.body[:300]!r}")
    at = urlsplit(html.unescape(form[1]))
    typed = urlencode({"username": PERSON, "password": SECRET}).encode()
    headers = {"Cookie": _header(page.cookies), "Content_Type": "application/x-www-form-urlencoded"}
    response = requests.send(servers.request("POST", f"{at.path}?{at.query}", requests.port, typed, **headers))
    response.code()
    return _header(page.cookies | response.cookies)


def _header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
