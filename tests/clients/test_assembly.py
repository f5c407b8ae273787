"""Assembly: how a careful client handles correct responses, wrong responses, and no response."""

import json
import sqlite3
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from clients.assembly import connections, provider as provider_module
from clients.assembly.app import create_app
from clients.assembly.applications import APPLICATIONS, ASSEMBLY, IDENTITY, SCHOOLBOOKING
from clients.assembly.errors import ProviderUnreachable, RequestRefused, UntrustedResponse
from clients.assembly.settings import InvalidSettings, from_environment
from tests.clients.conftest import HOST, Person, query_of
from tests.clients.provider import ESTAB


@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=lambda application: application.key)
def test_the_application_requests_the_scopes_and_serves_the_urls_of_its_manifest(settings, application):
    file = {ASSEMBLY: "client.toml", SCHOOLBOOKING: "schoolbooking.toml"}[application]
    manifest = tomllib.loads(Path("clients/assembly", file).read_text("utf-8"))
    app = create_app(replace(settings, application=application))

    scopes = manifest["scopes"]
    assert {*IDENTITY, *(area.scope for area in application.areas if area.needed)} == set(scopes["required"])
    assert {area.scope for area in application.areas if not area.needed} == set(scopes["optional"])
    assert manifest["client_id"] == application.key
    uris = ("initiate_login_uri", "jwks_uri", "backchannel_logout_uri")
    urls = [*manifest["redirect_uris"], *manifest["post_logout_redirect_uris"], *map(manifest.get, uris)]
    origin = manifest["jwks_uri"].removesuffix("/jwks.json")
    assert set(urls) <= {f"{origin}{rule.rule}" for rule in app.url_map.iter_rules()}
    assert set(manifest["grant_types"]) == {"authorization_code", "refresh_token", "client_credentials"}


def test_the_pushed_request_has_state_nonce_and_pkce(person, provider):
    location = person.start_sign_in().location

    assert location.startswith(f"{provider.issuer}/authorize?")
    assert query_of(location) == {"client_id": "assembly", "request_uri": "urn:ietf:params:oauth:request_uri:one"}
    parameters = provider.parameters
    assert parameters["response_type"] == "code"
    assert parameters["code_challenge_method"] == "S256"
    assert len(parameters["code_challenge"]) == 43
    assert len(parameters["state"]) >= 20
    assert len(parameters["nonce"]) >= 20
    assert parameters["redirect_uri"] == "http://localhost:5001/callback"
    assert set(parameters["scope"].split()) == set(ASSEMBLY.scope.split())


def test_assembly_authenticates_by_a_jwt_of_the_key_that_it_publishes(person, provider):
    person.start_sign_in()
    keys = KeySet.import_key_set(person.web.get("/jwks.json").json)
    assertion = jwt.decode(provider.parameters["client_assertion"], keys, algorithms=["ES256"])

    assert assertion.claims["iss"] == assertion.claims["sub"] == "assembly"
    assert assertion.claims["aud"] == provider.issuer
    assert assertion.claims["exp"] - assertion.claims["iat"] == 60
    assert not [key for key in person.web.get("/jwks.json").json["keys"] if "d" in key]


def test_a_rotated_key_is_published_before_it_signs(person, provider, program, monkeypatch):
    def signing_kid():
        person.start_sign_in()
        return jws.extract_compact(provider.parameters["client_assertion"].encode()).headers()["kid"]

    old = signing_kid()
    program.keys.rotate()
    published = {key["kid"] for key in person.web.get("/jwks.json").json["keys"]}
    assert signing_kid() == old
    assert len(published) == 2
    monkeypatch.setattr("clients.assembly.keys.time.time", lambda: 4_000_000_000.0)
    assert {signing_kid()} == published - {old}
    assert program.settings.key_file.stat().st_mode & 0o777 == 0o600


