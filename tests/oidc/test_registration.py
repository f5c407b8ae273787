"""Clients that register themselves and manage their registration (RFC 7591, RFC 7592)."""

import http.server
import json
import re
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import select

from idp.audit.models import Entry
from idp.partners import initial_tokens, registry, self_registration
from idp.partners.models import Client, ClientSecret, InitialAccessToken, Partner, RegistrationToken
from tests import factories
from tests.oidc.registering import METADATA, Registrar, an_initial_token, bearer_header, metadata, path_of
from tests.oidc.support import Partner as Caller, obtain_tokens, sign_in_and_authorise

RSA = RSAKey.generate_key(2048, parameters={"kid": "r"})
EC = ECKey.generate_key("P-256", parameters={"kid": "e"})
RANDOM_VALUE = re.compile(r"[\w-]{40,}")


def case_id(wrong):
    """The id of a case, without its keys: they are new in every process, and pytest's workers need equal ids."""
    return RANDOM_VALUE.sub("…", str(wrong))


PUBLIC = {"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]}


@pytest.fixture
def registrar(web, transaction):
    with transaction():
        return Registrar(web, an_initial_token())


def test_a_self_registered_client_may_send_its_secret_by_basic_or_in_the_form(web, registrar):
    """Unlike in a manifest, the registered method does not exclude the other one."""
    registration = registrar.registered(token_endpoint_auth_method="client_secret_basic")
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": METADATA["redirect_uris"][0]}
    by_post = {"client_id": registration["client_id"], "client_secret": registration["client_secret"]}
    assert web.post("/oauth/token", data=form | by_post).json["error"] == "invalid_grant"
    assert registrar.manage(registration).json["token_endpoint_auth_method"] == "client_secret_basic"


def test_offline_access_is_registered_only_with_the_refresh_token_grant(registrar):
    assert "offline_access" not in registrar.registered()["scope"].split()
    both = ["authorization_code", "refresh_token"]
    assert "offline_access" in registrar.registered(grant_types=both)["scope"].split()
    refused = registrar.register(scope="openid offline_access")
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_client_metadata")
    assert "offline_access" in refused.json["error_description"]
    assert registrar.register(scope="openid offline_access", grant_types=both).status_code == 201


def test_a_put_without_the_refresh_token_grant_removes_offline_access(registrar):
    registration = registrar.registered(grant_types=["authorization_code", "refresh_token"])
    changed = registrar.manage(registration, "PUT", json=metadata(client_id=registration["client_id"]))
    assert "offline_access" not in changed.json["scope"].split()


def entries(transaction, event):
    with transaction() as session:
        return session.scalars(select(Entry).where(Entry.event == event)).all()


def test_a_client_registers_itself_and_gets_its_metadata_back(registrar, clock):
    response = registrar.register(
        jwks=PUBLIC, post_logout_redirect_uris=["https://reports.example/out"],
        initiate_login_uri="https://reports.example/begin", backchannel_logout_uri="https://reports.example/bcl",
        backchannel_logout_session_required=True,
    )  # fmt: skip
    body = response.json
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    assert response.mimetype == "application/json"
    assert {name: body[name] for name in METADATA} == METADATA
    assert body["jwks"] == PUBLIC
    assert body["client_id_issued_at"] == int(clock.now().timestamp())
    assert body["client_secret_expires_at"] == 0
    assert body["registration_client_uri"].endswith(path_of(body))
    assert len(body["client_secret"]) >= 43
    assert len(body["registration_access_token"]) >= 43
    assert body["initiate_login_uri"] == "https://reports.example/begin"
    assert body["post_logout_redirect_uris"] == ["https://reports.example/out"]
    assert body["backchannel_logout_uri"] == "https://reports.example/bcl"
    assert body["backchannel_logout_session_required"] is True
    assert body["id_token_signed_response_alg"] == "RS256"
    assert body["subject_type"] == "public"


@pytest.fixture
def sector_document():
    """`sector_document.serve([...])` is the URL of a document with these URIs; `paths` has those that were fetched."""
    servers, paths = [], []

    def serve(uris):
        class Document(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                paths.append(self.path)
                body = json.dumps(uris).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Quiet."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Document)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/sector.json"

    yield SimpleNamespace(serve=serve, paths=paths)
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_algorithm_of_request_objects_is_registered_and_returned(registrar):
    registration = registrar.registered(request_object_signing_alg="ES256")
    assert registration["request_object_signing_alg"] == "ES256"
    assert registrar.manage(registration).json["request_object_signing_alg"] == "ES256"
    replaced = registrar.manage(registration, "PUT", json=metadata(client_id=registration["client_id"]))
    assert "request_object_signing_alg" not in replaced.json


def test_the_algorithms_of_signed_responses_are_registered_and_returned(registrar):
    document = {
        "jwks": PUBLIC, "require_signed_request_object": True, "authorization_signed_response_alg": "ES256",
        "introspection_signed_response_alg": "ES256",
    }  # fmt: skip
    registration = registrar.registered(**document)
    assert {name: registration[name] for name in document if name != "jwks"} == {
        n: v for n, v in document.items() if n != "jwks"
    }
    assert registrar.registered()["require_signed_request_object"] is False


def test_without_a_scope_a_client_gets_those_of_the_token_that_its_grants_can_use(registrar):
    assert registrar.registered()["scope"] == "openid profile email phone"


def test_a_client_may_register_fewer_scopes_than_the_token_allows(registrar):
    assert registrar.registered(scope="email openid")["scope"] == "openid email"


def test_the_scopes_that_were_optional_for_the_token_are_a_schools_choice(web, transaction):
    with transaction():
        scopes = {"required": {"openid", "school"}, "optional": {"attendance"}, "client": {"schools.list"}}
        registrar = Registrar(web, an_initial_token(scopes=scopes))
    registration = registrar.registered(grant_types=["authorization_code", "client_credentials"])
    assert registration["scope"] == "openid school attendance schools.list"
    with transaction() as session:
        client = session.get_one(Client, registration["client_id"])
        assert client.required_scopes == {"openid", "school"}
        assert client.optional_scopes == {"attendance"}
        assert client.client_scopes == {"schools.list"}


def test_scopes_that_no_grant_can_give_are_left_out_and_refused_if_requested(web, transaction):
    with transaction():
        registrar = Registrar(web, an_initial_token(scopes={"required": {"openid"}, "client": {"schools.list"}}))
    assert registrar.registered()["scope"] == "openid"
    assert registrar.register(scope="openid schools.list").json["error"] == "invalid_client_metadata"
    own = registrar.registered(
        grant_types=["client_credentials"], response_types=[], redirect_uris=None, scope="schools.list"
    )
    assert own["scope"] == "schools.list"
    assert own["response_types"] == []


def test_a_self_registered_client_works(web, world, registrar):
    registration = registrar.registered(grant_types=["authorization_code", "refresh_token"])
    partner = Caller(
        registration["client_id"],
        registration["client_secret"],
        "openid offline_access",
        registration["redirect_uris"][0],
    )
    params = sign_in_and_authorise(web, partner, world.username, code_challenge=None, code_challenge_method=None)
    tokens = partner.redeem(web, params["code"], code_verifier=None).json
    assert tokens["scope"] == "openid offline_access"
    assert partner.refresh(web, tokens["refresh_token"]).status_code == 200


def test_a_client_without_a_name_gets_that_of_its_partner(registrar, transaction):
    registration = registrar.registered(client_name=None)
    with transaction() as session:
        assert registration["client_name"] == session.get_one(Client, registration["client_id"]).partner_name


def test_a_public_client_gets_no_secret(registrar):
    registration = registrar.registered(token_endpoint_auth_method="none")
    assert "client_secret" not in registration
    assert "client_secret_expires_at" not in registration


def test_profile_and_pkce_come_from_the_token_and_not_from_the_client(web, transaction):
    with transaction():
        registrar = Registrar(web, an_initial_token(profile="fapi2", require_pkce=True))
    refused = registrar.register(profile="oidc")
    assert refused.json["error"] == "invalid_client_metadata"
    assert "token_endpoint_auth_method" in refused.json["error_description"]
    registration = registrar.registered(
        profile="oidc", require_pkce=False, token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [EC.as_dict(private=False)]},
    )  # fmt: skip
    assert registration["dpop_bound_access_tokens"] is True
    assert registration["require_pushed_authorization_requests"] is True
    assert registration["id_token_signed_response_alg"] == "ES256"
    with transaction() as session:
        client = session.get_one(Client, registration["client_id"])
        assert (client.profile, client.require_pkce) == ("fapi2", True)


def test_members_we_do_not_know_are_ignored_and_not_echoed(registrar):
    registration = registrar.registered(request_uris=["https://reports.example/r#abc"], software_id="x", purpose="hm")
    assert not {"request_uris", "software_id", "purpose"} & registration.keys()


def test_null_members_count_as_left_out(registrar):
    response = registrar.web.post(
        "/oauth/register", json=METADATA | {"jwks_uri": None, "scope": None}, headers=bearer_header(registrar.token)
    )
    assert response.status_code == 201


def test_each_error_is_described(registrar):
    body = registrar.register(client_uri="x", contacts=["unknown"], grant_types=["implicit"]).json
    assert body["error"] == "invalid_client_metadata"
    for name in ("client_uri", "contacts[0]", "grant_types[0]"):
        assert name in body["error_description"]


@pytest.mark.parametrize(
    "uri",
    [
        "https://reports.example/cb#f", "https://me@reports.example/cb", "https://*.reports.example/cb",
        "http://reports.example/cb", "javascript:alert(1)", "https://reports.example/../cb", "cb", "", "myapp:/cb",
        "https://réports.example/cb",
    ],
)  # fmt: skip
def test_a_wrong_redirect_uri_is_invalid_redirect_uri(registrar, uri):
    response = registrar.register(redirect_uris=[uri])
    assert response.status_code == 400
    assert response.json["error"] == "invalid_redirect_uri"
    assert response.json["error_description"].isascii()


@pytest.mark.parametrize(
    "overrides",
    [
        {"grant_types": 5}, {"grant_types": ["password"]}, {"grant_types": []}, {"grant_types": ["refresh_token"]},
        {"response_types": ["token"]}, {"response_types": ["code", "id_token"]}, {"response_types": []},
        {"token_endpoint_auth_method": "tls_client_auth"}, {"id_token_signed_response_alg": "none"},
        {"id_token_encrypted_response_alg": "RSA-OAEP"}, {"tls_client_certificate_bound_access_tokens": True},
        {"jwks": {"keys": [EC.as_dict(private=True)]}}, {"jwks": PUBLIC, "jwks_uri": "https://reports.example/j"},
        {"jwks": {"keys": []}}, {"jwks": []}, {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
        {"token_endpoint_auth_method": "private_key_jwt"}, {"initiate_login_uri": "http://localhost:9/begin"},
        {"backchannel_logout_uri": "http://reports.example/bcl"}, {"backchannel_logout_session_required": "yes"},
        {"subject_type": "pairwise", "redirect_uris": ["https://a.example/cb", "https://b.example/cb"]},
        {"sector_identifier_uri": "http://127.0.0.1:1/unreachable"}, {"contacts": "me"}, {"client_name": 5},
        {"client_name": "\ud800"}, {"client_uri": "javascript:alert(1)"}, {"scope": 5}, {"scope": "openid nonsense"},
        {"authorization_details_types": ["school"]}, {"default_max_age": 3600},
        {"default_acr_values": ["urn:idaas:acr:multi"]}, {"require_pushed_authorization_requests": True},
        {"require_signed_request_object": True}, {"require_signed_request_object": "yes"},
        {"authorization_signed_response_alg": "none"}, {"authorization_encrypted_response_alg": "RSA-OAEP"},
        {"authorization_encrypted_response_enc": "A256GCM"}, {"introspection_signed_response_alg": "none"},
        {"introspection_encrypted_response_alg": "RSA-OAEP"}, {"introspection_encrypted_response_enc": "A256GCM"},
        {"scope": 'openid "x'}, {"grant_types": ["client_credentials"], "response_types": [], "redirect_uris": None},
    ],
    ids=case_id,
)  # fmt: skip
def test_other_errors_are_invalid_client_metadata(registrar, transaction, overrides):
    response = registrar.register(**overrides)
    assert response.status_code == 400
    assert response.json["error"] == "invalid_client_metadata", response.json
    assert response.json["error_description"].isprintable()
    with transaction() as session:
        assert session.query(Client).count() == 0
        assert session.scalars(select(InitialAccessToken)).one().used == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b'"x"', b"null", b"{", b"\xff", b'{"a": NaN}', b'{"client_name": "a", "client_name": "b"}',
        b"[" * 60_000, b'{"redirect_uris": [1], "grant_types": 5}', b"1" * 5000,
    ],
    ids=lambda body: body[:20].decode("latin-1"),
)  # fmt: skip
def test_a_body_that_is_not_an_object_is_refused(registrar, body):
    response = registrar.web.post(
        "/oauth/register", data=body, content_type="application/json", headers=bearer_header(registrar.token)
    )
    assert response.status_code == 400
    assert response.json["error"] in {"invalid_client_metadata", "invalid_redirect_uri"}


