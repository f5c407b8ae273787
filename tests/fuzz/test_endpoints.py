"""Whatever is sent to an endpoint of the protocol, the answer is one of ours, and tells nobody's secret."""

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from idp.foundation import database
from tests.fuzz import answers
from tests.fuzz.conftest import Ground
from tests.fuzz.depth import deep
from tests.fuzz.hostile import Sent, anything, odd, tampered
from tests.fuzz.written import watching
from tests.oidc import devices, registering
from tests.oidc.support import CALLBACK

REGISTERED = {
    CALLBACK, "https://assembly.example/signed-out", "https://assembly.example/initiate",
    "https://reports.example/callback",
}  # fmt: skip


def _posted(path: str, *, bare: bool = False, **form: str) -> Callable[[Ground], Sent]:
    def sent(ground: Ground) -> Sent:
        filled = {name: value.format(**ground.tokens) for name, value in form.items()}
        return Sent("POST", path, form=tuple(filled.items()), headers={} if bare else ground.partner.basic)

    return sent


def _asks(ground: Ground, **options: str) -> tuple[tuple[str, str], ...]:
    return tuple((ground.partner.parameters() | {"claims": '{"userinfo":{"name":null}}'} | options).items())


SOUND: dict[str, Callable[[Ground], Sent]] = {
    "authorize": lambda ground: Sent("GET", "/oauth/authorize", query=_asks(ground)),
    "authorize by post": lambda ground: Sent("POST", "/oauth/authorize", form=_asks(ground, response_mode="form_post")),
    "authorize silently": lambda ground: Sent("GET", "/oauth/authorize", query=_asks(ground, prompt="none")),
    "par": lambda ground: Sent("POST", "/oauth/par", form=_asks(ground), headers=ground.partner.basic),
    "code": lambda ground: replace(
        _posted("/oauth/token", grant_type="authorization_code", redirect_uri=CALLBACK)(ground),
        form=(
            ("grant_type", "authorization_code"), ("code", ground.code()), ("redirect_uri", CALLBACK),
            ("code_verifier", ground.partner.verifier),
        ),
    ),
    "refresh": _posted("/oauth/token", grant_type="refresh_token", refresh_token="{refresh_token}", scope="openid"),
    "client credentials": _posted("/oauth/token", grant_type="client_credentials", scope="schools.list"),
    "device": _posted("/oauth/device_authorization", scope="openid school"),
    "poll": lambda ground: _posted(
        "/oauth/token", grant_type=devices.GRANT,
        device_code=devices.Device(ground.web, ground.partner).asks().json["device_code"],
    )(ground),
    "introspect": _posted("/oauth/introspect", token="{access_token}", token_type_hint="access_token"),
    "userinfo": lambda ground: Sent(
        "GET", "/oauth/userinfo", headers=registering.bearer(ground.tokens["access_token"])
    ),
    "userinfo by form": _posted("/oauth/userinfo", bare=True, access_token="{access_token}"),
    "logout": lambda ground: Sent(
        "GET", "/oauth/logout",
        query=(
            ("id_token_hint", ground.tokens["id_token"]), ("client_id", ground.partner.id), ("state", "a-state"),
            ("post_logout_redirect_uri", "https://assembly.example/signed-out"),
        ),
    ),
    "device page": lambda ground: Sent("GET", "/device", query=(("user_code", "WDJB-MJHT"),)),
    "jwks": lambda _ground: Sent("GET", "/oauth/jwks"),
    "discovery": lambda _ground: Sent("GET", "/.well-known/openid-configuration"),
    "authorization server": lambda _ground: Sent("GET", "/.well-known/oauth-authorization-server"),
    "own registration": lambda ground: Sent(
        "GET", registering.path_of(ground.registration),
        headers=registering.bearer(ground.registration["registration_access_token"]),
    ),
}  # fmt: skip
"""A sound request to each endpoint. Revocation is below: what it is sent is spent."""
PAGES = (
    "/", "/register", "/register/details", "/schools/search.json", "/sign-in", "/sign-out", "/signed-out", "/device",
    "/oauth/consent", "/oauth/mis", "/oauth/logout", "/mobile/confirm", "/register/next-steps", "/operate/sign-in",
)  # fmt: skip
LASTING = {
    "administrators", "authorisations", "browser_sessions", "clients", "client_secrets", "estabs", "operators",
    "outbox", "refresh_families", "registration_tokens", "sharing_decisions", "signing_keys", "session_clients",
}  # fmt: skip
"""What a refused request must not touch. That it came may be noted, and a code or a proof is spent by its first use."""
ANSWERED = {"poll": {400}}
"""What a sound one is answered, where that is not 200, 201 or 303."""


@pytest.fixture
def asking(ground, request):
    """The browser that asks: signing out must not take the others' session along."""
    return ground.browser() if request.node.callspec.params["endpoint"] == "logout" else ground.web