def test_the_list_of_changes_is_read_to_its_end_over_pages_without_schools(provider, program):
    provider.pages = [{"schools": [], "next": "one"}, {"schools": [], "next": "two"}, {"schools": [provider.school()]}]
    connections.check_all(program.database, program.provider)

    assert [query.get("cursor") for query in provider.page_requests] == [None, "one", "two"]
    assert connections.find(program.database, estab_id=ESTAB)


def test_changes_are_read_again_after_a_page_of_them_failed(provider, program):
    connections.check_all(program.database, program.provider)
    later = provider.school() | {"changed_at": "2026-03-09T09:30:00Z"}
    provider.pages = [{"schools": [later], "next": "one"}, 503]
    with pytest.raises(ProviderUnreachable):
        connections.check_all(program.database, program.provider)
    provider.pages = [{"schools": [later]}]
    connections.check_all(program.database, program.provider)
    connections.check_all(program.database, program.provider)

    since = [query.get("changed_since", "")[:10] for query in provider.page_requests if "cursor" not in query]
    assert since == ["", "2026-03-02", "2026-03-02", "2026-03-09"]


def test_tokens_are_bound_to_a_key_and_each_request_has_a_new_proof(person, provider):
    person.sign_in()

    token, userinfo = provider.proofs[:2]
    assert (token["htm"], token["htu"]) == ("POST", f"{provider.issuer}/token")
    assert (userinfo["htm"], userinfo["htu"]) == ("GET", f"{provider.issuer}/userinfo")
    assert len(userinfo["ath"]) == 43
    assert token["jti"] != userinfo["jti"]
    assert len(provider.parameters["dpop_jkt"]) == 43


def test_a_request_is_sent_again_with_the_nonce_that_the_provider_requires(person, provider):
    provider.nonce = "a-nonce"

    assert "Grace Okafor" in person.sign_in()
    assert [proof.get("nonce") for proof in provider.proofs[:2]] == [None, "a-nonce"]
    assert len({post["client_assertion"] for post in provider.token_requests}) == len(provider.token_requests)


def test_the_page_names_the_person_the_school_and_the_withheld_areas(person, provider):
    page = person.sign_in()

    assert "Grace Okafor" in page
    assert "Willow Bank Primary School" in page
    assert "3124567" in page
    assert page.count("Waiting for verification") == 3, "what the school agreed to, its own choice among it"


def test_the_code_is_redeemed_with_its_verifier(person, provider):
    person.sign_in()

    sent = provider.token_requests[0]
    assert sent["grant_type"] == "authorization_code"
    assert 43 <= len(sent["code_verifier"]) <= 128


def test_the_cookie_has_no_token_and_no_name(person, tmp_path):
    person.sign_in()

    cookie = person.web.get_cookie("assembly").decoded_value
    content = person.web.application.session_interface.get_signing_serializer(person.web.application).loads(cookie)
    assert set(content) == {"handle", "browser", "csrf_token"}
    with closing(sqlite3.connect(tmp_path / "assembly.sqlite3")) as database:
        stored_rows = str(database.execute("SELECT * FROM sign_ins").fetchall())
        assert database.execute("SELECT access_token FROM connections").fetchall() == [("the-access-token",)]
    assert content["handle"] not in stored_rows


def test_checking_again_shows_areas_that_are_no_longer_withheld(person, provider):
    person.sign_in()
    provider.verification, provider.scope, provider.withheld = "verified", ASSEMBLY.scope, ""

    assert person.post("/connector/check").status_code == 303
    page = person.open("/connector").text

    assert "New: your school now shares School details, Pupils, Attendance" in page
    assert "Verified school" in page
    assert "Waiting" not in page
    [refresh] = [post for post in provider.token_requests if post["grant_type"] == "refresh_token"]
    assert refresh["refresh_token"] == "the-refresh-token"
    assert "scope" not in refresh, "asking for all of it would be asking for more than was granted"


def test_an_area_a_verified_school_did_not_tick_is_not_shared(person, provider):
    provider.verification, provider.scope, provider.withheld = "verified", ASSEMBLY.scope.replace(" attendance", ""), ""

    page = person.sign_in()

    assert page.count("Not shared") == 1