def test_a_body_over_64_kib_is_refused(registrar):
    response = registrar.register(client_name="x" * 70_000)
    assert response.status_code == 413
    assert response.json["error"] == "invalid_client_metadata"


def test_only_json_is_read(registrar):
    response = registrar.web.post("/oauth/register", data=METADATA, headers=bearer_header(registrar.token))
    assert response.status_code == 400


def test_without_a_token_the_challenge_names_no_error(web):
    response = web.post("/oauth/register", json=METADATA)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="registration"'


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Basic YTpi", "Bearer \xe9"])
def test_an_unknown_token_is_invalid(web, header):
    response = web.post("/oauth/register", json=METADATA, headers={"Authorization": header})
    assert response.status_code == 401
    assert response.json["error"] == "invalid_token"
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_a_token_in_the_query_is_not_accepted(registrar):
    assert registrar.web.post(f"/oauth/register?access_token={registrar.token}", json=METADATA).status_code == 401


def test_an_initial_token_registers_no_more_clients_than_it_was_issued_for(web, transaction):
    with transaction():
        registrar = Registrar(web, an_initial_token(most=2))
    for expected in (201, 201, 401):
        assert registrar.register().status_code == expected


def test_a_token_ends_when_it_expires_or_is_revoked(web, transaction, clock):
    with transaction():
        registrar = Registrar(web, an_initial_token())
        other = Registrar(web, an_initial_token(lasts=timedelta(hours=1)))
    registration = other.registered()
    clock.move(timedelta(hours=1))
    assert other.register().status_code == 401
    with transaction() as session:
        for row in session.scalars(select(InitialAccessToken)):
            initial_tokens.revoke(row.id, by="cli")
    assert registrar.register().status_code == 401
    assert other.manage(registration).status_code == 200, "what was registered continues to manage itself"


