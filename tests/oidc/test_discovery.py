"""The metadata document is true and complete."""

from datetime import timedelta

import pytest
from joserfc.jwk import ECKey

from idp.estabs import people
from idp.foundation import scopes
from idp.oidc.endpoints import discovery
from tests import factories
from tests.oidc.signing import Signer, jwks, key, sign_jws
from tests.oidc.support import (
    ISSUER,
    follow_redirects,
    jwt_header,
    obtain_tokens,
    press,
    redirect_parameters,
    sign_in,
    sign_in_and_authorise,
)
from tests.signin.apps import an_app

PATHS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")


@pytest.fixture
def metadata(web):
    return web.get(PATHS[0]).json


def test_both_paths_serve_the_document_of_the_configured_issuer(web, metadata):
    assert web.get(PATHS[1]).json == metadata
    assert metadata["issuer"] == ISSUER
    assert web.get(PATHS[0], headers={"Host": "evil.example"}).status_code == 400


def test_every_advertised_endpoint_responds(web, metadata):
    for name, url in metadata.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            path = url.removeprefix(ISSUER)
            assert {web.get(path).status_code, web.post(path).status_code} != {404}, name
            assert web.get(path).status_code != 404, name


def test_every_protocol_route_is_advertised(app, metadata):
    routes = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert {name for name, route in discovery.ENDPOINTS.items() if route in routes} <= set(metadata)


def test_exactly_the_advertised_grants_are_supported(web, world, metadata):
    for grant in ("authorization_code", "refresh_token", "client_credentials", "password", "implicit",
                  "urn:ietf:params:oauth:grant-type:device_code"):  # fmt: skip
        error = world.partner.post(web, "/oauth/token", {"grant_type": grant}).json["error"]
        assert (error != "unsupported_grant_type") == (grant in metadata["grant_types_supported"]), grant


def test_the_advertised_authentication_methods_work_at_their_endpoints(web, world, metadata):
    public = world.new_partner(token_endpoint_auth_method="none")
    for name, path in (("token", "token"), ("revocation", "revoke"), ("introspection", "introspect")):
        methods = metadata[f"{name}_endpoint_auth_methods_supported"]
        response = public.post(web, f"/oauth/{path}", {"token": "x", "grant_type": "x"})
        assert ("none" in methods) == (response.status_code != 401), name


@pytest.mark.usefixtures("clock")  # must come before the fixture `world`
def test_every_advertised_scope_may_be_requested(web, world, metadata, clock):
    assert "openid" in metadata["scopes_supported"]
    with world.transaction():  # some are specially protected
        app = an_app(world.person)
    clock.move(timedelta(seconds=30))
    press(web, follow_redirects(web, sign_in(web, web.get("/sign-in"), world.username)), "sign-in", code=app.code())
    partner = world.new_partner(required_scopes=frozenset(metadata["scopes_supported"]), optional_scopes=frozenset())
    params = sign_in_and_authorise(web, partner, world.username, scope=" ".join(metadata["scopes_supported"]))
    assert set(partner.redeem(web, params["code"]).json["scope"].split()) == set(metadata["scopes_supported"])
    hidden = scopes.catalogue().keys() - set(metadata["scopes_supported"])
    assert all(scopes.catalogue()[name].kind == "client" for name in hidden)


def test_every_advertised_response_mode_prompt_and_acr_is_accepted(web, world, metadata):
    sign_in_and_authorise(web, world.partner, world.username)
    for mode in metadata["response_modes_supported"]:
        assert web.get(world.partner.link(response_mode=mode)).status_code == (200 if "form_post" in mode else 303)
    for prompt in metadata["prompt_values_supported"]:
        response = web.get(world.partner.link(prompt=prompt))
        assert "error" not in response.location
    assert "code" in redirect_parameters(
        web.get(world.partner.link(acr_values=" ".join(metadata["acr_values_supported"])))
    )


@pytest.mark.usefixtures("clock")  # must come before the fixture `world`
def test_exactly_the_advertised_acr_values_are_reached(web, new_browser, transaction, world, metadata, clock):
    def acr_and_amr(response_parameters):
        claims = world.claims(world.partner.redeem(web, response_parameters["code"]).json["id_token"], "JWT")
        return claims["acr"], sorted(claims["amr"])

    by_password = acr_and_amr(sign_in_and_authorise(web, world.partner, world.username))
    with transaction():
        app = an_app(people.by_name(world.username).id)
    clock.move(timedelta(seconds=30))
    browser = new_browser()
    response = follow_redirects(
        browser, sign_in(browser, follow_redirects(browser, browser.get(world.partner.link())), world.username)
    )
    with_a_code = acr_and_amr(
        redirect_parameters(follow_redirects(browser, press(browser, response, "sign-in", code=app.code())))
    )

    assert by_password == ("urn:idaas:acr:single", ["pwd"])
    assert with_a_code == ("urn:idaas:acr:multi", ["mfa", "otp", "pwd"])
    assert metadata["acr_values_supported"] == [by_password[0], with_a_code[0]]


def test_every_advertised_claim_is_released_somewhere(web, world, metadata):
    everything = "openid profile email phone organisation offline_access"
    tokens = obtain_tokens(web, world.partner, world.username, scope=everything)
    userinfo = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json
    assert set(metadata["claims_supported"]) <= set(userinfo) | set(world.claims(tokens["id_token"], "JWT"))