def test_tokens_are_deleted_when_sharing_has_ended(person, provider, tmp_path):
    person.sign_in()
    provider.status, provider.token_errors["refresh_token"] = "withdrawn", "invalid_grant"

    person.post("/connector/check")

    page = person.open("/connector").text
    assert "Your school no longer shares with us" in page
    assert "Grace Okafor" in page, "she may sign out by herself"
    with closing(sqlite3.connect(tmp_path / "assembly.sqlite3")) as database:
        assert database.execute("SELECT access_token, refresh_token FROM connections").fetchall() == [(None, None)]


def test_tokens_are_kept_while_the_school_has_paused_sharing(person, provider):
    provider.verification, provider.scope, provider.withheld = "verified", ASSEMBLY.scope, ""
    person.sign_in()
    provider.status, provider.token_errors["refresh_token"] = "paused", "access_denied"

    person.post("/connector/check")
    page = person.open("/connector").text
    assert "Your school has paused sharing with us" in page
    assert page.count(">Paused<") == len(ASSEMBLY.areas) + 1

    provider.status, _ = "active", provider.token_errors.clear()
    person.post("/connector/check")
    page = person.open("/connector").text
    assert "Your school shares with us again." in page
    assert ">Paused<" not in page


def test_a_check_that_is_refused_temporarily_changes_nothing(person, provider):
    person.sign_in()
    provider.token_errors["refresh_token"] = "temporarily_unavailable"

    assert person.post("/connector/check").status_code == 502
    assert "Grace Okafor" in person.open("/connector").text


def test_a_person_who_refuses_sees_that_nothing_was_shared(person, provider):
    person.start_sign_in()

    page = person.open(f"/callback?{provider.authorization_response(code=None, error='access_denied')}")

    assert page.status_code == 200
    assert "Nothing was shared" in page.text


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"state": "another"}, "Please start again"),
        ({"state": None}, "Please start again"),
        ({"iss": "http://localhost:1"}, "We could not accept that response"),
        ({"iss": None}, "We could not accept that response"),
        ({"code": None}, "We could not accept that response"),
        ({"code": None, "error": "invalid_scope"}, "refused our request"),
    ],
    ids=str,
)
def test_a_wrong_response_signs_no_one_in(person, provider, parameters, message):
    person.start_sign_in()

    page = person.open(f"/callback?{provider.authorization_response(**parameters)}")

    assert message in page.text
    assert page.status_code >= 400
    assert not [post for post in provider.token_requests if post["grant_type"] == "authorization_code"]
    assert "Grace Okafor" not in person.open("/connector").text


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "http://localhost:1"},
        {"aud": "another-client"},
        {"aud": "another-client", "azp": "assembly"},
        {"azp": "another-client"},
        {"azp": "assem"},
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"nbf": "now"},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
    ids=" ".join,
)
def test_a_wrong_id_token_signs_no_one_in(person, provider, claims):
    provider.claims = claims
    person.start_sign_in()

    page = person.open(f"/callback?{provider.authorization_response()}")

    assert page.status_code == 400
    assert "We could not accept that response" in page.text
    assert "Grace Okafor" not in person.open("/connector").text


@pytest.mark.parametrize("token_type", ["Bearer", None])
def test_tokens_that_are_not_bound_to_our_key_sign_no_one_in(person, provider, token_type):
    """RFC 6749 §7.1 and RFC 9449 §5: a token whose type is not the one that was asked for MUST NOT be used."""
    provider.token_type = token_type
    person.start_sign_in()

    page = person.open(f"/callback?{provider.authorization_response()}")

    assert "We could not accept that response" in page.text
    assert "Grace Okafor" not in person.open("/connector").text


def test_the_type_of_a_token_is_compared_without_case(person, provider):
    """RFC 6749 §5.1."""
    provider.token_type = "dpop"
    person.start_sign_in()

    assert person.open(f"/callback?{provider.authorization_response()}").status_code == 303