def test_a_disabled_partner_registers_nothing(registrar, transaction):
    with transaction() as session:
        partner = session.scalars(select(Partner)).one().name
        registry.switch_partner(partner, on=False)
    assert registrar.register().status_code == 401


def test_concurrent_registrations_stay_within_the_tokens_number(transaction, run_concurrently):
    with transaction():
        token = an_initial_token(most=3)

    def register_once():
        policy = initial_tokens.find_usable(token)
        return policy and self_registration.register(policy, METADATA)

    registrations = [outcome for outcome in run_concurrently(8, register_once) if outcome is not None]
    assert len(registrations) == 3, registrations
    with transaction() as session:
        assert session.query(Client).count() == 3


# Managing a registration


def test_a_client_reads_its_registration(registrar):
    registration = registrar.registered()
    response = registrar.manage(registration)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json == {
        name: value for name, value in registration.items() if not name.startswith("client_secret")
    }


def test_a_logo_is_ignored_and_terms_of_service_are_kept(registrar):
    terms = "https://reports.example/terms"
    registration = registrar.registered(logo_uri="https://reports.example/logo.png", tos_uri=terms)

    assert "logo_uri" not in registration
    assert registrar.manage(registration).json["tos_uri"] == terms


@pytest.mark.parametrize("name", ["IDaaS", "Cornerst\u043ene", "CORNERST0NE"])
def test_a_name_that_looks_like_ours_or_anothers_is_refused_and_at_a_put_too(registrar, transaction, name):
    with transaction():
        factories.a_client(factories.a_partner(name="Stone Ltd"), client_name="Cornerstone")
    refused = registrar.register(client_name=name)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_client_metadata")
    assert refused.json["error_description"].startswith("client_name: ")

    registration = registrar.registered(client_name="Reports")
    new = metadata(client_id=registration["client_id"], client_name=name)
    assert registrar.manage(registration, "PUT", json=new).json["error"] == "invalid_client_metadata"


