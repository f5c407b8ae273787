"""Ports, environment variables and files of a demonstration."""

import socket
from contextlib import closing

import pytest

from idp.demo import services
from idp.demo.services import InvalidPort
from tests.ports import free_port


@pytest.fixture
def listener():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free_ports():
    return [free_port() for _ in range(6)]


def with_ports(*ports):
    names = ("IDP_SERVER", "ASSEMBLY", "MAILBOX", "XPORTER", "SCHOOLBOOKING", "MAILBOX_SMTP")
    settings = [f"{name}__PORT" if name == "IDP_SERVER" else f"{name}_PORT" for name in names]
    return services.from_environment(dict(zip(settings, map(str, ports), strict=True)))


def test_a_busy_port_is_named_with_the_setting_that_changes_it(listener, free_ports):
    [problem] = services.port_problems(with_ports(free_ports[0], listener, *free_ports[1:5]))

    assert f"Port {listener} is in use" in problem
    assert "Assembly" in problem
    assert "ASSEMBLY_PORT=" in problem


def test_every_busy_port_is_named_at_once(listener, free_ports):
    with closing(socket.create_server(("127.0.0.1", 0))) as another:
        problems = services.port_problems(
            with_ports(listener, free_ports[0], another.getsockname()[1], *free_ports[1:4])
        )

    assert ["IDP_SERVER__PORT" in problems[0], "MAILBOX_PORT" in problems[1]] == [True, True]


def test_a_port_that_is_set_twice_is_reported(free_ports):
    [problem] = services.port_problems(with_ports(free_ports[0], free_ports[1], free_ports[1], *free_ports[2:5]))

    assert "ASSEMBLY_PORT and by MAILBOX_PORT" in problem


def test_free_ports_have_no_problem(free_ports):
    assert services.port_problems(with_ports(*free_ports)) == []


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "-1", "²"])
def test_an_invalid_port_is_reported_with_its_setting(text):
    with pytest.raises(InvalidPort, match="MAILBOX_PORT"):
        services.from_environment({"MAILBOX_PORT": text})


def test_the_issuer_follows_the_port_unless_it_is_set():
    where = with_ports(5100, 5101, 5102, 5103, 5104, 5105)

    assert services.provider_environment(where, {})["IDP_SERVER__ISSUER"] == "http://localhost:5100"
    own = {"IDP_SERVER__ISSUER": "https://idp.example"}
    assert services.provider_environment(where, own)["IDP_SERVER__ISSUER"] == "https://idp.example"


def test_only_a_database_below_var_is_cleared(settings):
    def at(url):
        changed = settings.database.model_copy(update={"url": url})
        return services.database_files(settings.model_copy(update={"database": changed}))

    assert [file.name for file in at("sqlite:///var/idp.sqlite3")][:2] == ["idp.sqlite3", "idp.sqlite3-wal"]
    assert at("sqlite:////home/somebody/idp.sqlite3") == []
    assert at("postgresql+psycopg://idp@localhost/idp") == []
