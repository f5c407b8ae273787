"""A client's developer can see why a request failed: the parameter, what is wrong with it, and never a secret."""

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from idp.oidc.clients import failures
from idp.partners import failure_log, registry
from idp.partners.cli import clients
from idp.partners.models import ClientEvent
from idp.worker import clean
from tests.factories import secret_of
from tests.oidc.registering import Registrar, an_initial_token, metadata
from tests.oidc.support import CALLBACK, obtain_tokens, sign_in_and_authorise
from tests.security.test_code_replay import call_concurrently

CANARY = "canary-4f1c"


@pytest.fixture
def client_log(transaction):
    """`client_log(partner)` is the client's log of failed requests, the newest first."""

    def read(partner):
        with transaction():
            return failure_log.newest(partner.id)

    return read


def single(events):
    """The only event of the list."""
    assert len(events) == 1, [(event.error, event.parameter, event.fact) for event in events]
    return events[0]


def test_a_redirect_uri_is_compared_with_each_that_is_registered(web, world, client_log):
    partner = world.new_partner(redirect_uris=[CALLBACK, "https://assembly.example:8443/back?a=b"])
    web.get(partner.link(redirect_uri="https://assembly.example/callbak"))
    event = single(client_log(partner))
    assert (event.endpoint, event.error, event.parameter) == ("GET /oauth/authorize", "invalid_request", "redirect_uri")
    assert "its path is not that of any URI" in event.fact
    assert event.comparison == [
        {"sent": "https://assembly.example/callbak", "registered": CALLBACK, "differs_in": ["path"]},
        {
            "sent": "https://assembly.example/callbak", "registered": "https://assembly.example:8443/back?a=b",
            "differs_in": ["port", "path", "query"],
        },
    ]  # fmt: skip


@pytest.mark.parametrize("sent", ["http://127.0.0.1:49152/callbak", "http://127.0.0.1/callbak"])
def test_the_port_of_a_loopback_uri_is_not_reported_as_different(web, world, client_log, sent):
    partner = world.new_partner(token_endpoint_auth_method="none", redirect_uris=["http://127.0.0.1:8000/callback"])
    assert "its path is not that of any URI" in web.get(partner.link(redirect_uri=sent)).text
    assert single(client_log(partner)).comparison[0]["differs_in"] == ["path"]


def test_a_wrong_redirect_uri_of_a_pushed_request_is_logged(web, world, client_log):
    parameters = world.partner.parameters(redirect_uri="http://assembly.example/callback")
    assert world.partner.post(web, "/oauth/par", parameters).status_code == 400
    event = single(client_log(world.partner))
    assert (event.endpoint, event.parameter) == ("POST /oauth/par", "redirect_uri")
    assert event.comparison[0]["differs_in"] == ["scheme"]


def test_a_wrong_post_logout_redirect_uri_is_logged(web, world, client_log):
    tokens = obtain_tokens(web, world.partner, world.username)
    parameters = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": "https://assembly.example/out"}
    assert web.get("/oauth/logout", query_string=parameters).status_code == 400
    event = single(client_log(world.partner))
    assert (event.parameter, event.comparison[0]["differs_in"]) == ("post_logout_redirect_uri", ["path"])