def test_a_pairwise_client_on_another_partners_host_is_refused(registrar, transaction):
    with transaction():
        factories.a_client(factories.a_partner(), redirect_uris=["https://reports.example/theirs"])
    refused = registrar.register(subject_type="pairwise")
    assert refused.json["error_description"].startswith("subject_type: ")


def test_pairwise_clients_of_one_partner_may_share_a_host(registrar):
    registrar.registered()
    assert registrar.register(subject_type="pairwise").status_code == 201


def test_a_put_replaces_all_metadata(registrar, transaction):
    registration = registrar.registered(client_uri="https://reports.example", post_logout_redirect_uris=[
        "https://reports.example/out"])  # fmt: skip
    new = metadata(
        client_id=registration["client_id"], redirect_uris=["https://reports.example/new"], client_name="New"
    )
    response = registrar.manage(registration, "PUT", json=new)
    assert response.status_code == 200
    body = response.json
    assert (body["client_name"], body["redirect_uris"]) == ("New", ["https://reports.example/new"])
    assert "client_uri" not in body
    assert "post_logout_redirect_uris" not in body
    assert "client_secret" not in body, "the one it has continues to work"
    assert body["registration_access_token"] == registration["registration_access_token"]
    client = registry_client(transaction, registration)
    assert client.redirect_uris == ("https://reports.example/new",)
    assert entries(transaction, "client.changed")[0].facts["fields"] == [
        "client_name", "client_uri", "post_logout_redirect_uris", "redirect_uris",
    ]  # fmt: skip


