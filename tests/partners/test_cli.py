"""`idp partners` and `idp clients`, as an operator types them."""

import json
import stat
import tomllib
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from idp.partners import registry
from idp.partners.cli import clients, partners
from tests.partners.manifests import example_with_secret


class RegisteredClient(NamedTuple):
    """The id and the secret of a client."""

    id: str
    secret: str


@pytest.fixture
def example_file(scratch):
    """The file of the example manifest, of a client with a secret."""
    file = scratch / "example.toml"
    file.write_text(example_with_secret(), "utf-8")
    return str(file)


@pytest.fixture
def idp(app):
    """`idp("clients", "list")` runs the command; returns its result."""

    def run(group, *arguments):
        return CliRunner().invoke({"partners": partners, "clients": clients}[group], arguments, obj=lambda: app)

    return run


@pytest.fixture
def registered_client(idp, example_file):
    """A client that was registered from the example."""
    assert idp("partners", "add", "Assembly", "--website", "https://a.example", "--email", "d@a.example").exit_code == 0
    result = idp("clients", "register", example_file, "--json")
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    return RegisteredClient(body["client_id"], body["client_secret"])


def is_secret_accepted(client_id, secret):
    client = registry.client(client_id)
    return client is not None and registry.secret_matches(client, secret)


def test_a_client_is_registered_and_its_secret_shown_once(idp, registered_client, transaction):
    client_id, secret = registered_client
    with transaction():
        assert is_secret_accepted(client_id, secret)
    for arguments in (["list"], ["list", "--json"], ["show", client_id], ["show", client_id, "--json"]):
        result = idp("clients", *arguments)
        assert client_id in result.stdout
        assert secret not in result.stdout


def test_a_new_secret_is_printed_as_text(idp, registered_client):
    result = idp("clients", "rotate-secret", registered_client.id, "--overlap", "12h")
    assert result.exit_code == 0
    assert "client_secret  " in result.stdout
    assert "not shown again" in result.stdout
    assert "old secret works until" in result.stdout


def test_terms_of_service_are_shown_and_logos_are_not(idp, registered_client):
    body = json.loads(idp("clients", "show", registered_client.id, "--json").stdout)

    assert "tos_uri" in body
    assert "logo_uri" not in body


def test_the_claims_in_id_tokens_are_registered_and_shown(idp, registered_client, scratch):
    manifest = scratch / "client.toml"
    text = example_with_secret()
    manifest.write_text(text.replace("id_token_claims = []", 'id_token_claims = ["name", "email"]'), "utf-8")
    assert idp("clients", "update", str(manifest)).exit_code == 0
    body = json.loads(idp("clients", "show", registered_client.id, "--json").stdout)
    assert body["id_token_claims"] == ["email", "name"]
    assert body["pin_token_endpoint_auth_method"] is False


def test_the_secret_can_be_written_to_a_file_that_only_the_owner_can_read(idp, registered_client, scratch, transaction):
    file = scratch / "secret"
    file.write_text("old and readable by all")
    file.chmod(0o644)
    result = idp("clients", "rotate-secret", registered_client.id, "--secret-file", str(file))

    secret = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret not in result.stdout
    with transaction():
        assert is_secret_accepted(registered_client.id, secret)


def test_a_manifest_of_an_unknown_partner_is_refused_with_the_command_to_add_one(idp, example_file):
    result = idp("clients", "register", example_file)
    assert result.exit_code == 1
    assert "idp partners add" in result.stderr


def test_all_errors_of_a_manifest_are_reported_and_nothing_is_registered(idp, registered_client, scratch):
    manifest = scratch / "client.toml"
    manifest.write_text('partner = "Assembly"\nredirect_uris = ["javascript:1"]\npurpos = "x"\n')
    result = idp("clients", "register", str(manifest))

    assert result.exit_code == 1
    for name in ("redirect_uris", "purpos: there is no such name", "client_name: is missing", "scopes: is missing"):
        assert name in result.stderr
    assert len(json.loads(idp("clients", "list", "--json").stdout)) == 1


def test_the_keys_of_the_help_text_register_a_client_in_toml_and_in_json(idp, registered_client, scratch):
    help_text = clients.commands["register"].help.replace("\b\n", "")
    in_toml, in_json = (part for part in help_text.split("\n\n") if "[[jwks" in part or '"jwks"' in part)
    keys = json.loads(f"{{{in_json}}}")["jwks"]
    assert tomllib.loads(in_toml.strip())["jwks"] == keys
    manifest = tomllib.loads(example_with_secret())
    manifest |= {"client_id": "in-json", "token_endpoint_auth_method": "private_key_jwt", "jwks": keys}
    manifest["grant_types"] = ["authorization_code", "refresh_token", "client_credentials"]
    del manifest["scopes"]
    file = scratch / "client.json"
    file.write_text(json.dumps(manifest | {"scope": "openid email offline_access schools.list"}), "utf-8")

    result = idp("clients", "register", str(file))
    assert result.exit_code == 0, result.output
    shown = json.loads(idp("clients", "show", "in-json", "--json").stdout)
    assert (shown["required_scopes"], shown["client_scopes"]) == (
        ["openid", "email", "offline_access"],
        ["schools.list"],
    )
    assert shown["tos_uri"] == "https://assembly.example/terms"
    in_words = idp("clients", "show", "in-json").stdout
    (line,) = (line for line in in_words.splitlines() if line.startswith("jwks  "))
    assert json.loads(line.partition("{")[1] + line.partition("{")[2]) == keys


def test_registering_twice_is_refused_and_updating_is_not(idp, registered_client, example_file):
    assert idp("clients", "register", example_file).exit_code == 1
    result = idp("clients", "update", example_file)
    assert result.exit_code == 0, result.output
    assert "client_secret" not in result.stdout


def test_clients_and_partners_are_disabled_and_enabled(idp, registered_client, transaction):
    client_id, _ = registered_client
    for group, command, name, enabled in (
        ("clients", "disable", client_id, False),
        ("clients", "enable", client_id, True),
        ("partners", "disable", "Assembly", False),
        ("partners", "enable", "Assembly", True),
    ):
        assert idp(group, command, name).exit_code == 0
        with transaction():
            assert bool(registry.client(client_id)) is enabled


@pytest.mark.parametrize(
    "arguments",
    [
        ("clients", "show", "unknown"),
        ("clients", "disable", "unknown"),
        ("clients", "rotate-secret", "unknown"),
        ("partners", "disable", "unknown"),
    ],
)
def test_unknown_names_are_reported_with_exit_code_1(idp, arguments):
    result = idp(*arguments)
    assert result.exit_code == 1
    assert "There is no" in result.stderr


@pytest.mark.parametrize("overlap", ["", "7", "d", "-1d", "1w", "1.5h", "99999d"])
def test_an_overlap_without_a_number_and_a_unit_or_out_of_bounds_is_refused(idp, registered_client, overlap):
    result = idp("clients", "rotate-secret", registered_client.id, "--overlap", overlap)
    assert result.exit_code == 2


def test_lists_without_entries_say_that_there_are_none(idp):
    assert "No partner was added yet" in idp("partners", "list").stdout
    assert "No client was registered yet" in idp("clients", "list").stdout


def test_every_command_has_a_help_text_of_some_length():
    for group in (partners, clients):
        for command in group.commands.values():
            assert len(command.help or "") > 15, command.name
