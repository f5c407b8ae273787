"""openid-client in Node and go-oidc in Go: a code with PKCE, userinfo, a refresh, and logout.

Each is a small site in a folder beside this file, with its packages locked. It is built in a folder for the test, and
left out where its language or the registry of its packages is not to be had.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.ports import free_port
from tests.processes import Process

HERE = Path(__file__).parent
AWAY = (
    "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "E403", "E404", "dial tcp", "no such host", "i/o timeout",
    "403 Forbidden", "404 Not Found", "requires go >=",
)  # fmt: skip
"""How npm and go say that packages, or a newer Go, cannot be fetched; anything else is a fault of ours."""


def built_in_node(folder: Path) -> list[str]:
    _run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    return [_program("node"), "partner.mjs"]


def built_in_go(folder: Path) -> list[str]:
    _run(
        "go",
        ["build", "-mod=readonly", "-o", "partner", "."],
        folder,
        GOTOOLCHAIN="local",
        GOWORK="off",
        CGO_ENABLED="0",
    )
    return [str(folder / "partner")]


SITES: dict[str, Callable[[Path], list[str]]] = {"node": built_in_node, "go": built_in_go}


@pytest.fixture(scope="module", params=list(SITES))
def site(request, tmp_path_factory):
    """The command that runs the site, and the folder it is in."""
    folder = tmp_path_factory.mktemp("partner") / request.param
    shutil.copytree(HERE / request.param, folder, ignore=shutil.ignore_patterns("node_modules"))
    return SITES[request.param](folder), folder


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"left out: no {name} on this machine")
    return path


def _run(name: str, words: list[str], folder: Path, **environment: str) -> None:
    result = subprocess.run(
        [_program(name), *words], cwd=folder, env=os.environ | environment, capture_output=True, text=True,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if result.returncode and any(sign in result.stderr for sign in AWAY):
        pytest.skip(f"left out: {name} cannot have what it needs: {result.stderr.strip()[-300:]}")
    assert result.returncode == 0, result.stdout + result.stderr


@contextmanager
def running(command: list[str], folder: Path, address: str, **environment: str) -> Iterator[None]:
    """The site at `address`, until the block ends."""
    log = folder / "log"
    with log.open("wb") as to:
        popen = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment | {"ADDRESS": address}, stdin=subprocess.DEVNULL,
            stdout=to, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    process = Process(popen, log)
    try:
        process.until(lambda: _answers(address))
        yield
    finally:
        if popen.poll() is None:
            process.kill()


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=10).ok
    except requests.RequestException:
        return False


def test_sign_in_refresh_and_logout(site, scene, browser):
    command, folder = site
    at = f"http://localhost:{free_port()}"
    registered = scene.register(f"{at}/callback", post_logout_redirect_uris=[f"{at}/"])
    trust = {"NODE_EXTRA_CA_CERTS": scene.trust, "SSL_CERT_FILE": scene.trust}
    with running(
        command,
        folder,
        at,
        ISSUER=scene.issuer,
        CLIENT_ID=registered.client_id,
        CLIENT_SECRET=registered.secret,
        **trust,
    ):
        browser.arrives(f"{at}/sign-in")
        assert json.loads(browser.shown.text)["name"] == scene.name
        browser.opens(f"{at}/refresh")
        assert browser.shown.text == "another access token"
        browser.opens(f"{at}/")
        assert json.loads(browser.shown.text)["name"] == scene.name

        browser.opens(f"{at}/sign-out")  # at once, because the hint names this browser's session
        assert browser.shown.url == f"{at}/"
        assert browser.shown.text == "not signed in"
        browser.opens(f"{at}/sign-in")
        assert browser.shown.has("sign-in")