def registry_client(transaction, registration):
    with transaction():
        return registry.client(registration["client_id"])


def test_a_put_that_needs_a_secret_gets_one(registrar, transaction):
    registration = registrar.registered(token_endpoint_auth_method="none")
    new = metadata(client_id=registration["client_id"])
    secret = registrar.manage(registration, "PUT", json=new).json["client_secret"]
    with transaction():
        assert registry.secret_matches(registry.client(registration["client_id"]), secret)
    as_key = new | {"token_endpoint_auth_method": "client_secret_jwt"}
    other = registrar.manage(registration, "PUT", json=as_key).json["client_secret"]
    with transaction():
        assert registry.hmac_keys(registry.client(registration["client_id"])) == [other.encode()]
    assert "client_secret" not in registrar.manage(registration, "PUT", json=as_key).json


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": None}, {"client_id": "another"}, {"client_secret": "guessed"}, {"client_secret": 5},
        {"registration_access_token": "x"}, {"registration_client_uri": "https://x.example"},
        {"client_secret_expires_at": 0}, {"client_id_issued_at": 5}, {"redirect_uris": None},
        {"scope": "openid school"}, {"jwks": {"keys": [RSA.as_dict(private=True)]}},
    ],
    ids=case_id,
)  # fmt: skip
def test_an_invalid_put_changes_nothing(registrar, wrong):
    registration = registrar.registered()
    valid = metadata(client_id=registration["client_id"], client_name="New") | wrong
    body = {name: value for name, value in valid.items() if value is not None}
    response = registrar.manage(registration, "PUT", json=body)
    assert response.status_code == 400, response.json
    assert registrar.manage(registration).json["client_name"] == METADATA["client_name"]