def test_header_members_of_an_id_token_that_are_not_known_are_ignored(person, provider):
    """RFC 7515 §4, unless `crit` names one (§4.1.11)."""
    for header, is_accepted in (({"cat": "cl_1"}, True), ({"cat": "cl_1", "crit": ["cat"]}, False)):
        provider.header = header
        person.start_sign_in()
        page = person.open(f"/callback?{provider.authorization_response()}")
        assert (page.status_code == 303) == is_accepted, header


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "AKP", "alg": "ML-DSA-44", "kid": "one", "pub": "x"}, {"kty": "EC", "kid": "one"}, {"kid": "one"},
        {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA", "kid": "two"},
    ],
    ids=str,
)  # fmt: skip
def test_published_keys_that_cannot_be_read_are_ignored(person, provider, key):
    """RFC 7517 §5: keys of an unknown type, without required members or out of range SHOULD be ignored."""
    provider.other_keys = [key]
    person.start_sign_in()

    assert person.open(f"/callback?{provider.authorization_response()}").status_code == 303


def test_an_id_token_signed_by_another_key_signs_no_one_in(person, provider):
    provider.signing_key = ECKey.generate_key("P-256", {"kid": "one"})
    person.start_sign_in()

    assert "We could not accept that response" in person.open(f"/callback?{provider.authorization_response()}").text


def test_userinfo_about_another_person_signs_no_one_in(person, provider):
    provider.userinfo_overrides = {"sub": "adm_of_another_school"}
    person.start_sign_in()

    assert "We could not accept that response" in person.open(f"/callback?{provider.authorization_response()}").text


def test_a_refused_userinfo_request_is_not_shown_as_an_unreachable_provider(person, provider):
    provider.userinfo_status = 401
    person.start_sign_in()

    page = person.open(f"/callback?{provider.authorization_response()}")
    assert page.status_code == 502
    assert "refused our request" in page.text


def test_a_token_signed_by_an_algorithm_that_fapi_forbids_is_refused(provider, program):
    provider.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
    token = jwt.encode({"alg": "RS256", "kid": "one", "typ": "JWT"}, {"iss": provider.issuer}, provider.key)

    with pytest.raises(UntrustedResponse, match="signature"):
        program.provider.verify(token, typ="JWT")


def test_keys_that_could_not_be_fetched_are_not_requested_for_each_token(provider, program, monkeypatch):
    paths, send = [], provider_module._send

    def send_and_record(method, url, **options):
        paths.append(url.removeprefix(provider.issuer))
        return send(method, url, **options)

    monkeypatch.setattr(provider_module, "_send", send_and_record)
    provider.discovery = {"jwks_uri": f"{provider.issuer}/missing"}
    for _ in range(3):
        with pytest.raises(ProviderUnreachable):
            program.provider.verify(provider.id_token(), typ="JWT")
    assert paths.count("/missing") == 1

    program.provider._metadata, provider.discovery = ({}, 0), {}
    later = time.time() + provider_module.MIN_JWKS_INTERVAL_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert program.provider.verify(provider.id_token(), typ="JWT")["iss"] == provider.issuer


def test_threads_that_need_keys_at_once_send_one_request(provider, program, monkeypatch):
    paths, send = [], provider_module._send

    def send_slowly(method, url, **options):
        paths.append(url.removeprefix(provider.issuer))
        time.sleep(0.2)
        return send(method, url, **options)

    monkeypatch.setattr(provider_module, "_send", send_slowly)
    with ThreadPoolExecutor() as threads:
        verified = [threads.submit(program.provider.verify, provider.id_token(), typ="JWT") for _ in range(4)]
    assert [future.result()["iss"] for future in verified] == [provider.issuer] * 4
    assert paths.count("/jwks") == 1


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        ({"errors": None}, ""),
        ({"errors": ["too long", {"field": "name", "detail": "is missing"}]}, "too long name: is missing."),
        ({"detail": "It is wrong.", "errors": "all"}, "It is wrong."),
        ([], ""),
    ],
    ids=str,
)
def test_an_error_response_of_unexpected_form_raises_request_refused(document, detail):
    response = requests.Response()
    response.status_code, response._content = 422, json.dumps(document).encode()
    with pytest.raises(RequestRefused) as raised:
        provider_module._raise_for(response)
    assert (raised.value.code, raised.value.detail, raised.value.http_status) == ("422", detail, 422)


