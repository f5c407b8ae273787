"""For any request to an endpoint of the protocol, the response is a valid one of ours and contains no secret."""

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from idp.foundation import database
from tests.fuzz import responses
from tests.fuzz.conftest import FuzzTarget
from tests.fuzz.hostile import Request, any_json, odd_text, tampered
from tests.fuzz.profiles import fuzz_settings
from tests.fuzz.recorded_writes import recorded_writes
from tests.oidc import devices, registering
from tests.oidc.support import CALLBACK, page

REGISTERED = {
    CALLBACK, "https://assembly.example/signed-out", "https://assembly.example/initiate",
    "https://reports.example/callback",
}  # fmt: skip


def _post(path: str, *, authenticates: bool = True, **form: str) -> Callable[[FuzzTarget], Request]:
    def make(target: FuzzTarget) -> Request:
        fields = {name: value.format(**target.tokens) for name, value in form.items()}
        return Request("POST", path, form=tuple(fields.items()), headers=target.partner.basic if authenticates else {})

    return make


def _authorization_parameters(target: FuzzTarget, **options: str) -> tuple[tuple[str, str], ...]:
    return tuple((target.partner.parameters() | {"claims": '{"userinfo":{"name":null}}'} | options).items())


VALID: dict[str, Callable[[FuzzTarget], Request]] = {
    "authorize": lambda target: Request("GET", "/oauth/authorize", query=_authorization_parameters(target)),
    "authorize by post": lambda target: Request(
        "POST", "/oauth/authorize", form=_authorization_parameters(target, response_mode="form_post")
    ),
    "authorize silently": lambda target: Request(
        "GET", "/oauth/authorize", query=_authorization_parameters(target, prompt="none")
    ),
    "par": lambda target: Request(
        "POST", "/oauth/par", form=_authorization_parameters(target), headers=target.partner.basic
    ),
    "code": lambda target: replace(
        _post("/oauth/token", grant_type="authorization_code", redirect_uri=CALLBACK)(target),
        form=(
            ("grant_type", "authorization_code"), ("code", target.code()), ("redirect_uri", CALLBACK),
            ("code_verifier", target.partner.verifier),
        ),
    ),
    "refresh": _post("/oauth/token", grant_type="refresh_token", refresh_token="{refresh_token}", scope="openid"),
    "client credentials": _post("/oauth/token", grant_type="client_credentials", scope="schools.list"),
    "device": _post("/oauth/device_authorization", scope="openid school"),
    "poll": lambda target: _post(
        "/oauth/token", grant_type=devices.GRANT,
        device_code=devices.Device(target.web, target.partner).request_codes().json["device_code"],
    )(target),
    "introspect": _post("/oauth/introspect", token="{access_token}", token_type_hint="access_token"),
    "userinfo": lambda target: Request(
        "GET", "/oauth/userinfo", headers=registering.bearer_header(target.tokens["access_token"])
    ),
    "userinfo by form": _post("/oauth/userinfo", authenticates=False, access_token="{access_token}"),
    "logout": lambda target: Request(
        "GET", "/oauth/logout",
        query=(
            ("id_token_hint", target.tokens["id_token"]), ("client_id", target.partner.id), ("state", "a-state"),
            ("post_logout_redirect_uri", "https://assembly.example/signed-out"),
        ),
    ),
    "device page": lambda target: Request("GET", "/device", query=(("user_code", "WDJB-MJHT"),)),
    "jwks": lambda _target: Request("GET", "/oauth/jwks"),
    "discovery": lambda _target: Request("GET", "/.well-known/openid-configuration"),
    "authorization server": lambda _target: Request("GET", "/.well-known/oauth-authorization-server"),
    "own registration": lambda target: Request(
        "GET", registering.path_of(target.registration),
        headers=registering.bearer_header(target.registration["registration_access_token"]),
    ),
}  # fmt: skip
"""A valid request to each endpoint. Revocation has its own test, because it ends the token that is sent."""
PAGES = (
    "/", "/register", "/register/details", "/schools/search.json", "/sign-in", "/sign-out", "/signed-out", "/device",
    "/oauth/consent", "/oauth/mis", "/oauth/app", "/oauth/logout", "/mobile/confirm", "/register/next-steps",
    "/operate/sign-in",
)  # fmt: skip
PROTECTED_TABLES = {
    "administrators", "authorisations", "browser_sessions", "clients", "client_secrets", "estabs", "operators",
    "outbox", "refresh_families", "registration_tokens", "sharing_decisions", "signing_keys", "session_clients",
}  # fmt: skip
"""Tables that a refused request must not change. It may be logged, and a code or a proof is used up by its first use.
"""
VALID_STATUSES = {"poll": {400}}
"""The statuses of responses to valid requests where they are not 200, 201 or 303."""


@pytest.fixture
def browser(target, request):
    """The browser that sends the request: a new one for `logout`, so that `target.web` stays signed in."""
    return target.browser() if request.node.callspec.params["endpoint"] == "logout" else target.web