def test_a_put_may_repeat_the_secret_that_was_issued(registrar):
    registration = registrar.registered()
    body = metadata(client_id=registration["client_id"], client_secret=registration["client_secret"])
    assert registrar.manage(registration, "PUT", json=body).status_code == 200


def test_deleting_a_client_deletes_its_registration_token_too(web, world, registrar, transaction):
    registration = registrar.registered(grant_types=["authorization_code", "refresh_token"])
    other = registrar.registered(client_name="Oakhill Lunches")
    partner = Caller(
        registration["client_id"],
        registration["client_secret"],
        "openid offline_access",
        registration["redirect_uris"][0],
    )
    tokens = obtain_tokens(web, partner, world.username)
    response = registrar.manage(registration, "DELETE")
    assert response.status_code == 204
    assert response.data == b""
    assert registrar.manage(registration).status_code == 401
    assert partner.refresh(web, tokens["refresh_token"]).status_code == 401
    assert web.get("/oauth/userinfo", headers=bearer_header(tokens["access_token"])).status_code == 401
    assert web.get(partner.link()).status_code == 400
    assert registrar.manage(other).status_code == 200
    with transaction() as session:
        assert [row.client_id for row in session.query(RegistrationToken)] == [other["client_id"]]
        assert {row.client_id for row in session.query(ClientSecret)} >= {other["client_id"]}
    assert [entry.subject for entry in entries(transaction, "client.deleted")] == [registration["client_id"]]


def test_registrations_are_recorded_in_the_audit_log(registrar, transaction):
    registration = registrar.registered()
    issued, registered = entries(transaction, "initial_token.issued"), entries(transaction, "client.registered")
    assert issued[0].facts["most"] == 100
    assert registered[0].actor == issued[0].subject
    assert registered[0].subject == registration["client_id"]
    assert registration["client_secret"] not in json.dumps(registered[0].facts)


def test_a_change_by_an_operator_revokes_the_registration_token(registrar, transaction):
    made, other = registrar.registered(), registrar.registered(client_name="Oakhill Lunches")
    with transaction() as session:
        client = session.get_one(Client, made["client_id"])
        manifest = {
            "client_id": client.id, "partner": client.partner_name, "client_name": "Ours", "client_uri":
            "https://reports.example", "policy_uri": "https://reports.example/p", "purpose": "To report to governors.",
            "agreement_uri": "https://reports.example/a", "agreement_version": "1", "redirect_uris":
            METADATA["redirect_uris"], "scopes": {"required": {"openid"}},
        }  # fmt: skip
        registry.change(manifest)
    assert registrar.manage(made).status_code == 401
    assert registrar.manage(other).status_code == 200


def test_discovery_names_the_registration_endpoint(web):
    assert web.get("/.well-known/openid-configuration").json["registration_endpoint"].endswith("/oauth/register")


def test_secrets_and_tokens_are_stored_only_as_digests(registrar, transaction):
    registration = registrar.registered()
    with transaction() as session:
        for table in Client.metadata.sorted_tables:
            text = repr([tuple(row) for row in session.execute(select(table))])
            for secret in (registrar.token, registration["client_secret"], registration["registration_access_token"]):
                assert secret not in text, table.name


def test_the_sector_document_is_fetched_and_must_list_every_redirect_uri(registrar, sector_document):
    uris = ["https://a.example/cb", "https://b.example/cb"]
    document = {"redirect_uris": uris, "subject_type": "pairwise"}
    registration = registrar.registered(**document, sector_identifier_uri=sector_document.serve(uris))
    assert registration["subject_type"] == "pairwise"
    refused = registrar.register(**document, sector_identifier_uri=sector_document.serve(uris[:1]))
    assert refused.json["error"] == "invalid_client_metadata"
    assert "sector_identifier_uri" in refused.json["error_description"]


def test_nothing_is_fetched_for_an_unknown_client(web, sector_document):
    document = metadata(sector_identifier_uri=sector_document.serve([]))
    assert web.post("/oauth/register", json=document, headers=bearer_header("nonsense")).status_code == 401
    assert sector_document.paths == []