def test_an_authorization_response_is_accepted_once(person, provider):
    person.sign_in()

    assert "Please start again" in person.open(f"/callback?{provider.authorization_response()}").text


def test_an_authorization_response_is_accepted_only_in_the_browser_that_began(app, person, provider):
    person.start_sign_in()

    stranger = Person(app, provider)

    assert "Please start again" in stranger.open(f"/callback?{provider.authorization_response()}").text


def test_a_discovery_document_of_another_issuer_is_refused(person, provider):
    provider.discovery = {"issuer": "http://localhost:1"}

    assert person.open("/school-account").status_code == 503

    provider.discovery = {}
    assert person.open("/school-account").status_code == 302


def test_an_unreachable_provider_is_reported_on_the_page(settings):
    app = create_app(replace(settings, issuer="http://localhost:1"))

    page = app.test_client().get("/school-account", **HOST)

    assert page.status_code == 503
    assert "The school sign-in service is not responding" in page.text


def test_a_login_initiated_for_another_issuer_is_refused(person, provider):
    assert person.start_sign_in(f"/initiate?iss={provider.issuer}&login_hint=3124567").status_code == 302
    assert provider.parameters["login_hint"] == "3124567"

    assert person.open("/initiate?iss=http://evil.example").status_code == 400
    assert person.open("/initiate").status_code == 400


def test_a_third_party_initiated_login_does_not_redirect_to_its_target_link_uri(person, provider):
    response = person.open(f"/initiate?iss={provider.issuer}&target_link_uri=http://evil.example/")

    assert "evil.example" not in f"{response.location} {provider.parameters}"


def test_signing_out_ends_the_session_and_redirects_to_the_provider_and_back(person, provider):
    person.sign_in()

    response = person.post("/sign-out")

    parameters = query_of(response.location)
    assert response.status_code == 303
    assert response.location.startswith(f"{provider.issuer}/logout?")
    assert parameters["id_token_hint"].count(".") == 2
    assert parameters["post_logout_redirect_uri"] == "http://localhost:5001/signed-out"
    assert "Grace Okafor" not in person.open("/connector").text
    assert "of the school sign-in service" in person.open(f"/signed-out?state={parameters['state']}").text
    assert "of the school sign-in service" not in person.open(f"/signed-out?state={parameters['state']}").text


def test_forms_need_a_csrf_token(person):
    person.sign_in()
    person.web.application.config["WTF_CSRF_ENABLED"] = True

    assert person.web.post("/sign-out", **HOST).status_code == 400
    assert "Grace Okafor" in person.open("/connector").text


def test_the_content_security_policy_allows_our_scripts_only_and_no_frames(person):
    policy = person.open("/").headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action" not in policy  # the provider's redirects after our form are its own


def test_a_request_to_127_0_0_1_is_redirected_to_localhost(app):
    assert app.test_client().get("/", base_url="http://127.0.0.1:5001").location == "http://localhost:5001/"


def test_all_errors_in_the_environment_are_reported_together():
    invalid = {"ISSUER": "localhost", "PORT": "many", "SMTP": "localhost", "POLL_SECONDS": "0", "RESOURCE": "data"}
    with pytest.raises(InvalidSettings) as raised:
        from_environment(SCHOOLBOOKING, {f"SCHOOLBOOKING_{name}": value for name, value in invalid.items()})

    variables = [problem.partition(":")[0] for problem in raised.value.args]
    assert str(raised.value).startswith("SchoolBooking cannot start:\n  SCHOOLBOOKING_ISSUER: ")
    assert variables == [f"SCHOOLBOOKING_{name}" for name in ("ISSUER", "RESOURCE", "PORT", "SMTP", "POLL_SECONDS")]
    assert from_environment(ASSEMBLY, {}).client_id == "assembly"
