"""The manifest an operator registers a client from."""

from typing import Any

import pytest

from idp.foundation.setting_types import ROOT
from idp.partners import manifest, mis_catalogue, registry, resources
from idp.partners.metadata import InvalidClientMetadata, InvalidMetadata
from tests.factories import a_partner
from tests.partners.manifests import a_manifest


@pytest.fixture(autouse=True)
def app_context(app):
    with app.app_context():
        yield


def field_errors(document):
    with pytest.raises(InvalidMetadata) as refused:
        manifest.parse_manifest(document)
    return dict(refused.value.field_errors)


def test_the_example_in_the_documentation_registers(transaction):
    example = manifest.read_file(ROOT / "clients" / "assembly" / "client.toml")
    with transaction():
        a_partner(name="Assembly")
        client, secret = registry.register(example)

        assert client.id == example["client_id"]
        assert secret is None, "it signs with a key of its own"
        assert client.optional_scopes >= {"students.sen", "assessment"}
        assert all(registry.allows_redirect(client, uri) for uri in example["redirect_uris"])


def test_names_missing_from_the_example_are_optional():
    assert manifest.parse_manifest(a_manifest()).columns()["authorisation_days"] is None


def test_a_misspelt_name_is_an_error():
    problems = field_errors(
        a_manifest(redirect_urls=["x"], scopes={"required": ["openid", "offline_access"], "wanted": []})
    )
    assert problems == {"redirect_urls": "there is no such name", "scopes.wanted": "there is no such name"}


def test_claims_in_id_tokens_are_none_unless_they_are_named():
    assert manifest.parse_manifest(a_manifest()).columns()["id_token_claims"] == frozenset()
    parsed = manifest.parse_manifest(a_manifest(id_token_claims=["email", "email_verified"])).columns()
    assert parsed["id_token_claims"] == {"email", "email_verified"}


def test_claims_in_id_tokens_that_do_not_exist_or_lack_their_scope_are_refused():
    problems = field_errors(a_manifest(id_token_claims=["email", "shoe_size"]))
    assert problems["id_token_claims"].startswith("cannot have shoe_size; there are name, given_name, ")
    problems = field_errors(a_manifest(id_token_claims=["email", "name", "role"]))
    assert problems == {"id_token_claims": "needs the scopes organisation, profile, under required or optional"}


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_method_that_sends_a_secret_can_be_pinned(method):
    document = a_manifest(token_endpoint_auth_method=method, pin_token_endpoint_auth_method=True)
    assert manifest.parse_manifest(document).columns()["pin_token_endpoint_auth_method"]
    assert not manifest.parse_manifest(a_manifest()).columns()["pin_token_endpoint_auth_method"]


@pytest.mark.parametrize("method", ["none", "client_secret_jwt"])
def test_other_methods_cannot_be_pinned(method):
    problems = field_errors(a_manifest(token_endpoint_auth_method=method, pin_token_endpoint_auth_method=True))
    assert problems["pin_token_endpoint_auth_method"].startswith("is for client_secret_basic and client_secret_post")


def test_members_that_schools_are_shown_are_required():
    required = [
        "partner",
        "client_name",
        "client_uri",
        "policy_uri",
        "purpose",
        "agreement_uri",
        "agreement_version",
        "scopes",
    ]
    problems = field_errors(a_manifest(**dict.fromkeys(required)))
    assert problems == dict.fromkeys(required, "is missing")


@pytest.mark.parametrize(
    ("scopes", "name"),
    [
        ({"required": ["openid", "offline_access", "pupils"]}, "scopes.required"),
        ({"required": ["openid", "offline_access", "events"]}, "scopes.required"),
        ({"required": ["openid", "offline_access"], "client": ["students"]}, "scopes.client"),
        ({"required": ["openid", "offline_access"], "optional": ["openid"]}, "scopes.optional"),
        ({"required": "openid"}, "scopes.required"),
        ({"required": ["openid"]}, "scopes"),
        ({"optional": ["openid", "offline_access"]}, "scopes"),
        ({"required": ["openid", "offline_access"], "client": ["events"]}, "scopes"),
    ],
)
def test_scopes_that_do_not_exist_or_are_not_allowed_are_errors(scopes, name):
    assert list(field_errors(a_manifest(scopes=scopes))) == [name]


