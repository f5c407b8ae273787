"""For any request to an endpoint of the protocol, the response is a valid one of ours and contains no secret."""

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from idp.foundation import database
from tests.fuzz import answers
from tests.fuzz.conftest import FuzzTarget
from tests.fuzz.depth import deep
from tests.fuzz.hostile import Sent, anything, odd, tampered
from tests.fuzz.recorded_writes import recorded_writes
from tests.oidc import devices, registering
from tests.oidc.support import CALLBACK, page

REGISTERED = {
    CALLBACK, "https://assembly.example/signed-out", "https://assembly.example/initiate",
    "https://reports.example/callback",
}  # fmt: skip


def _posted(path: str, *, without_kid: bool = False, **form: str) -> Callable[[FuzzTarget], Sent]:
    def sent(target: FuzzTarget) -> Sent:
        filled = {name: value.format(**target.tokens) for name, value in form.items()}
        return Sent("POST", path, form=tuple(filled.items()), headers={} if without_kid else target.partner.basic)

    return sent


def _asks(target: FuzzTarget, **options: str) -> tuple[tuple[str, str], ...]:
    return tuple((target.partner.parameters() | {"claims": '{"userinfo":{"name":null}}'} | options).items())


VALID: dict[str, Callable[[FuzzTarget], Sent]] = {
    "authorize": lambda target: Sent("GET", "/oauth/authorize", query=_asks(target)),
    "authorize by post": lambda target: Sent("POST", "/oauth/authorize", form=_asks(target, response_mode="form_post")),
    "authorize silently": lambda target: Sent("GET", "/oauth/authorize", query=_asks(target, prompt="none")),
    "par": lambda target: Sent("POST", "/oauth/par", form=_asks(target), headers=target.partner.basic),
    "code": lambda target: replace(
        _posted("/oauth/token", grant_type="authorization_code", redirect_uri=CALLBACK)(target),
        form=(
            ("grant_type", "authorization_code"), ("code", target.code()), ("redirect_uri", CALLBACK),
            ("code_verifier", target.partner.verifier),
        ),
    ),
    "refresh": _posted("/oauth/token", grant_type="refresh_token", refresh_token="{refresh_token}", scope="openid"),
    "client credentials": _posted("/oauth/token", grant_type="client_credentials", scope="schools.list"),
    "device": _posted("/oauth/device_authorization", scope="openid school"),
    "poll": lambda target: _posted(
        "/oauth/token", grant_type=devices.GRANT,
        device_code=devices.Device(target.web, target.partner).asks().json["device_code"],
    )(target),
    "introspect": _posted("/oauth/introspect", token="{access_token}", token_type_hint="access_token"),
    "userinfo": lambda target: Sent(
        "GET", "/oauth/userinfo", headers=registering.bearer_header(target.tokens["access_token"])
    ),
    "userinfo by form": _posted("/oauth/userinfo", without_kid=True, access_token="{access_token}"),
    "logout": lambda target: Sent(
        "GET", "/oauth/logout",
        query=(
            ("id_token_hint", target.tokens["id_token"]), ("client_id", target.partner.id), ("state", "a-state"),
            ("post_logout_redirect_uri", "https://assembly.example/signed-out"),
        ),
    ),
    "device page": lambda target: Sent("GET", "/device", query=(("user_code", "WDJB-MJHT"),)),
    "jwks": lambda _target: Sent("GET", "/oauth/jwks"),
    "discovery": lambda _target: Sent("GET", "/.well-known/openid-configuration"),
    "authorization server": lambda _target: Sent("GET", "/.well-known/oauth-authorization-server"),
    "own registration": lambda target: Sent(
        "GET", registering.path_of(target.registration),
        headers=registering.bearer_header(target.registration["registration_access_token"]),
    ),
}  # fmt: skip
"""A valid request to each endpoint. Revocation has its own test, because it ends the token that it gets."""
PAGES = (
    "/", "/register", "/register/details", "/schools/search.json", "/sign-in", "/sign-out", "/signed-out", "/device",
    "/oauth/consent", "/oauth/mis", "/oauth/logout", "/mobile/confirm", "/register/next-steps", "/operate/sign-in",
)  # fmt: skip
PROTECTED_TABLES = {
    "administrators", "authorisations", "browser_sessions", "clients", "client_secrets", "estabs", "operators",
    "outbox", "refresh_families", "registration_tokens", "sharing_decisions", "signing_keys", "session_clients",
}  # fmt: skip
"""Tables that a refused request must not change. It may be logged, and a code or a proof is used up by its first use.
"""
ANSWERED = {"poll": {400}}
"""The statuses of valid requests where they are not 200, 201 or 303."""


@pytest.fixture
def browser(target, request):
    """The browser that sends the request: another one where it signs out, so that the other tests stay signed in."""
    return target.browser() if request.node.callspec.params["endpoint"] == "logout" else target.web


