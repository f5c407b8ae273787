"""`idp clients initial-token`, as an operator types it."""

import json
import stat

import pytest
from click.testing import CliRunner

from idp.partners import initial_tokens
from idp.partners.cli import clients
from tests import factories


@pytest.fixture
def idp(app):
    """`idp("list")` runs the command; returns its result."""

    def run(*arguments):
        return CliRunner().invoke(clients, ["initial-token", *arguments], obj=lambda: app)

    return run


@pytest.fixture
def partner(transaction):
    with transaction():
        return factories.a_partner().name


def test_a_token_is_issued_and_shown_once(idp, partner, transaction):
    arguments = (
        "issue",
        partner,
        "--required",
        "openid email",
        "--optional",
        "attendance",
        "--max-clients",
        "3",
        "--no-pkce",
    )
    body = json.loads(idp(*arguments, "--lasts", "12h", "--json").stdout)
    assert body["most"] == 3
    with transaction():
        policy = initial_tokens.find_usable(body["initial_access_token"])
        assert policy.required == {"openid", "email"}
        assert policy.optional == {"attendance"}
        assert policy.require_pkce is False
    listed = json.loads(idp("list", "--json").stdout)
    assert [entry["id"] for entry in listed] == [body["id"]]
    assert body["initial_access_token"] not in idp("list").output
    assert "initial_access_token" not in listed[0]


def test_the_command_describes_the_token_in_text(idp, partner):
    result = idp("issue", partner, "--required", "openid")
    assert result.exit_code == 0
    assert f"{partner} may register 1 client(s) until" in result.output


def test_the_token_can_be_written_to_a_file_that_only_the_owner_can_read(idp, partner, scratch):
    file = scratch / "token"
    result = idp("issue", partner, "--required", "openid", "--secret-file", str(file))
    token = file.read_text().strip()
    assert token not in result.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_revoked_token_is_listed_as_revoked_and_not_usable(idp, partner, transaction):
    body = json.loads(idp("issue", partner, "--required", "openid", "--json").stdout)
    assert idp("revoke", body["id"]).exit_code == 0
    assert json.loads(idp("list", "--json").stdout)[0]["state"] == "revoked"
    with transaction():
        assert initial_tokens.find_usable(body["initial_access_token"]) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--required", "openid", "--lasts", "soon"), "--lasts"),
        (("--required", "nonsense"), "nonsense"),
        (("--required", "schools.list"), "must stand under client"),
        (("--client", "openid"), "must stand under required or optional"),
        ((), "needs one at least"),
        (("--required", "openid", "--max-clients", "0"), "--max-clients"),
        (("--required", "openid", "--profile", "fapi2", "--no-pkce"), "fapi2"),
    ],
)
def test_invalid_options_are_reported(idp, partner, arguments, words):
    result = idp("issue", partner, *arguments)
    assert result.exit_code in {1, 2}
    assert words in result.output


def test_unknown_names_are_reported(idp):
    assert "There is no partner of that name" in idp("issue", "Nobody", "--required", "openid").output
    assert "There is no initial access token" in idp("revoke", "iat_x").output
    assert "No initial access token was issued yet" in idp("list").output
