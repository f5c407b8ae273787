"""Basic OP (protocol.md §3.2): the code flow with `client_secret_basic` and, but for the last module, no PKCE.

The modules are run as they are by other plans too: with `response_mode=form_post` in `test_form_post.py`.
"""

import base64
import hashlib
import secrets
from urllib.parse import quote

import pytest

from tests.conformance import conditions

PLAN = "Basic OP"
MODULE = "oidcc-{}"

CORE = "OpenID Connect Core 1.0"
PROFILE = {
    "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
    "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
}  # fmt: skip
"""The claims of OpenID Connect Core §5.4; a school's administrator has only some of them, which discovery lists."""
ID_TOKEN = {"iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "at_hash", "nonce"}
EMAIL, PHONE = {"email", "email_verified"}, {"phone_number", "phone_number_verified"}

spec = pytest.mark.spec
not_applicable = pytest.mark.not_applicable


@spec(
    CORE,
    "3.1.3.3",
    requirement="A code flow returns tokens, a valid ID Token and userinfo, with requested claims only",
)
def test_server(client, browser):
    signed_in = client.sign_in(browser)
    assert set(signed_in.claims) - {"sid"} == ID_TOKEN  # it exists for clients that sign out
    assert set(signed_in.userinfo) == {"sub"}
    assert signed_in.tokens["scope"] == "openid"


@spec("RFC 6749", "4.1.2.1", requirement="A request without response_type is refused at the redirect URI")
def test_response_type_missing(client, browser):
    client.assert_refused(browser.visit(client.authorization_url(response_type=None)), "invalid_request")


@spec(
    CORE,
    "15.1",
    requirement="An ID Token is signed with RS256 unless registered otherwise, and names its key",
)
def test_idtoken_signature(a_registered_client, browser):
    client = a_registered_client()
    assert client.metadata["id_token_signed_response_alg"] == "RS256"
    client.sign_in(browser)


@not_applicable
@spec(CORE, "2", requirement="Unsigned ID Tokens: alg none is not advertised, and cannot be registered")
def test_idtoken_unsigned(provider, register):
    assert "none" not in provider.metadata["id_token_signing_alg_values_supported"]
    conditions.registration_refused(register(id_token_signed_response_alg="none"), "invalid_client_metadata")


@spec(CORE, "5.3.1", requirement="Userinfo accepts the token in the Authorization header of a GET")
def test_userinfo_get(client, browser):
    signed_in = client.sign_in(browser, scope="openid profile")
    assert signed_in.userinfo["sub"] == signed_in.claims["sub"]
    assert isinstance(signed_in.userinfo["updated_at"], int)


@spec(CORE, "5.3.1", requirement="Userinfo accepts the token in the Authorization header of a POST")
def test_userinfo_post_header(client, browser):
    signed_in = client.sign_in(browser)
    assert client.userinfo_claims(signed_in.access_token, "post") == signed_in.userinfo


@spec("RFC 6750", "2.2", requirement="Userinfo accepts the token in a form")
def test_userinfo_post_body(client, browser):
    signed_in = client.sign_in(browser)
    assert client.userinfo_claims(signed_in.access_token, "body") == signed_in.userinfo


@spec(CORE, "3.1.2.1", requirement="The code flow needs no nonce, and adds none")
def test_ensure_request_without_nonce_succeeds_for_code_flow(client, browser):
    assert "nonce" not in client.sign_in(browser, nonce=None).claims


def userinfo_for_scope(client, browser, scope, standard):
    """Userinfo has the standard claims of a scope that discovery lists, and no others."""
    signed_in = client.sign_in(browser, scope=f"openid {scope}")
    supported = set(client.provider.metadata["claims_supported"])
    assert set(signed_in.userinfo) - {"sub"} == standard & supported
    assert not (standard & set(signed_in.claims))
    assert scope in client.provider.metadata["scopes_supported"]
    return signed_in.userinfo


@spec(CORE, "5.4", requirement="The scope profile gives those of its claims that we have")
def test_scope_profile(client, browser):
    claims = userinfo_for_scope(client, browser, "profile", PROFILE)
    assert {"name", "given_name", "family_name", "preferred_username"} <= set(claims)
    assert claims["zoneinfo"] == "Europe/London"
    assert claims["locale"] == "en-GB"


@spec(CORE, "5.4", requirement="The scope email gives email and, as a boolean, email_verified")
def test_scope_email(client, browser):
    claims = userinfo_for_scope(client, browser, "email", EMAIL)
    assert set(claims) == {"sub"} | EMAIL
    assert "@" in claims["email"]
    assert isinstance(claims["email_verified"], bool)


@not_applicable
@spec(CORE, "5.4", requirement="The scope address is not advertised, because we have no postal addresses of people")
def test_scope_address(client, browser, provider):
    assert "address" not in provider.metadata["scopes_supported"]
    assert "address" not in provider.metadata["claims_supported"]
    client.assert_refused(browser.visit(client.authorization_url(scope="openid address")), "invalid_scope")


@spec(CORE, "5.4", requirement="The scope phone gives phone_number and, as a boolean, phone_number_verified")
def test_scope_phone(client, browser):
    claims = userinfo_for_scope(client, browser, "phone", PHONE)
    assert set(claims) == {"sub"} | PHONE
    assert claims["phone_number"].startswith("+")
    assert isinstance(claims["phone_number_verified"], bool)


@not_applicable
@spec(CORE, "5.4", requirement="All standard scopes that are advertised, at once; the scope address is not advertised")
def test_scope_all(client, browser, provider):
    assert "address" not in provider.metadata["scopes_supported"]
    signed_in = client.sign_in(browser, scope="openid profile email phone")
    assert EMAIL | PHONE | {"name"} <= set(signed_in.userinfo)


@spec("RFC 6749", "3.3", requirement="The order of scopes and of parameters does not matter")
def test_alternate_happy_flow(client, browser):
    request = client.request(scope="email openid")
    backwards = "&".join(f"{name}={quote(value)}" for name, value in sorted(request.items(), reverse=True))
    signed_in = client.complete_sign_in(
        browser.visit(f"{client.provider.metadata['authorization_endpoint']}?{backwards}")
    )
    assert set(signed_in.userinfo) == {"sub"} | EMAIL


@spec(CORE, "3.1.2.1", requirement="display=page is accepted")
def test_display_page(client, browser):
    client.sign_in(browser, display="page")


@spec(CORE, "3.1.2.1", requirement="display=popup is accepted")
def test_display_popup(client, browser):
    client.sign_in(browser, display="popup")


@spec(CORE, "3.1.2.1", requirement="prompt=login makes the person sign in again, and auth_time is the time of that")
def test_prompt_login(client, browser, wait):
    first = client.sign_in(browser)
    wait(2)
    browser.open(client.authorization_url(prompt="login"))
    assert "Sign in" in browser.page.text
    second = client.complete_sign_in(browser.continue_to_partner())
    assert second.claims["sub"] == first.claims["sub"]
    assert second.claims["auth_time"] == first.claims["auth_time"] + 2


@spec(
    CORE,
    "3.1.2.6",
    requirement="prompt=none without a session is login_required; a long state is returned unchanged",
)
def test_prompt_none_not_logged_in(client, browser):
    request = client.authorization_url(prompt="none", state=secrets.token_hex(64))
    client.assert_refused(browser.visit(request), "login_required")


@spec(CORE, "3.1.2.1", requirement="prompt=none with a session shows no page, and returns the same sub and auth_time")
def test_prompt_none_logged_in(client, browser, wait):
    first = client.sign_in(browser)
    wait(2)
    second = client.complete_sign_in(open_without_interaction(browser, client.authorization_url(prompt="none")))
    assert (second.claims["sub"], second.claims["auth_time"]) == (first.claims["sub"], first.claims["auth_time"])


def open_without_interaction(browser, link):
    """No page asks anything; a response by form_post submits itself."""
    partner_request = browser.open(link)
    if partner_request is None and browser.page.has("response"):
        partner_request = browser.press("continue")
    assert partner_request is not None, browser.page.text
    return partner_request


@spec(CORE, "3.1.2.1", requirement="max_age=1 makes the person sign in again after two seconds")
def test_max_age_1(client, browser, wait):
    first = client.sign_in(browser)
    wait(2)
    browser.open(client.authorization_url(max_age="1"))
    assert "Sign in" in browser.page.text
    second = client.complete_sign_in(browser.continue_to_partner())
    assert second.claims["sub"] == first.claims["sub"]
    assert second.claims["auth_time"] > first.claims["auth_time"]
    assert second.claims["iat"] - second.claims["auth_time"] <= 1


@spec(CORE, "3.1.2.1", requirement="max_age=10000 accepts a sign-in of a moment ago, and the ID Token has auth_time")
def test_max_age_10000(client, browser, wait):
    first = client.sign_in(browser, max_age="15000")
    wait(2)
    second = client.complete_sign_in(open_without_interaction(browser, client.authorization_url(max_age="10000")))
    assert second.claims["auth_time"] == first.claims["auth_time"]


@spec(CORE, "3.1.2.1", requirement="An unknown parameter is ignored")
def test_ensure_request_with_unknown_parameter_succeeds(client, browser):
    client.sign_in(browser, extra="foobar")


@spec(CORE, "3.1.2.1", requirement="prompt=none with an id_token_hint of the signed-in person returns a code")
def test_id_token_hint(client, browser):
    first = client.sign_in(browser)
    second = client.complete_sign_in(
        open_without_interaction(browser, client.authorization_url(prompt="none", id_token_hint=first.id_token))
    )
    assert second.claims["sub"] == first.claims["sub"]


@spec(CORE, "3.1.2.1", requirement="login_hint is accepted")
def test_login_hint(client, browser, prepared):
    client.sign_in(browser, login_hint="bob@suite.example")
    client.sign_in(browser, login_hint=prepared.username, prompt="login")


@spec(CORE, "3.1.2.1", requirement="ui_locales is accepted")
def test_ui_locales(client, browser):
    client.sign_in(browser, ui_locales="se")


@spec(CORE, "5.2", requirement="claims_locales is accepted")
def test_claims_locales(client, browser):
    client.sign_in(browser, claims_locales="se")


@spec(CORE, "3.1.2.1", requirement="acr_values is accepted, and the ID Token has the acr that was reached")
def test_ensure_request_with_acr_values_succeeds(client, browser, provider):
    request = provider.metadata["acr_values_supported"]
    assert client.sign_in(browser, acr_values=" ".join(request)).claims["acr"] in request


@spec("RFC 6749", "4.1.2", requirement="A code redeemed again at once is refused with invalid_grant")
def test_codereuse(client, browser):
    signed_in = client.sign_in(browser)
    conditions.refusal(client.redeem(signed_in.code), 400, "invalid_grant")


@spec("RFC 6749", "4.1.2", requirement="A code used again later is refused, and its tokens are revoked")
def test_codereuse_30seconds(client, browser, wait):
    signed_in = client.sign_in(browser)
    wait(30)
    assert client.call_resource(signed_in.access_token).status_code == 200
    conditions.refusal(client.redeem(signed_in.code), 400, "invalid_grant")
    response = client.call_resource(signed_in.access_token)
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


@spec(CORE, "3.1.2.1", requirement="A redirect URI that is not registered is an error page without a redirect")
def test_ensure_registered_redirect_uri(client, browser):
    assert browser.open(client.authorization_url(redirect_uri=f"{client.redirect_uri}/{secrets.token_hex(5)}")) is None
    assert browser.page.status == 400
    assert "redirect_uri" in browser.page.text
    assert browser.page.soup.find(id="error-code").text == "invalid_request"


@spec(CORE, "3.1.2.1", requirement="The authorization request may be a POST from another site")
def test_ensure_post_request_succeeds(client, browser):
    endpoint = client.provider.metadata["authorization_endpoint"]
    client.complete_sign_in(browser.continue_to_partner(browser.post(endpoint, client.request())))
    request = client.request(prompt="none")
    client.complete_sign_in(browser.continue_to_partner(browser.post(endpoint, request)))  # signed in meanwhile


@spec(CORE, "9", requirement="A client can authenticate by client_secret_post")
def test_server_client_secret_post(a_client, browser):
    a_client("conf-post-1").sign_in(browser)


def assert_only_signed_request_objects_are_supported(provider):
    """The suite skips modules by discovery: request objects are supported, unsigned ones are not."""
    assert provider.metadata["request_parameter_supported"] is True
    algs = provider.metadata["request_object_signing_alg_values_supported"]
    assert "RS256" in algs
    assert "none" not in algs


def unsigned(claims):
    return ".".join([conditions.segment({"alg": "none"}), conditions.segment(claims), ""])


@not_applicable
@spec(CORE, "6.2", requirement="request_uri by reference: not advertised, refused, and ignored in a registration")
def test_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(a_registered_client, browser, provider):
    assert_only_signed_request_objects_are_supported(provider)
    assert provider.metadata["request_uri_parameter_supported"] is False
    uri = "https://suite.example/requests/one.jwt"
    client = a_registered_client(request_uris=[f"{uri}#hash"])
    assert "request_uris" not in client.metadata
    client.assert_refused(browser.visit(client.authorization_url(request_uri=uri)), "request_uri_not_supported")


@not_applicable
@spec(CORE, "6.1", requirement="An unsigned request object is refused, never ignored: alg none is not advertised")
def test_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(client, browser, provider):
    assert_only_signed_request_objects_are_supported(provider)
    claims = {"iss": client.id, "aud": provider.issuer, "scope": "openid email"}
    client.assert_refused(browser.visit(client.authorization_url(request=unsigned(claims))), "invalid_request_object")


@spec(CORE, "5.5", requirement="claims may request name at userinfo, which is then not in the ID Token")
def test_claims_essential(client, browser):
    signed_in = client.sign_in(browser, claims='{"userinfo": {"name": {"essential": true}}}')
    assert set(signed_in.userinfo) == {"sub", "name"}
    assert "name" not in signed_in.claims


@not_applicable
@spec(CORE, "6.1", requirement="The redirect_uri inside an unsigned request object is not used either")
def test_ensure_request_object_with_redirect_uri(client, browser, provider):
    assert_only_signed_request_objects_are_supported(provider)
    claims = {"iss": client.id, "aud": provider.issuer, "redirect_uri": client.redirect_uri}
    request = client.authorization_url(request=unsigned(claims), redirect_uri=f"{client.redirect_uri}?dummy=1")
    assert browser.open(request) is None
    assert "redirect_uri" in browser.page.text


@spec(CORE, "12", requirement="A refresh token gives a new ID Token of the same sign-in, and only to its own client")
def test_refresh_token(a_client, browser, wait, provider):
    assert "refresh_token" in provider.metadata["grant_types_supported"]
    first, second = a_client("conf-basic-1"), a_client("conf-basic-2")
    token = sign_in_and_refresh(first, browser, wait, scope="openid offline_access")
    other = sign_in_and_refresh(second, browser, wait)
    conditions.refusal(first.refresh(other), 400, "invalid_grant")
    assert first.refresh(token).status_code == 200


def sign_in_and_refresh(client, browser, wait, **options):
    """Sign in for a refresh token and use it; the suite's first client names its scope again."""
    signed_in = client.sign_in(browser, scope="openid offline_access", prompt="consent")
    token = signed_in.tokens["refresh_token"]
    wait(1)
    tokens = conditions.tokens(client.refresh(token, **options))
    claims = client.id_token_claims(tokens)
    unchanged = {"iss", "sub", "aud", "auth_time"}
    assert {name: claims[name] for name in unchanged} == {name: signed_in.claims[name] for name in unchanged}
    assert claims["iat"] > signed_in.claims["iat"]
    assert ("azp" in claims) <= ("azp" in signed_in.claims)
    assert tokens["access_token"] != signed_in.access_token
    assert client.userinfo_claims(tokens["access_token"])["sub"] == claims["sub"]
    return tokens.get("refresh_token", token)


@spec("RFC 7636", "4", requirement="A code of a request with a code challenge needs the matching verifier")
def test_ensure_request_with_valid_pkce_succeeds(client, browser):
    verifier = secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    partner_request = browser.visit(client.authorization_url(code_challenge=challenge, code_challenge_method="S256"))
    client.complete_sign_in(partner_request, code_verifier=verifier)
