"""Client metadata (RFC 7591, OpenID Connect Registration), valid and invalid."""

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from idp.partners import metadata

REDIRECT = {"redirect_uris": ["https://partner.example/cb"]}
EC = ECKey.generate_key("P-256", {"kid": "one"})
JWKS = {"keys": [EC.as_dict(private=False)]}
KEYS: list[Any] = [EC, RSAKey.generate_key(2048), OKPKey.generate_key("Ed25519")]
FAPI2 = REDIRECT | {"jwks": JWKS}


@pytest.fixture(autouse=True)
def app_context(app):
    with app.app_context():
        yield


def field_errors(document, **options):
    with pytest.raises(metadata.InvalidMetadata) as refused:
        metadata.to_columns(document, **options)
    return dict(refused.value.field_errors)


def test_omitted_metadata_have_the_defaults_of_the_specification():
    columns = metadata.to_columns(REDIRECT)

    assert columns["grant_types"] == {"authorization_code"}
    assert columns["token_endpoint_auth_method"] == "client_secret_basic"
    assert columns["id_token_signed_response_alg"] == "RS256"
    assert columns["subject_type"] == "public"
    assert columns["rotate_refresh_tokens"] is False


def test_the_fapi2_profile_has_its_own_defaults_and_requires_dpop():
    columns = metadata.to_columns(FAPI2, profile="fapi2")

    assert columns["token_endpoint_auth_method"] == "private_key_jwt"
    assert columns["id_token_signed_response_alg"] == "ES256"
    assert columns["dpop_bound_access_tokens"] is True


def test_a_client_does_not_choose_its_own_profile():
    assert metadata.to_columns(REDIRECT | {"profile": "fapi2"})["profile"] == "oidc"


def test_unknown_members_are_ignored_as_the_specification_says():
    document = REDIRECT | {"request_uris": ["https://partner.example/ro#x"], "software_id": 5}
    assert metadata.to_columns(document) == metadata.to_columns(REDIRECT)


def test_a_member_that_is_null_counts_as_omitted():
    assert metadata.to_columns(REDIRECT | {"jwks_uri": None, "contacts": None}) == metadata.to_columns(REDIRECT)


def test_only_a_public_client_without_dpop_rotates_its_refresh_tokens():
    public = REDIRECT | {"token_endpoint_auth_method": "none"}
    assert metadata.to_columns(public)["rotate_refresh_tokens"] is True
    assert metadata.to_columns(public | {"dpop_bound_access_tokens": True})["rotate_refresh_tokens"] is False


