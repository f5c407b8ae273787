"""A password for our host in `.netrc` never replaces the header `Authorization` of our programs."""

from pathlib import Path
from typing import NamedTuple

import pytest
from flask import Flask, jsonify, request

from clients.assembly import provider as assembly
from clients.endpoint.connection import Connection
from clients.endpoint.dpop import Key
from clients.endpoint.http_session import new_session
from clients.endpoint.readers import isams
from clients.endpoint.readers.credentials import Credentials
from clients.xporter.keys import Keys
from clients.xporter.provider import Provider
from clients.xporter.settings import Settings
from tests.ports import free_port
from tests.serving import serving


class RecordingServer(NamedTuple):
    """A server's URL, and the `Authorization` header of each request that it received."""

    url: str
    received: list[str]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server, where `.netrc` has a password for its host."""
    port, app, received = free_port(), Flask("server"), []
    url = f"http://localhost:{port}"

    @app.route("/<path:_path>", methods=["GET", "POST"])
    def record_request(_path):
        received.append(request.headers.get("Authorization", ""))
        return jsonify(issuer=url, token_endpoint=f"{url}/token", access_token="ours", token_type="Bearer")

    (tmp_path / "netrc").write_text("machine localhost login somebody password else")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(app, port):
        yield RecordingServer(url, received)


def test_xporter_on_demand_sends_its_own_token(server, tmp_path):
    url, received = server
    settings = Settings(url, "xporter", "https://api.example", 1, tmp_path)
    Provider(settings, Keys(Path(tmp_path) / "keys")).call_as_client("POST", "/api/reads", scope="reads.report")
    assert received == ["", "", "Bearer ours"]


def test_the_endpoint_sends_its_own_token(server, tmp_path):
    url, received = server
    connection = Connection(Key(Key.generate()))
    connection.send("GET", f"{url}/api/endpoint", access_token="bound")
    connection.send("POST", f"{url}/token", data={"client_id": "xporter-endpoint"})
    assert received == ["DPoP bound", ""]


def test_the_endpoint_sends_a_management_information_system_its_token(server):
    url, received = server
    token = isams._Token(url, Credentials("id", "secret"))
    new_session().get(f"{url}/students", headers=token.headers(renew=False))
    assert received == ["", "Bearer ours"]


def test_assembly_sends_its_own_token(server):
    url, received = server
    assembly._send("GET", f"{url}/userinfo", headers={"Authorization": "DPoP bound"})
    assert received == ["DPoP bound"]
