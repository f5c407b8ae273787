"""Which tokens XporterOnDemand accepts, and how it refuses all others."""

import threading
import time

import pytest
from joserfc.jwk import ECKey, RSAKey

from clients.xporter import settings as environment
from clients.xporter.problems import KINDS
from clients.xporter.proofs import InvalidProof, Proofs
from clients.xporter.provider import ProviderUnreachable
from tests.clients.xporter.support import ESTAB, ISSUER, KEY, RESOURCE, SIGNER, call, proof, token
from tests.oidc.signing import ath, sign_jws, without_kid

METADATA = f"{RESOURCE}/.well-known/oauth-protected-resource"


def test_the_access_of_a_token_is_that_of_its_introspection(api, provider):
    response = call(api)
    school = {"estab_id": ESTAB, "estab_status": "verified"}
    assert (response.status_code, response.json["school"], response.json["areas"]) == (200, school, ["endpoint"])
    assert response.headers["Cache-Control"] == "no-store"
    [(_, sent)] = [request for request in provider.requests if request[0] == "/introspect"]
    assert "client_assertion" in sent
    assert "client_secret" not in sent


def test_a_response_of_introspection_is_cached_for_a_second(api, provider, monkeypatch):
    access_token = token()
    clock = [1000.0]
    monkeypatch.setattr("clients.xporter.tokens.time.monotonic", lambda: clock[0])
    assert call(api, access_token=access_token).status_code == 200
    provider.introspection = {"active": False}
    clock[0] += 0.9
    assert call(api, access_token=access_token).status_code == 200
    clock[0] += 0.1
    assert call(api, access_token=access_token).status_code == 401
    assert provider.count_requests("/introspect") == 2


def test_each_token_is_introspected(api, provider):
    assert call(api, access_token=token()).status_code == 200
    provider.introspection = {"active": False}
    assert call(api, access_token=token(jti="another")).status_code == 401


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({"typ": "JWT"}, "invalid_token"),
        ({"typ": None}, "invalid_token"),
        ({"iss": "https://elsewhere.example"}, "invalid_token"),
        ({"aud": ISSUER}, "invalid_token"),
        ({"aud": None}, "invalid_token"),
        ({"aud": f"{RESOURCE}/"}, "invalid_token"),
        ({"exp": int(time.time()) - 1}, "invalid_token"),
        ({"exp": None}, "invalid_token"),
        ({"exp": "tomorrow"}, "invalid_token"),
        ({"nbf": int(time.time()) + 86_400}, "invalid_token"),
        ({"nbf": "now"}, "invalid_token"),
        ({"client_id": None}, "invalid_token"),
        ({"signer": ECKey.generate_key("P-256", {"kid": "one"})}, "invalid_token"),
        ({"cnf": {"jkt": ECKey.generate_key("P-256").thumbprint()}}, "invalid_dpop_proof"),
        ({"cnf": None}, "invalid_token"),
    ],
)
def test_an_invalid_token_is_refused_without_introspection(api, provider, claims, problem):
    response = call(api, access_token=token(**claims))
    assert (response.status_code, response.json["code"]) == (401, problem)
    assert provider.count_requests("/introspect") == 0


def test_the_refusal_of_a_token_for_another_api_names_our_url(api, provider):
    assert RESOURCE in call(api, access_token=token(aud=ISSUER)).json["detail"]


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é", "a" * 20_000, token()[:-1], token() + "x", "..", "e30.e30.x"])
def test_text_that_is_not_a_token_is_refused_by_the_api(api, text):
    assert api.get("/access", headers={"Authorization": f"DPoP {text}"}).status_code == 401