def test_all_errors_are_reported_together_with_their_fields():
    problems = field_errors(
        {
            "redirect_uris": ["https://partner.example/cb", "http://partner.example/cb", "https://x.example/#f"],
            "grant_types": ["implicit"],
            "client_name": "Partner\u202egnp.exe",
            "token_endpoint_auth_method": "tls_client_auth",
            "contacts": [5],
            "jwks": {"keys": []},
            "id_token_encrypted_response_alg": "RSA-OAEP",
            "initiate_login_uri": "http://partner.example/begin",
        }
    )

    assert problems.keys() == {
        "redirect_uris", "grant_types[0]", "client_name", "token_endpoint_auth_method", "contacts[0]", "jwks",
        "id_token_encrypted_response_alg", "initiate_login_uri",
    }  # fmt: skip
    assert "[1] must be https" in problems["redirect_uris"]
    assert "[2] must not have a fragment" in problems["redirect_uris"]


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"redirect_uris": []}, "redirect_uris"),
        ({}, "redirect_uris"),
        (REDIRECT | {"redirect_uris": "https://partner.example/cb"}, "redirect_uris"),
        ({"redirect_uris": [1]}, "redirect_uris[0]"),
        ({"redirect_uris": ["https://partner.example/cb"] * 2}, "redirect_uris"),
        (REDIRECT | {"grant_types": 5}, "grant_types"),
        (REDIRECT | {"grant_types": []}, "grant_types"),
        (REDIRECT | {"grant_types": ["password"]}, "grant_types[0]"),
        (REDIRECT | {"grant_types": ["refresh_token"], "response_types": []}, "grant_types"),
        (REDIRECT | {"response_types": ["token"]}, "response_types[0]"),
        (REDIRECT | {"response_types": []}, "response_types"),
        (REDIRECT | {"grant_types": ["client_credentials"], "response_types": ["code"]}, "response_types"),
        (
            {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"},
            "grant_types",
        ),
        (REDIRECT | {"token_endpoint_auth_signing_alg": "HS256"}, "token_endpoint_auth_signing_alg"),
        (REDIRECT | {"token_endpoint_auth_signing_alg": "none"}, "token_endpoint_auth_signing_alg"),
        (REDIRECT | {"token_endpoint_auth_method": "private_key_jwt"}, "jwks_uri"),
        (REDIRECT | {"jwks": JWKS, "jwks_uri": "https://partner.example/jwks"}, "jwks_uri"),
        (REDIRECT | {"jwks_uri": "http://partner.example/jwks"}, "jwks_uri"),
        (REDIRECT | {"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg"),
        (REDIRECT | {"id_token_signed_response_alg": "HS256"}, "id_token_signed_response_alg"),
        (REDIRECT | {"userinfo_encrypted_response_alg": "RSA-OAEP"}, "userinfo_encrypted_response_alg"),
        (REDIRECT | {"request_object_signing_alg": "none"}, "request_object_signing_alg"),
        (REDIRECT | {"authorization_signed_response_alg": "none"}, "authorization_signed_response_alg"),
        (REDIRECT | {"authorization_encrypted_response_alg": "RSA-OAEP"}, "authorization_encrypted_response_alg"),
        (REDIRECT | {"introspection_signed_response_alg": "PS256"}, "introspection_signed_response_alg"),
        (REDIRECT | {"introspection_encrypted_response_alg": "RSA-OAEP"}, "introspection_encrypted_response_alg"),
        (REDIRECT | {"require_signed_request_object": True}, "require_signed_request_object"),
        (
            REDIRECT | {"tls_client_certificate_bound_access_tokens": True},
            "tls_client_certificate_bound_access_tokens",
        ),
        (REDIRECT | {"backchannel_logout_session_required": "yes"}, "backchannel_logout_session_required"),
        (REDIRECT | {"subject_type": "secret"}, "subject_type"),
        ({"redirect_uris": ["https://a.example/", "https://b.example/"], "subject_type": "pairwise"}, "subject_type"),
    ],
)
def test_invalid_metadata_is_reported_under_its_name(document, name):
    assert list(field_errors(document)) == [name]


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (FAPI2 | {"token_endpoint_auth_method": "client_secret_basic"}, "token_endpoint_auth_method"),
        (FAPI2 | {"token_endpoint_auth_signing_alg": "RS256"}, "token_endpoint_auth_signing_alg"),
        (FAPI2 | {"id_token_signed_response_alg": "RS256"}, "id_token_signed_response_alg"),
        (FAPI2 | {"redirect_uris": ["http://127.0.0.1/cb"]}, "redirect_uris"),
        (FAPI2 | {"request_object_signing_alg": "RS256"}, "request_object_signing_alg"),
        (FAPI2 | {"userinfo_signed_response_alg": "RS256"}, "userinfo_signed_response_alg"),
        (FAPI2 | {"authorization_signed_response_alg": "RS256"}, "authorization_signed_response_alg"),
        (FAPI2 | {"introspection_signed_response_alg": "RS256"}, "introspection_signed_response_alg"),
        (REDIRECT, "jwks_uri"),
    ],
)
def test_the_fapi2_profile_refuses_weaker_methods(document, name):
    assert list(field_errors(document, profile="fapi2")) == [name]


@pytest.mark.parametrize("document", [[], ["redirect_uris"], "text", 5, None])
def test_metadata_that_are_not_an_object_are_refused(document):
    assert list(field_errors(document)) == ["registration"]


def test_the_oauth_error_code_depends_on_the_wrong_field():
    with pytest.raises(metadata.InvalidRedirectUri):
        metadata.to_columns({"redirect_uris": ["javascript:alert(1)"], "grant_types": ["implicit"]})
    with pytest.raises(metadata.InvalidClientMetadata):
        metadata.to_columns(REDIRECT | {"grant_types": ["implicit"]})


def test_error_messages_do_not_quote_what_was_sent():
    problems = field_errors(
        {"redirect_uris": ["https://[canary]/\u00e9"], "client_uri": "javascript:canary", "jwks": {"canary": 1}}
    )
    assert "canary" not in json.dumps(problems)
    assert json.dumps(problems).isprintable()


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
def test_client_assertions_may_be_signed_with_any_alg_that_we_verify(alg):
    document = REDIRECT | {
        "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": alg,
        "jwks": {"keys": [key.as_dict(private=False) for key in KEYS]},
    }  # fmt: skip
    assert metadata.to_columns(document)["token_endpoint_auth_signing_alg"] == alg