@pytest.mark.parametrize(
    ("overrides", "error", "parameter"),
    [
        ({"response_type": "token"}, "unsupported_response_type", "response_type"),
        ({"scope": "openid nonsense"}, "invalid_scope", "scope"),
        ({"code_challenge_method": "plain"}, "invalid_request", "code_challenge_method"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request", "code_challenge"),
        ({"prompt": "none login"}, "invalid_request", "prompt"),
        ({"max_age": "soon"}, "invalid_request", "max_age"),
        ({"claims": "{"}, "invalid_request", "claims"),
        ({"id_token_hint": "x"}, "invalid_request", "id_token_hint"),
        ({"request_uri": "https://assembly.example/r"}, "request_uri_not_supported", "request_uri"),
        ({"request": "a.b.c"}, "invalid_request_object", "request"),
        ({"resource": "https://other.example"}, "invalid_target", "resource"),
        ({"redirect_uri": None}, "invalid_request", "redirect_uri"),
        ({"nonce": "x" * 600}, "invalid_request", "nonce"),
    ],
)  # fmt: skip
def test_a_failure_at_authorize_names_the_parameter(web, world, client_log, overrides, error, parameter):
    web.get(world.partner.link(**overrides))
    event = single(client_log(world.partner))
    assert (event.error, event.parameter) == (error, parameter)
    assert event.fact


@pytest.mark.parametrize(
    ("form", "error", "parameter"),
    [
        ({"grant_type": None, "x": "y"}, "invalid_request", "grant_type"),
        ({"grant_type": "authorization_code", "code": CANARY, "redirect_uri": CALLBACK}, "invalid_grant", ""),
        ({"grant_type": "refresh_token", "refresh_token": CANARY}, "invalid_grant", "refresh_token"),
        ({"grant_type": "refresh_token", "refresh_token": "x" * 9000}, "invalid_request", "refresh_token"),
    ],
)  # fmt: skip
def test_a_failure_at_the_token_endpoint_names_the_parameter(web, world, client_log, form, error, parameter):
    world.partner.post(web, "/oauth/token", form)
    event = single(client_log(world.partner))
    assert (event.endpoint, event.error) == ("POST /oauth/token", error)
    assert event.parameter in {parameter, "code"}


def test_the_reason_of_a_failed_authentication_is_logged_and_not_in_the_response(web, world, client_log):
    in_the_form = world.new_partner()
    world.partner.secret = "wrong"
    form = {"grant_type": "refresh_token", "client_id": in_the_form.id, "client_secret": "wrong"}
    for partner, response in (
        (world.partner, world.partner.redeem(web, "x")),
        (in_the_form, web.post("/oauth/token", data=form)),
    ):
        assert response.json["error_description"].startswith("client authentication failed")
        event = single(client_log(partner))
        assert (event.error, event.parameter) == ("invalid_client", "client_secret")
        assert "not one of the client's" in event.fact


def test_use_of_an_unregistered_method_is_logged(web, world, client_log):
    pinned = world.new_partner(pin_token_endpoint_auth_method=True)
    form = {"grant_type": "refresh_token", "client_id": pinned.id, "client_secret": pinned.secret}
    web.post("/oauth/token", data=form)
    event = single(client_log(pinned))
    assert event.fact == "was by client_secret_post, and the client is registered for client_secret_basic alone"


def test_a_secret_sent_by_a_client_with_a_key_is_logged(web, world, client_log):
    partner = world.new_partner(token_endpoint_auth_method="private_key_jwt", jwks={"keys": []})
    partner.post(web, "/oauth/token", {"grant_type": "refresh_token", "refresh_token": "x"})
    event = single(client_log(partner))
    assert event.fact == "was by client_secret_basic, and the client is registered for private_key_jwt"


def test_the_reason_of_a_refused_assertion_is_logged(web, world, client_log):
    from joserfc import jwt
    from joserfc.jwk import ECKey

    key = ECKey.generate_key("P-256", parameters={"kid": "k"})
    partner = world.new_partner(
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key.as_dict(private=False)]}
    )
    assertion = jwt.encode({"alg": "ES256", "kid": "k"}, {"iss": partner.id, "sub": partner.id, "aud": "x"}, key)
    form = {
        "grant_type": "refresh_token", "client_assertion": assertion,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }  # fmt: skip
    assert web.post("/oauth/token", data=form).status_code == 401
    event = single(client_log(partner))
    assert event.parameter == "client_assertion"
    assert assertion not in event.fact


def test_requests_of_a_disabled_client_are_logged_as_such(web, world, client_log):
    with world.transaction():
        registry.disable(world.partner.id, by="cli")
    world.partner.redeem(web, "x")
    web.get(world.partner.link())
    facts = {entry.endpoint: entry.fact for entry in client_log(world.partner)}
    assert "disabled" in facts["POST /oauth/token"]
    assert "disabled" in facts["GET /oauth/authorize"]
    assert facts.keys() == {"POST /oauth/token", "GET /oauth/authorize"}


def test_people_see_that_a_disabled_service_is_switched_off(web, world):
    link = world.partner.link()
    with world.transaction():
        registry.disable(world.partner.id, by="cli")
    response = web.get(link)

    assert response.status_code == 400
    assert "This service is switched off at the moment" in response.text
    assert "mistake" not in response.text
    response = web.get("/oauth/logout", query_string={"client_id": world.partner.id})
    assert "is switched off at the moment" in response.text


def test_an_unknown_client_is_not_reported_as_switched_off(web, world):
    for name in ("never-was-one", "\x00", "x" * 500):
        response = web.get("/oauth/authorize", query_string={"client_id": name, "response_type": "code"})

        assert response.status_code == 400
        assert "switched off" not in response.text


def test_each_error_of_a_refused_registration_is_logged(web, transaction, client_log):
    with transaction():
        registrar = Registrar(web, an_initial_token())
    registration = registrar.registered()
    registrar.manage(
        registration, "PUT", json=metadata(client_id=registration["client_id"], contacts=["x"], grant_types=5)
    )

    partner = SimpleNamespace(id=registration["client_id"])
    assert {entry.parameter for entry in client_log(partner)} == {"contacts[0]", "grant_types"}