@pytest.mark.parametrize("endpoint", SOUND)
def test_what_is_sound_is_answered(ground, asking, endpoint):
    response = SOUND[endpoint](ground).by(asking)
    assert response.status_code in ANSWERED.get(endpoint, {200, 201, 303}), response.text
    answers.check(response, REGISTERED, _nobodys(ground, endpoint))


def _nobodys(ground: Ground, endpoint: str) -> tuple[str, ...]:
    """Secrets that this endpoint's answer may not hold: all, but what it gives to its owner."""
    own = {ground.registration["client_secret"]} if endpoint == "own registration" else set()
    return tuple(secret for secret in ground.secrets if secret not in own)


@pytest.mark.parametrize("endpoint", SOUND)
@deep(0.25)
@given(data=st.data())
def test_what_is_tampered_with_is_answered_too(ground, endpoint, data):
    asking = ground.browser() if endpoint == "logout" else ground.web
    sent = data.draw(tampered(SOUND[endpoint](ground)))
    with watching(database.ENGINES.of(ground.app).transactional) as written:
        response = sent.by(asking)
    answers.check(response, REGISTERED, _nobodys(ground, endpoint))
    ground.log.check(ground.secrets)
    assert response.status_code < 400 or not written.tables & LASTING, (response.status_code, written.tables)


@deep(0.5)
@given(data=st.data())
def test_revocation_is_answered(ground, data):
    sound = Sent(
        "POST", "/oauth/revoke", form=(("token", data.draw(odd)), ("token_type_hint", "refresh_token")),
        headers=ground.partner.basic,
    )  # fmt: skip
    answers.check(data.draw(tampered(sound)).by(ground.web), REGISTERED, ground.secrets)
    ground.log.check(ground.secrets)


@deep(0.6)
@given(data=st.data())
def test_whatever_is_registered_is_answered(ground, data):
    metadata = registering.metadata()
    known = sorted(
        {*metadata, "jwks", "jwks_uri", "scope", "logo_uri", "contacts", "sector_identifier_uri", "subject_type"}
    )
    for name in data.draw(st.lists(st.sampled_from(known), max_size=3)):
        metadata[name] = data.draw(anything)
    metadata |= data.draw(st.dictionaries(odd, anything, max_size=2))
    sound = Sent(
        "POST", "/oauth/register", headers=registering.bearer(ground.initial_token),
        body=json.dumps(metadata).encode(), content_type="application/json",
    )  # fmt: skip
    answers.check(sound.by(ground.web), REGISTERED, ground.secrets)
    own = replace(
        sound, method="PUT", path=registering.path_of(ground.registration),
        headers=registering.bearer(ground.registration["registration_access_token"]),
        body=json.dumps(metadata | {"client_id": ground.registration["client_id"]}).encode(),
    )  # fmt: skip
    answers.check(own.by(ground.web), REGISTERED, ground.secrets)
    ground.log.check(ground.secrets)


@deep()
@given(name=odd)
def test_no_request_reveals_another_clients_registration(ground, name):
    path = "/oauth/register/" + quote(name, errors="surrogatepass")
    for method in ("GET", "PUT", "DELETE"):
        response = Sent(method, path, headers=registering.bearer("x"), body=b"{}").by(ground.web)
        answers.check(response, REGISTERED, ground.secrets)
        assert response.status_code >= 300, response.text


@deep(0.5)
@given(data=st.data())
def test_whatever_is_typed_to_sign_in_is_answered(ground, data):
    web = ground.browser()
    csrf_field = devices.page(web.get("/sign-in")).find("input", {"name": "csrf_token"})
    fields = (("username", data.draw(odd | st.just(ground.username))), ("password", data.draw(odd)))
    sound = Sent(
        "POST", "/sign-in", query=(("next", data.draw(odd)),), form=(("csrf_token", csrf_field["value"]), *fields)
    )
    answers.check(data.draw(tampered(sound)).by(web), (), ground.secrets)
    ground.log.check(ground.secrets)


@pytest.mark.parametrize("path", PAGES)
@deep(0.15)
@given(data=st.data())
def test_whatever_a_page_is_asked_for_it_is_answered(ground, path, data):
    names = (
        "q", "school", "show", "choose", "next", "postcode", "urn", "dfe_number", "user_code", "request_uri",
        "client_id", "login_hint", "id_token_hint", "state", "post_logout_redirect_uri",
    )  # fmt: skip
    value = odd | st.integers(-(2**65), 2**65).map(str)
    query = data.draw(st.lists(st.tuples(st.sampled_from(names) | odd, value), max_size=4))
    answers.check(Sent("GET", path, query=tuple(query)).by(ground.web), (), ground.secrets)
    ground.log.check(ground.secrets)


@deep(0.5)
@given(data=st.data())
def test_whatever_is_typed_on_the_devices_page_is_answered(ground, data):
    csrf_field = devices.page(ground.web.get("/device")).find("input", {"name": "csrf_token"})
    form = (("csrf_token", csrf_field["value"]), ("user_code", data.draw(odd)))
    answers.check(data.draw(tampered(Sent("POST", "/device", form=form))).by(ground.web), REGISTERED, ground.secrets)