@pytest.mark.parametrize(
    "key",
    [
        EC.as_dict(private=True),
        RSAKey.generate_key(1024).as_dict(private=False),
        OctKey.generate_key(256).as_dict(private=True),
        ECKey.generate_key("secp256k1").as_dict(private=False),
        OKPKey.generate_key("X25519").as_dict(private=False),
        {"kty": "RSA"},
        {"kty": "RSA", "n": 5, "e": []},
        {"kty": "EC", "crv": "P-256", "x": "!", "y": "!"},
        {"kid": 5},
        "key",
        None,
    ],
)
def test_keys_that_are_private_weak_or_unreadable_are_refused(key):
    assert list(field_errors(REDIRECT | {"jwks": {"keys": [key]}})) == ["jwks"]


def test_valid_keys_of_every_type_are_accepted():
    jwks = {"keys": [key.as_dict(private=False) for key in [*KEYS, ECKey.generate_key("P-521")]]}
    assert metadata.to_columns(REDIRECT | {"jwks": jwks})["jwks"] == jwks


@pytest.mark.parametrize(
    "members",
    [{"crv": "P-384"}, {"crv": "P-521"}, {"use": "enc"}, {"alg": "ECDH-ES"}],
    ids=str,
)
def test_a_client_that_signs_without_a_key_that_can_sign_is_refused(members):
    curve = members.get("crv", "P-256")
    unusable = ECKey.generate_key(curve).as_dict(private=False) | members | {"kid": "unusable"}
    signing_client = REDIRECT | {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [unusable]}}
    assert "has no key with which it can sign" in field_errors(signing_client)["jwks"]
    assert metadata.to_columns(signing_client | {"jwks": {"keys": [unusable, *JWKS["keys"]]}})
    assert metadata.to_columns(REDIRECT | {"jwks": {"keys": [unusable]}})


@pytest.mark.parametrize(
    ("key_type", "key_members", "registration"),
    [
        ("RSA", {}, {"alg": "ES256"}),
        ("RSA", {"alg": "RS256"}, {"profile": "fapi2"}),
        ("EC", {}, {"alg": "PS256"}),
        ("EC", {"alg": "EdDSA"}, {}),
        ("EC", {"alg": ["ES256"]}, {}),
    ],
    ids=str,
)
def test_a_client_that_signs_without_a_key_for_its_algorithm_is_refused(key_type, key_members, registration):
    generated = RSAKey.generate_key(2048) if key_type == "RSA" else ECKey.generate_key("P-256")
    key = generated.as_dict(private=False) | {"kid": "one"}
    signing_client = REDIRECT | {"token_endpoint_auth_method": "private_key_jwt"}
    registered = {"token_endpoint_auth_signing_alg": registration["alg"]} if "alg" in registration else {}
    profile = registration.get("profile", "oidc")
    assert "jwks" in field_errors(
        signing_client | registered | {"jwks": {"keys": [key | key_members]}}, profile=profile
    )
    assert metadata.to_columns(signing_client | {"jwks": {"keys": [key]}})


def test_keys_with_the_same_kid_and_too_many_keys_are_refused():
    assert "same kid" in field_errors(REDIRECT | {"jwks": {"keys": JWKS["keys"] * 2}})["jwks"]
    assert "1 to 20" in field_errors(REDIRECT | {"jwks": {"keys": JWKS["keys"] * 21}})["jwks"]


def test_the_pairwise_sector_is_the_host_of_the_redirect_uris_or_of_sector_identifier_uri():
    assert metadata.to_columns(REDIRECT | {"subject_type": "pairwise"})["sector_identifier"] == "partner.example"
    document = REDIRECT | {"subject_type": "pairwise", "sector_identifier_uri": "https://sector.example/uris.json"}
    assert metadata.to_columns(document)["sector_identifier"] == "sector.example"
    assert metadata.to_columns(REDIRECT)["sector_identifier"] is None


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("redirect_uris", "https://partner.example/cb?state=1"), ("redirect_uris", "https://partner.example/cb?iss="),
        ("post_logout_redirect_uris", "https://partner.example/out?state=1"),
    ],
)  # fmt: skip
def test_redirect_uris_may_not_contain_parameters_of_the_response(name, uri):
    assert "in its query: we add it" in field_errors(REDIRECT | {name: [uri]})[name]


def test_initiate_login_uri_may_not_contain_our_parameters():
    problems = field_errors(REDIRECT | {"initiate_login_uri": "https://partner.example/go?iss=x"})
    assert "iss" in problems["initiate_login_uri"]


def test_only_a_public_client_may_have_a_post_logout_uri_with_its_own_scheme():
    document = REDIRECT | {"post_logout_redirect_uris": ["uk.example.app:/out", "https://partner.example/out"]}
    assert metadata.to_columns(document | {"token_endpoint_auth_method": "none"})["post_logout_redirect_uris"]
    assert field_errors(document)["post_logout_redirect_uris"].startswith("[0] must be https")