def test_expected_error_responses_are_not_logged(web, world, client_log):
    web.get(world.partner.link(prompt="none"))
    assert client_log(world.partner) == []


def test_repeated_failures_are_counted(web, world, client_log, clock):
    for _ in range(3):
        web.get(world.partner.link(max_age="soon"))
        clock.move(timedelta(minutes=1))
    event = single(client_log(world.partner))
    assert event.count == 3
    assert event.last_at - event.first_at == timedelta(minutes=2)


def test_of_many_wrong_uris_the_last_is_shown_and_the_others_counted(web, world, client_log):
    web.get(world.partner.link(max_age="soon"))
    for number in range(5):
        web.get(world.partner.link(redirect_uri=f"https://assembly.example/{number}"))
    by_name = {entry.parameter: entry for entry in client_log(world.partner)}
    assert by_name.keys() == {"redirect_uri", "max_age"}
    assert by_name["redirect_uri"].count == 5
    assert by_name["redirect_uri"].comparison[0]["sent"] == "https://assembly.example/4"


def test_only_the_newest_failures_are_kept(world, transaction, clock):
    for number in range(failure_log.MAX_EVENTS + 5):
        with transaction():
            failure_log.record(
                world.partner.id, failure_log.Failure(f"GET /{number}", "invalid_request", "scope", "missing")
            )
        clock.move(timedelta(seconds=1))
    with transaction():
        endpoints = [entry.endpoint for entry in failure_log.newest(world.partner.id)]
    assert endpoints == [f"GET /{number}" for number in range(failure_log.MAX_EVENTS + 4, 4, -1)]


def test_many_failures_of_one_parameter_do_not_displace_those_of_others(world, transaction, clock):
    """Anybody can ask in a client's name for scopes that do not exist."""
    with transaction():
        failure_log.record(world.partner.id, failure_log.Failure("GET /x", "invalid_request", "state", "too long"))
    for number in range(failure_log.MAX_EVENTS):
        clock.move(timedelta(seconds=1))
        name = "x" * (number + 1)
        with transaction():
            failure = failure_log.Failure("GET /x", "invalid_scope", "scope", f"does not exist: {name}")
            failure_log.record(world.partner.id, failure)
    with transaction():
        events = failure_log.newest(world.partner.id)
    assert len(events) == failure_log.MAX_SIMILAR_EVENTS + 1
    assert events[0].fact.endswith("x" * failure_log.MAX_EVENTS)
    assert events[-1].parameter == "state"


def test_failures_that_differ_by_a_number_only_are_counted_together(world, transaction, client_log, clock):
    for seconds in (61, 62, 63):
        with transaction():
            failure = failure_log.Failure(
                "POST /x", "invalid_client", "iat", f"is {seconds} seconds ahead of our clock"
            )
            failure_log.record(world.partner.id, failure)
        clock.move(timedelta(seconds=1))
    event = single(client_log(world.partner))
    assert (event.count, event.fact) == (3, "is 63 seconds ahead of our clock")


def test_a_request_of_an_unknown_client_is_not_logged(web, transaction):
    web.get("/oauth/authorize?client_id=unknown")
    web.post("/oauth/token", data={"client_id": "unknown", "grant_type": "x"})
    web.post("/oauth/token", data={"grant_type": "x"})
    with transaction() as session:
        assert session.query(ClientEvent).count() == 0


def test_no_secret_and_no_value_is_stored(web, world, transaction):
    partner = world.partner
    partner.secret = CANARY
    form = {
        "grant_type": "authorization_code", "code": CANARY, "code_verifier": CANARY, "redirect_uri": CALLBACK,
        "refresh_token": CANARY, "client_assertion": CANARY,
    }  # fmt: skip
    partner.post(web, "/oauth/token", form)
    partner.secret = secret_of(partner.id)
    partner.post(web, "/oauth/token", form)
    partner.post(web, "/oauth/token", form | {"client_assertion": None})
    partner.post(web, "/oauth/revoke", {"token": CANARY, "client_assertion": CANARY})
    for uri in (f"https://assembly.example/callback?session={CANARY}", f"https://{CANARY}:{CANARY}@assembly.example/x",
                f"https://assembly.example/callback#{CANARY}"):  # fmt: skip
        web.get(partner.link(redirect_uri=uri))
    for name in ("state", "nonce", "login_hint", "claims", "max_age", "id_token_hint", "request", CANARY):
        web.get(partner.link(**{name: CANARY, "prompt": "none consent"}))
    with transaction() as session:
        rows = [tuple(row) for row in session.execute(select(ClientEvent.__table__))]
    assert len(rows) > 5
    assert CANARY not in repr(rows)


