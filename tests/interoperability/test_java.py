"""The OAuth 2.0 SDK of Nimbus in Java: a code with PKCE, userinfo, a refresh, and logout, all checked by the SDK.

Its site is in a folder beside this file, with its packages locked. It is left out where Java, Maven or the registry of
packages is not to be had. openidconnect in Rust is a quick start that QUICK_STARTS=all runs: to compile it takes ninety
seconds of processor time.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from tests.interoperability import quick_start_sites as sites
from tests.ports import free_port
from tests.processes import Process

SOURCES = Path(__file__).with_name("java")
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


@pytest.fixture
def site(scene, tmp_path):
    """The address of the site, which is registered and runs."""
    folder = tmp_path / "java"
    shutil.copytree(SOURCES, folder)
    sites.run("mvn", ["-q", "-B", COPY_DEPENDENCIES, "-DoutputDirectory=lib"], folder)
    address = f"http://localhost:{free_port()}"
    client = scene.register(f"{address}/callback", post_logout_redirect_uris=[f"{address}/"])
    environment = os.environ | {
        "ADDRESS": address, "ISSUER": scene.issuer, "SSL_CERT_FILE": scene.trust, "CLIENT_ID": client.client_id,
        "CLIENT_SECRET": client.secret,
    }  # fmt: skip
    log = folder / "log"
    with log.open("wb") as to:
        popen = subprocess.Popen(
            ["java", "-cp", "lib/*", "Partner.java"], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=to,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    process = Process(popen, log)
    try:
        process.until(lambda: responds(address))
        yield address
    finally:
        if popen.poll() is None:
            process.kill()


def responds(address):
    try:
        return requests.get(address, timeout=10).ok
    except requests.RequestException:
        return False


def test_sign_in_refresh_and_logout(scene, browser, site):
    browser.arrives(f"{site}/sign-in")
    assert json.loads(browser.shown.text)["name"] == scene.name
    browser.opens(f"{site}/refresh")
    assert browser.shown.text == "another access token"
    browser.opens(f"{site}/")
    assert json.loads(browser.shown.text)["name"] == scene.name

    browser.opens(f"{site}/sign-out")  # at once, because the hint names this browser's session
    assert browser.shown.url == f"{site}/"
    assert browser.shown.text == "not signed in"
    browser.opens(f"{site}/sign-in")
    assert browser.shown.has("sign-in")