@pytest.mark.parametrize(
    "overrides",
    [
        {"client_id": "adm_abcdefghijklmnop"},
        {"client_id": "UPPER"},
        {"client_id": "a b"},
        {"client_id": "x" * 65},
        {"accepted_mis": ["sims", "abacus"]},
        {"authorisation_days": 0},
        {"authorisation_days": 10_000},
        {"require_pkce": False, "token_endpoint_auth_method": "none"},
        {"rotate_refresh_tokens": False, "token_endpoint_auth_method": "none"},
        {"purpose": "short"},
        {"purpose": "two\nlines of a purpose"},
        {"profile": "fapi1"},
        {"resource": "http://data.example", "resource_scopes": ["school"]},
        {"resource": "https://data.example#a", "resource_scopes": ["school"]},
        {"resource": "http://localhost:5000", "resource_scopes": ["school"]},
        {"resource": "https://data.example", "resource_scopes": ["school"], "token_endpoint_auth_method": "none"},
        {"resource_scopes": ["school"]},
        {"resource_scopes": [], "resource": "https://data.example"},
        {"resource_scopes": ["email"], "resource": "https://data.example"},
        {"resource_scopes": ["pupils"], "resource": "https://data.example"},
    ],
)
def test_invalid_values_are_reported_under_their_names(overrides):
    assert set(field_errors(a_manifest(**overrides))) == {next(iter(overrides))}


def test_a_client_credentials_client_needs_no_redirect_uris_and_data_areas():
    parsed = manifest.parse_manifest(
        a_manifest(redirect_uris=None, grant_types=["client_credentials"], scopes={"client": ["schools.list"]})
    )
    assert parsed.columns()["client_scopes"] == {"schools.list"}


API = {"resource": "https://data.example", "resource_scopes": ["school", "schools.list"]}


def test_a_resource_server_needs_no_grants_redirect_uris_and_scopes():
    alone: dict[str, Any] = {"grant_types": [], "redirect_uris": None, "scopes": {}}
    columns = manifest.parse_manifest(a_manifest(**alone, **API)).columns()
    assert (columns["resource"], columns["resource_scopes"]) == ("https://data.example", {"school", "schools.list"})
    assert set(field_errors(a_manifest(**alone))) == {"resource"}


def test_the_scopes_of_an_api_are_served_while_one_of_its_clients_is_enabled(transaction):
    with transaction():
        a_partner(name="Assembly")
        for name in ("one-host", "another-host"):
            registry.register(a_manifest(client_id=name, **API))
        assert resources.served_scopes() == {"https://data.example": {"school", "schools.list"}}
        assert resources.serving({"school", "email"}) == {"https://data.example"}
        assert resources.serving({"students"}) == set()
        registry.disable("one-host", by="test")
        assert resources.served_scopes()
        registry.disable("another-host", by="test")
        assert resources.served_scopes() == {}


def test_a_confidential_client_may_go_without_pkce_and_may_rotate_refresh_tokens():
    columns = manifest.parse_manifest(a_manifest(require_pkce=False, rotate_refresh_tokens=True)).columns()
    assert (columns["require_pkce"], columns["rotate_refresh_tokens"]) == (False, True)


def test_a_file_that_is_not_toml_is_reported_by_name(scratch):
    file = scratch / "client.toml"
    file.write_text("partner = ")
    with pytest.raises(InvalidClientMetadata, match=r"client\.toml"):
        manifest.read_file(file)


def test_the_catalogue_of_systems_has_those_our_endpoint_reads():
    readable = [code for code, entry in mis_catalogue.catalogue().items() if entry.endpoint]
    assert readable == ["sims", "cmis", "pupil_asset", "isams", "arbor"]
    assert {"bromcom", "seemis", "c2k", "other", "none"} <= mis_catalogue.catalogue().keys()


def test_names_of_systems_are_joined_by_commas_and_or():
    assert mis_catalogue.names({"arbor", "isams"}) == "iSAMS or Arbor"
    assert mis_catalogue.names({"arbor", "isams", "sims"}) == "SIMS, iSAMS or Arbor"
    assert mis_catalogue.names({"sims"}) == "SIMS"
    assert mis_catalogue.name("sims") == "SIMS"
    assert mis_catalogue.name(None) == "not known"