def test_a_uri_is_shown_without_what_could_be_secret(web, world, client_log):
    web.get(world.partner.link(redirect_uri="https://me:pw@assembly.example/callback?a=1&b=#c"))
    assert (
        single(client_log(world.partner)).comparison[0]["sent"]
        == "https://...@assembly.example/callback?a=...&b=...#..."
    )


def test_a_failure_that_rolls_back_the_request_is_still_logged(web, world, client_log):
    assert web.get(world.partner.link(redirect_uri="https://[")).status_code == 400
    assert single(client_log(world.partner)).parameter == "redirect_uri"


def test_a_failure_is_logged_when_its_page_reads_the_session(web, world, client_log):
    """SQLite has one writer: a transaction that the page began would make writing the log wait for its own request."""
    sign_in_and_authorise(web, world.partner, world.username)
    assert web.get(world.partner.link(redirect_uri="https://assembly.example/callbak")).status_code == 400
    assert single(client_log(world.partner)).parameter == "redirect_uri"


def test_a_failure_is_logged_when_the_client_must_be_read_again(web, world, client_log, monkeypatch):
    monkeypatch.setattr(registry, "CACHE_SECONDS", 0)
    assert web.get(world.partner.link(redirect_uri="https://assembly.example/callbak")).status_code == 400
    assert single(client_log(world.partner)).comparison


def test_requests_that_fail_in_the_same_ways_at_once_are_all_counted(web, transaction, client_log, new_browser):
    """Two transactions that lock the same rows in different orders would deadlock on PostgreSQL."""
    with transaction():
        registrar = Registrar(web, an_initial_token())
    registration = registrar.registered()

    wrong = [{"contacts": ["x"], "grant_types": 5}, {"grant_types": 5, "contacts": ["x"]}]
    bodies = iter([metadata(client_id=registration["client_id"]) | item for item in wrong * 4])
    responses = call_concurrently(
        8, lambda: Registrar(new_browser(), "").manage(registration, "PUT", json=next(bodies))
    )
    assert {response.status_code for response in responses} == {400}
    assert {entry.count for entry in client_log(SimpleNamespace(id=registration["client_id"]))} == {8}


@pytest.mark.parametrize(("module", "name"), [(failure_log, "record"), (failures, "_comparison")])
def test_a_log_that_cannot_be_written_does_not_change_the_response(web, world, client_log, monkeypatch, module, name):
    def fail(*_):
        raise OperationalError("INSERT", None, Exception("locked"))

    monkeypatch.setattr(module, name, fail)
    assert web.get(world.partner.link(redirect_uri="https://assembly.example/callbak")).status_code == 400
    assert client_log(world.partner) == []


def test_old_failures_are_deleted(web, world, transaction, client_log, clock):
    web.get(world.partner.link(max_age="soon"))
    clock.move(timedelta(days=29))
    clean(transaction)
    assert client_log(world.partner)
    clock.move(timedelta(days=2))
    clean(transaction)
    assert client_log(world.partner) == []


# The command


@pytest.fixture
def run_events(app):
    """`run_events(client_id, "--json")` runs `idp clients events`."""
    return lambda *arguments: CliRunner().invoke(clients, ["events", *arguments], obj=lambda: app)


def test_the_command_lists_failures_as_text(web, world, run_events, clock):
    assert "No request of this client has failed recently." in run_events(world.partner.id).output
    for _ in range(2):
        web.get(world.partner.link(redirect_uri="https://assembly.example/callbak"))
    output = run_events(world.partner.id).output
    assert "2026-03-02 09:30 UTC (09:30 GMT)  GET /oauth/authorize  invalid_request  2 times since 2026-03-02" in output
    assert "redirect_uri: its path is not that of any URI" in output
    assert "sent        https://assembly.example/callbak" in output
    assert f"registered  {CALLBACK}  (differs in path)" in output


def test_the_command_prints_json(web, world, run_events):
    web.get(world.partner.link(redirect_uri="https://assembly.example/callbak"))
    (event,) = json.loads(run_events(world.partner.id, "--json").stdout)
    assert event["parameter"] == "redirect_uri"
    assert event["comparison"][0]["registered"] == CALLBACK


def test_the_command_refuses_an_unknown_client(run_events):
    result = run_events("unknown")
    assert result.exit_code == 1
    assert "There is no client with that client_id" in result.output