def test_every_advertised_algorithm_has_a_key_and_rs256_is_among_them(web, metadata):
    algs = metadata["id_token_signing_alg_values_supported"]
    assert "RS256" in algs
    assert "none" not in algs
    keys = web.get("/oauth/jwks").json["keys"]
    assert {jwk["alg"] for jwk in keys} == set(algs)
    assert len({jwk["kid"] for jwk in keys}) == len(keys)
    assert not any("d" in jwk for jwk in keys)


@pytest.mark.parametrize("path", [*PATHS, "/oauth/jwks"])
def test_the_document_may_be_cached_and_read_from_any_origin(web, path):
    response = web.get(path)
    assert response.headers["Cache-Control"] == "public, max-age=300"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.mimetype == "application/json"
    again = web.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


def test_no_other_page_may_be_read_from_another_origin(web, world):
    for path in ("/oauth/authorize", "/oauth/consent", "/oauth/logout", "/sign-in"):
        assert "Access-Control-Allow-Origin" not in web.get(path, headers={"Origin": "https://evil.example"}).headers


@pytest.fixture
def signer(world, clock):
    """A client with a key of each kind."""
    with world.transaction():
        client = factories.a_client(
            token_endpoint_auth_method="private_key_jwt", jwks=jwks(*(key(alg) for alg in ("RS256", "ES256", "EdDSA")))
        )
        return Signer(client.id)


def signed_by(alg):
    """Arguments of `Signer.assertion` for the client's key of `alg`."""
    return {"alg": alg, "key": key("RS256" if alg == "PS256" else alg)}


def test_exactly_the_advertised_request_object_algorithms_are_accepted(web, signer, metadata):
    claims = {"iss": signer.id, "aud": ISSUER, **signer.parameters(prompt="none")}
    for alg in metadata["request_object_signing_alg_values_supported"]:
        text = sign_jws(claims, signed_by(alg)["key"], alg)
        assert redirect_parameters(web.get(signer.link(request=text)))["error"] == "login_required", alg
    another = sign_jws(claims, ECKey.generate_key("P-384"), "ES384")
    assert redirect_parameters(web.get(signer.link(request=another)))["error"] == "invalid_request_object"


def test_every_advertised_assertion_algorithm_is_accepted(web, signer, metadata):
    for endpoint, path in (("token", "token"), ("introspection", "introspect"), ("revocation", "revoke")):
        for alg in metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]:
            if alg != "HS256":  # by a secret: test_client_assertion tests it
                form = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"}
                response = signer.post(web, f"/oauth/{path}", form, signer.assertion(**signed_by(alg)))
                assert response.status_code != 401, (endpoint, alg)


def test_every_advertised_signing_algorithm_is_used_where_registered(web, world, metadata):
    for alg in metadata["id_token_signing_alg_values_supported"]:
        partner = world.new_partner(id_token_signed_response_alg=alg)
        tokens = obtain_tokens(web, partner, world.username)
        assert jwt_header(tokens["id_token"])["alg"] == alg
    for alg in metadata["userinfo_signing_alg_values_supported"]:
        partner = world.new_partner(userinfo_signed_response_alg=alg)
        tokens = obtain_tokens(web, partner, world.username)
        response = web.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
        assert (response.mimetype, jwt_header(response.text)["alg"]) == ("application/jwt", alg)
    for alg in metadata["authorization_signing_alg_values_supported"]:
        partner = world.new_partner(authorization_signed_response_alg=alg)
        assert (
            jwt_header(redirect_parameters(web.get(partner.link(response_mode="jwt", prompt="none")))["response"])[
                "alg"
            ]
            == alg
        )
    for alg in metadata["introspection_signing_alg_values_supported"]:
        partner = world.new_partner(introspection_signed_response_alg=alg)
        headers = partner.basic | {"Accept": "application/token-introspection+jwt"}
        response = web.post("/oauth/introspect", data={"token": "x"}, headers=headers)
        assert (response.mimetype, jwt_header(response.text)["alg"]) == (headers["Accept"], alg)


def test_every_member_of_the_document_has_a_test(metadata):
    """Members that no other test compares are constants of the specification."""
    constant = {
        "issuer": ISSUER, "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["public", "pairwise"], "claim_types_supported": ["normal"],
        "display_values_supported": ["page"], "ui_locales_supported": ["en-GB"],
        "claims_parameter_supported": True, "request_parameter_supported": True,
        "request_uri_parameter_supported": False, "require_pushed_authorization_requests": False,
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True, "backchannel_logout_session_supported": True,
        "require_signed_request_object": False,
    }  # fmt: skip
    elsewhere = {
        "scopes_supported", "response_modes_supported", "grant_types_supported", "prompt_values_supported",
        "acr_values_supported", "claims_supported", "id_token_signing_alg_values_supported", "jwks_uri",
        "userinfo_signing_alg_values_supported", "request_object_signing_alg_values_supported",
        "dpop_signing_alg_values_supported", "authorization_signing_alg_values_supported",
        "introspection_signing_alg_values_supported", "service_documentation",
    }  # fmt: skip
    assert {name: metadata[name] for name in constant} == constant
    rest = {name for name in metadata if "_endpoint" not in name} - constant.keys() - elsewhere
    assert rest == set()