@pytest.mark.parametrize("endpoint", VALID)
def test_valid_requests_succeed(target, browser, endpoint):
    response = VALID[endpoint](target).send(browser)
    assert response.status_code in VALID_STATUSES.get(endpoint, {200, 201, 303}), response.text
    responses.check(response, REGISTERED, _foreign_secrets(target, endpoint))


def _foreign_secrets(target: FuzzTarget, endpoint: str) -> tuple[str, ...]:
    """Secrets that this endpoint's responses may not contain: all, except those that it returns to their owner."""
    own = {target.registration["client_secret"]} if endpoint == "own registration" else set()
    return tuple(secret for secret in target.secrets if secret not in own)


@pytest.mark.parametrize("endpoint", VALID)
@fuzz_settings(0.25)
@given(data=st.data())
def test_tampered_requests_get_a_valid_response(target, endpoint, data):
    browser = target.browser() if endpoint == "logout" else target.web
    sent = data.draw(tampered(VALID[endpoint](target)))
    with recorded_writes(database.CONNECTIONS.for_app(target.app).engine) as writes:
        response = sent.send(browser)
    responses.check(response, REGISTERED, _foreign_secrets(target, endpoint))
    target.log.check(target.secrets)
    assert response.status_code < 400 or not writes.tables & PROTECTED_TABLES, (response.status_code, writes.tables)


@fuzz_settings(0.5)
@given(data=st.data())
def test_any_revocation_request_gets_a_valid_response(target, data):
    valid = Request(
        "POST", "/oauth/revoke", form=(("token", data.draw(odd_text)), ("token_type_hint", "refresh_token")),
        headers=target.partner.basic,
    )  # fmt: skip
    responses.check(data.draw(tampered(valid)).send(target.web), REGISTERED, target.secrets)
    target.log.check(target.secrets)


@fuzz_settings(0.6)
@given(data=st.data())
def test_any_registration_request_gets_a_valid_response(target, data):
    metadata = registering.metadata()
    member_names = sorted(
        {*metadata, "jwks", "jwks_uri", "scope", "logo_uri", "contacts", "sector_identifier_uri", "subject_type"}
    )
    for name in data.draw(st.lists(st.sampled_from(member_names), max_size=3)):
        metadata[name] = data.draw(any_json)
    metadata |= data.draw(st.dictionaries(odd_text, any_json, max_size=2))
    valid = Request(
        "POST", "/oauth/register", headers=registering.bearer_header(target.initial_token),
        body=json.dumps(metadata).encode(), content_type="application/json",
    )  # fmt: skip
    responses.check(valid.send(target.web), REGISTERED, target.secrets)
    own = replace(
        valid, method="PUT", path=registering.path_of(target.registration),
        headers=registering.bearer_header(target.registration["registration_access_token"]),
        body=json.dumps(metadata | {"client_id": target.registration["client_id"]}).encode(),
    )  # fmt: skip
    responses.check(own.send(target.web), REGISTERED, target.secrets)
    target.log.check(target.secrets)


@fuzz_settings()
@given(name=odd_text)
def test_no_request_reveals_another_clients_registration(target, name):
    path = "/oauth/register/" + quote(name, errors="surrogatepass")
    for method in ("GET", "PUT", "DELETE"):
        response = Request(method, path, headers=registering.bearer_header("x"), body=b"{}").send(target.web)
        responses.check(response, REGISTERED, target.secrets)
        assert response.status_code >= 300, response.text


@fuzz_settings(0.5)
@given(data=st.data())
def test_any_sign_in_form_gets_a_valid_response(target, data):
    web = target.browser()
    csrf_field = page(web.get("/sign-in")).find("input", {"name": "csrf_token"})
    fields = (("username", data.draw(odd_text | st.just(target.username))), ("password", data.draw(odd_text)))
    valid = Request(
        "POST", "/sign-in", query=(("next", data.draw(odd_text)),), form=(("csrf_token", csrf_field["value"]), *fields)
    )
    responses.check(data.draw(tampered(valid)).send(web), (), target.secrets)
    target.log.check(target.secrets)


@pytest.mark.parametrize("path", PAGES)
@fuzz_settings(0.15)
@given(data=st.data())
def test_any_query_of_a_page_gets_a_valid_response(target, path, data):
    names = (
        "q", "school", "show", "choose", "next", "postcode", "urn", "dfe_number", "user_code", "request_uri",
        "client_id", "login_hint", "id_token_hint", "state", "post_logout_redirect_uri",
    )  # fmt: skip
    value = odd_text | st.integers(-(2**65), 2**65).map(str)
    query = data.draw(st.lists(st.tuples(st.sampled_from(names) | odd_text, value), max_size=4))
    responses.check(Request("GET", path, query=tuple(query)).send(target.web), (), target.secrets)
    target.log.check(target.secrets)


@fuzz_settings(0.5)
@given(data=st.data())
def test_any_text_on_the_device_page_gets_a_valid_response(target, data):
    csrf_field = page(target.web.get("/device")).find("input", {"name": "csrf_token"})
    form = (("csrf_token", csrf_field["value"]), ("user_code", data.draw(odd_text)))
    responses.check(
        data.draw(tampered(Request("POST", "/device", form=form))).send(target.web), REGISTERED, target.secrets
    )