def test_the_keys_are_read_again_for_an_unknown_key_once_a_minute(api, provider, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("clients.xporter.provider.time.monotonic", lambda: clock[0])
    new = ECKey.generate_key("P-256", {"kid": "two"})
    assert call(api).status_code == 200
    provider.keys.append(new)
    for _ in range(3):
        assert call(api, access_token=token(new)).status_code == 401
    assert provider.count_requests("/jwks") == 1
    clock[0] += 60
    assert call(api, access_token=token(new)).status_code == 200
    assert provider.count_requests("/jwks") == 2
    provider.keys.remove(SIGNER)
    clock[0] += 601
    assert call(api).status_code == 401, "its key is not published any more"


def test_a_proof_is_for_one_request_and_works_once(api):
    access_token = token()
    sent = {"Authorization": f"DPoP {access_token}", "DPoP": proof(access_token)}
    assert [api.get("/access", headers=sent).status_code for _ in range(2)] == [200, 401]
    wrong_proofs = (
        "x", f"{proof(access_token)}, {proof(access_token)}", proof(access_token, ath="x"), proof(access_token, "POST"),
        proof(access_token, path="/other"), proof(access_token, iat=1), proof(access_token, iat=int(time.time()) + 60),
        proof(access_token, jti=None), proof(access_token, jti=""), proof(access_token, htu=1),
        sign_jws({}, KEY, "ES256", typ="dpop+jwt", jwk=None, kid=None),
    )  # fmt: skip
    for wrong_proof in wrong_proofs:
        refused = api.get("/access", headers=sent | {"DPoP": wrong_proof})
        assert (refused.status_code, refused.json["code"]) == (401, "invalid_dpop_proof")
        assert refused.headers["WWW-Authenticate"].startswith('DPoP error="invalid_dpop_proof"')
    assert api.get("/access", headers={"Authorization": f"DPoP {access_token}"}).status_code == 401
    assert (
        api.get("/access", headers={"Authorization": f"Bearer {access_token}", "DPoP": proof(access_token)}).status_code
        == 401
    )


@pytest.mark.parametrize(
    ("times", "status"),
    [
        ({"exp": 60, "nbf": -60}, 200), ({"exp": -60}, 401), ({"nbf": 60}, 401), ({"exp": "soon"}, 401),
        ({"nbf": "now"}, 401),
    ],
)  # fmt: skip
def test_the_times_of_a_proof_hold_where_it_has_them(api, times, status):
    """RFC 7519 §4.1.4 and §4.1.5: a JWT MUST NOT be accepted after `exp`, nor before `nbf`."""
    access_token, now = token(), int(time.time())
    claims = {name: now + value if isinstance(value, int) else value for name, value in times.items()}
    sent = {"Authorization": f"DPoP {access_token}", "DPoP": proof(access_token, **claims)}
    assert api.get("/access", headers=sent).status_code == status


def test_header_members_of_a_proof_that_are_not_known_are_ignored(api):
    access_token = token()
    for header, status in (({"cat": "cl_1", "trust_chain": ["x"]}, 200), ({"crit": ["cat"], "cat": "cl_1"}, 401)):
        claims = {
            "jti": str(time.monotonic_ns()), "htm": "GET", "htu": f"{RESOURCE}/access", "iat": int(time.time()),
            "ath": ath(access_token),
        }  # fmt: skip
        sent = sign_jws(claims, KEY, "ES256", typ="dpop+jwt", jwk=without_kid(KEY), kid=None, **header)
        response = api.get("/access", headers={"Authorization": f"DPoP {access_token}", "DPoP": sent})
        assert response.status_code == status, header


def test_header_members_of_a_token_that_are_not_known_are_ignored(api):
    """RFC 7515 §4: they MUST be ignored, unless `crit` names one, which MUST then be understood (§4.1.11)."""
    for header, status in (({"cat": "cl_1"}, 200), ({"crit": ["cat"], "cat": "cl_1"}, 401)):
        response = call(api, access_token=token(header=header))
        assert response.status_code == status, header


@pytest.mark.parametrize(
    "htu",
    [
        f"{RESOURCE}/v1/students/a%20b%3A%C3%A9", f"{RESOURCE}/v1/students/a%20b:%c3%a9?x=1#y",
        f"{RESOURCE.upper().replace('HTTPS', 'https')}:443/v1/x/../students/%61%20b:%C3%A9",
    ],
)  # fmt: skip
def test_the_url_of_a_proof_is_normalised_before_it_is_compared(api, htu):
    """RFC 9449 §4.3: servers SHOULD use syntax-based and scheme-based normalisation (RFC 3986 §6.2.2, §6.2.3)."""
    access_token, path = token(), "/v1/students/a%20b%3A%C3%A9"
    sent = {"Authorization": f"DPoP {access_token}", "DPoP": proof(access_token, htu=htu)}
    assert api.get(path, headers=sent).json["code"] != "invalid_dpop_proof"
    other = {"Authorization": f"DPoP {access_token}", "DPoP": proof(access_token, htu=f"{RESOURCE}/v1/students/a%20b")}
    assert api.get(path, headers=other).json["code"] == "invalid_dpop_proof"


def test_an_unbound_token_is_sent_as_bearer(api, provider):
    provider.introspection = {"scope": "students"}
    assert api.get("/access", headers={"Authorization": f"bearer {token(cnf=None)}"}).status_code == 200


def test_every_challenge_refers_to_the_metadata(api, provider):
    metadata = api.get("/.well-known/oauth-protected-resource").json
    assert (metadata["resource"], metadata["authorization_servers"]) == (RESOURCE, [ISSUER])
    assert {"students", "endpoint"} <= set(metadata["scopes_supported"])
    without = api.get("/access")
    assert without.status_code == 401
    algs = " ".join(metadata["dpop_signing_alg_values_supported"])
    assert without.headers.getlist("WWW-Authenticate") == [
        f'DPoP resource_metadata="{METADATA}", algs="{algs}"', f'Bearer resource_metadata="{METADATA}"',
    ]  # fmt: skip
    provider.introspection = {"scope": ""}
    forbidden = call(api)
    assert (forbidden.status_code, forbidden.json["code"]) == (403, "insufficient_scope")
    challenge = forbidden.headers["WWW-Authenticate"]
    assert challenge.startswith('DPoP error="insufficient_scope", scope="school students')
    assert f'resource_metadata="{METADATA}"' in challenge


@pytest.mark.parametrize(
    ("status", "problem", "http"),
    [
        ("paused", "authorisation_paused", 403),
        ("withdrawn", "authorisation_ended", 403),
        ("expired", "authorisation_ended", 403),
        ("anything", "invalid_token", 401),
        (None, "invalid_token", 401),
    ],
)
def test_a_token_whose_sharing_is_not_in_force_is_refused_with_the_reason(api, provider, status, problem, http):
    provider.introspection = {"active": False, "authorisation_status": status}
    response = call(api)
    assert (response.status_code, response.json["code"]) == (http, problem)
    assert "WWW-Authenticate" in response.headers


def test_nothing_is_served_while_the_provider_is_unreachable(api, provider):
    assert call(api).status_code == 200
    provider.introspection = None
    response = call(api, access_token=token(jti="another"))
    assert (response.status_code, response.json["code"], response.headers["Retry-After"]) == (
        503, "temporarily_unavailable", "5",
    )  # fmt: skip


def test_every_problem_has_a_page_and_its_document_names_it(api):
    refused = api.get("/nothing")
    assert (refused.status_code, refused.content_type) == (404, "application/problem+json")
    assert refused.json["type"] == f"{RESOURCE}/problems/not_found"
    for code, kind in KINDS.items():
        page = api.get(f"/problems/{code}")
        assert page.status_code == 200
        assert kind.title in page.text
    assert api.post("/access").headers["Allow"]
    assert api.get("/problems/other").status_code == 404


def test_a_token_in_the_query_is_refused_with_a_challenge(api):
    """RFC 6750 §3: the challenge MUST come with every response to a request without a token that gives access."""
    refused = api.get(f"/access?access_token={token()}")
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")
    challenge = f'Bearer error="invalid_request", resource_metadata="{METADATA}"'
    assert refused.headers.getlist("WWW-Authenticate") == [challenge]


def test_proofs_with_weak_keys_or_old_algorithms_are_refused():
    request = {"method": "GET", "url": f"{RESOURCE}/access", "token": "token"}
    strong, weak, proofs = RSAKey.generate_key(3072), RSAKey.generate_key(1024), Proofs(time.time)
    assert proofs.key_of(proof("token", key=strong, alg="PS256"), **request) == strong.thumbprint()
    for key, alg in ((weak, "PS256"), (strong, "RS256")):
        with pytest.raises(InvalidProof):
            proofs.key_of(proof("token", key=key, alg=alg), **request)


def test_the_ids_of_proofs_that_can_no_longer_be_replayed_are_deleted():
    clock = [time.time()]
    proofs = Proofs(lambda: clock[0])
    request = {"method": "GET", "url": f"{RESOURCE}/access", "token": "token"}
    for number in range(20):
        proofs.key_of(proof("token", jti=str(number), iat=int(clock[0])), **request)
        clock[0] += 10
    assert len(proofs._seen) < 12


def test_a_rotated_client_key_is_published_before_it_signs(app, api, monkeypatch):
    keys = app.extensions["xporter"].keys
    first = keys.signing_key().kid
    keys.rotate()
    published = [key["kid"] for key in api.get("/jwks.json").json["keys"]]
    assert (len(published), published[0]) == (2, first)
    assert "d" not in api.get("/jwks.json").json["keys"][0]
    assert keys.signing_key().kid == first
    later = time.time() + 301
    monkeypatch.setattr("clients.xporter.keys.time.time", lambda: later)
    assert keys.signing_key().kid == published[1]


def test_healthz_responds_ok(api):
    assert api.get("/healthz").json == {"status": "ok"}


def test_all_errors_in_the_settings_are_reported_at_once(tmp_path):
    wrong = {
        "PORT": "x", "ISSUER": "idp.example", "RESOURCE": "https://api.example/data", "DATABASE": "mysql://x",
        "CACHE_MS": "1001",
    }  # fmt: skip
    with pytest.raises(environment.InvalidSettings) as bad:
        environment.from_environment({f"XPORTER_{name}": value for name, value in wrong.items()})
    assert len(bad.value.args) == 5
    valid = environment.from_environment({"XPORTER_DATA": str(tmp_path), "XPORTER_PORT": "6000"})
    assert (valid.resource, valid.database_url) == ("http://localhost:6000", f"sqlite:///{tmp_path}/xporter.sqlite3")


def test_requests_with_known_keys_are_served_while_keys_are_fetched(app, api, provider, monkeypatch):
    assert call(api).status_code == 200
    monkeypatch.setattr("clients.xporter.provider.JWKS_CACHE_SECONDS", 0)
    monkeypatch.setattr("clients.xporter.provider.MIN_JWKS_INTERVAL_SECONDS", 0)
    parts = app.extensions["xporter"]
    is_reading, may_continue = threading.Event(), threading.Event()
    read_keys = parts.provider._read_keys

    def hang():
        is_reading.set()
        assert may_continue.wait(60)
        return read_keys()

    monkeypatch.setattr(parts.provider, "_read_keys", hang)
    reading = threading.Thread(target=parts.provider.key, args=("one",))
    reading.start()
    assert is_reading.wait(60)
    assert call(api).status_code == 200
    may_continue.set()
    reading.join(60)


def test_a_client_token_of_another_type_than_bearer_is_not_used(app, provider):
    """RFC 6749 §7.1: a client MUST NOT use an access token whose type it does not understand."""
    provider.token_type = "DPoP"
    with pytest.raises(ProviderUnreachable, match="of the type 'DPoP'"):
        app.extensions["xporter"].provider.client_token("reads.report")
    provider.token_type = "bearer"
    assert app.extensions["xporter"].provider.client_token("reads.report") == "our-own"