@pytest.mark.parametrize("endpoint", VALID)
def test_valid_requests_are_answered(target, browser, endpoint):
    response = VALID[endpoint](target).by(browser)
    assert response.status_code in ANSWERED.get(endpoint, {200, 201, 303}), response.text
    answers.check(response, REGISTERED, _foreign_secrets(target, endpoint))


def _foreign_secrets(target: FuzzTarget, endpoint: str) -> tuple[str, ...]:
    """Secrets that this endpoint's responses may not contain: all, except those that it returns to their owner."""
    own = {target.registration["client_secret"]} if endpoint == "own registration" else set()
    return tuple(secret for secret in target.secrets if secret not in own)


@pytest.mark.parametrize("endpoint", VALID)
@deep(0.25)
@given(data=st.data())
def test_tampered_requests_are_answered(target, endpoint, data):
    browser = target.browser() if endpoint == "logout" else target.web
    sent = data.draw(tampered(VALID[endpoint](target)))
    with recorded_writes(database.ENGINES.for_app(target.app).transactional) as writes:
        response = sent.by(browser)
    answers.check(response, REGISTERED, _foreign_secrets(target, endpoint))
    target.log.check(target.secrets)
    assert response.status_code < 400 or not writes.tables & PROTECTED_TABLES, (response.status_code, writes.tables)


@deep(0.5)
@given(data=st.data())
def test_any_revocation_request_is_answered(target, data):
    valid = Sent(
        "POST", "/oauth/revoke", form=(("token", data.draw(odd)), ("token_type_hint", "refresh_token")),
        headers=target.partner.basic,
    )  # fmt: skip
    answers.check(data.draw(tampered(valid)).by(target.web), REGISTERED, target.secrets)
    target.log.check(target.secrets)


@deep(0.6)
@given(data=st.data())
def test_any_registration_request_is_answered(target, data):
    metadata = registering.metadata()
    member_names = sorted(
        {*metadata, "jwks", "jwks_uri", "scope", "logo_uri", "contacts", "sector_identifier_uri", "subject_type"}
    )
    for name in data.draw(st.lists(st.sampled_from(member_names), max_size=3)):
        metadata[name] = data.draw(anything)
    metadata |= data.draw(st.dictionaries(odd, anything, max_size=2))
    valid = Sent(
        "POST", "/oauth/register", headers=registering.bearer_header(target.initial_token),
        body=json.dumps(metadata).encode(), content_type="application/json",
    )  # fmt: skip
    answers.check(valid.by(target.web), REGISTERED, target.secrets)
    own = replace(
        valid, method="PUT", path=registering.path_of(target.registration),
        headers=registering.bearer_header(target.registration["registration_access_token"]),
        body=json.dumps(metadata | {"client_id": target.registration["client_id"]}).encode(),
    )  # fmt: skip
    answers.check(own.by(target.web), REGISTERED, target.secrets)
    target.log.check(target.secrets)


@deep()
@given(name=odd)
def test_no_request_reveals_another_clients_registration(target, name):
    path = "/oauth/register/" + quote(name, errors="surrogatepass")
    for method in ("GET", "PUT", "DELETE"):
        response = Sent(method, path, headers=registering.bearer_header("x"), body=b"{}").by(target.web)
        answers.check(response, REGISTERED, target.secrets)
        assert response.status_code >= 300, response.text


@deep(0.5)
@given(data=st.data())
def test_any_sign_in_form_is_answered(target, data):
    web = target.browser()
    csrf_field = page(web.get("/sign-in")).find("input", {"name": "csrf_token"})
    fields = (("username", data.draw(odd | st.just(target.username))), ("password", data.draw(odd)))
    valid = Sent(
        "POST", "/sign-in", query=(("next", data.draw(odd)),), form=(("csrf_token", csrf_field["value"]), *fields)
    )
    answers.check(data.draw(tampered(valid)).by(web), (), target.secrets)
    target.log.check(target.secrets)


@pytest.mark.parametrize("path", PAGES)
@deep(0.15)
@given(data=st.data())
def test_any_query_of_a_page_is_answered(target, path, data):
    names = (
        "q", "school", "show", "choose", "next", "postcode", "urn", "dfe_number", "user_code", "request_uri",
        "client_id", "login_hint", "id_token_hint", "state", "post_logout_redirect_uri",
    )  # fmt: skip
    value = odd | st.integers(-(2**65), 2**65).map(str)
    query = data.draw(st.lists(st.tuples(st.sampled_from(names) | odd, value), max_size=4))
    answers.check(Sent("GET", path, query=tuple(query)).by(target.web), (), target.secrets)
    target.log.check(target.secrets)


@deep(0.5)
@given(data=st.data())
def test_any_text_on_the_device_page_is_answered(target, data):
    csrf_field = page(target.web.get("/device")).find("input", {"name": "csrf_token"})
    form = (("csrf_token", csrf_field["value"]), ("user_code", data.draw(odd)))
    answers.check(data.draw(tampered(Sent("POST", "/device", form=form))).by(target.web), REGISTERED, target.secrets)
