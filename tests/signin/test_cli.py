"""`idp operators`, as an operator types it."""

import json

import pytest
from click.testing import CliRunner

from idp.cli import main


@pytest.fixture
def idp(app, monkeypatch):
    """`idp("operators", "list")` runs the command on the application of the test."""
    monkeypatch.setattr("idp.cli._create_app", lambda: app)
    return lambda *arguments: CliRunner().invoke(main, arguments)


def test_an_operator_is_added_listed_and_disabled(idp):
    added = idp("operators", "add", "Sam Jones", "sam@idaas.example")
    assert added.exit_code == 0
    assert "http://localhost:5000/set-up/" in added.output

    assert "sam@idaas.example" in idp("operators", "list").output
    assert json.loads(idp("operators", "list", "--json").output)[0]["disabled"] is None
    assert idp("operators", "disable", "SAM@idaas.example").exit_code == 0
    assert json.loads(idp("operators", "list", "--json").output)[0]["disabled"]


def test_an_internationalised_domain_is_stored_as_mail_servers_read_it(idp):
    added = json.loads(idp("operators", "add", "Sam Jones", "sam@bücher.example", "--json").output)

    assert added["email"] == "sam@xn--bcher-kva.example"
    assert idp("operators", "disable", "sam@BÜCHER.example").exit_code == 0


def test_the_link_is_in_the_json_output(idp):
    added = json.loads(idp("operators", "add", "Sam Jones", "sam@idaas.example", "--json").output)

    assert added["link"].startswith("http://localhost:5000/set-up/")
    assert added["id"].startswith("opr_")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("operators", "add", "Sam", "not an address"), 2, "EMAIL"),
        (("operators", "add", "Sam"), 2, "EMAIL"),
        (("operators", "add", "Sam", "säm@idaas.example"), 2, "plain letters"),
        (("operators", "disable", "unknown@idaas.example"), 1, "no operator with that address"),
        (("operators", "list"), 0, "There are no operators yet."),
    ],
)
def test_errors_are_reported_with_an_exit_code(idp, arguments, code, message):
    result = idp(*arguments)

    assert result.exit_code == code
    assert message in result.output


@pytest.mark.parametrize("command", ["add", "list", "disable"])
def test_every_command_has_a_help_text(idp, command):
    result = idp("operators", command, "--help")

    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5
