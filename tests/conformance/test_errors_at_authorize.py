"""The table of errors at the authorization endpoint (protocol.md §5), row by row and in its order."""

import json
import secrets
from urllib.parse import quote_plus

import pytest

from idp.foundation.web import transactions
from idp.partners import registry
from tests import factories
from tests.conformance.browser import Browser
from tests.conformance.conditions import now, segment
from tests.conformance.fapi import sha256_base64url, signed
from tests.tampering import tampered

PLAN = "The table of errors: authorize"
MODULE = "error-{}"
CORE, OAUTH = "OpenID Connect Core 1.0", "RFC 6749"
OWN_PREFIX = "urn:ietf:params:oauth:request_uri:"

spec = pytest.mark.spec


@pytest.fixture
def a_member(served, prepared):
    """`a_member(mis="sims")` is the browser of the owner of another school."""

    def make(**estab_overrides):
        with transactions.transaction(served.app):
            person = factories.an_administrator(factories.an_estab(**estab_overrides))
        return Browser(served.certificate, person.username, factories.PASSWORD, partner_url=prepared.suite)

    return make


def assert_redirected_with_error(client, browser, error, **overrides):
    """At the redirect URI, with `state` and `iss`."""
    client.assert_refused(browser.open(client.authorization_url(**overrides)), error)


def assert_error_page(browser, url, *words):
    """A page of ours, for the client's developer to read, without a redirect."""
    assert browser.open(url) is None
    assert browser.page.status == 400
    assert browser.page.has("error-code")
    assert all(word in browser.page.text for word in words), browser.page.text
    assert browser.page.headers["Cache-Control"] == "no-store"
    assert browser.page.headers["Referrer-Policy"] == "no-referrer"
    assert browser.page.headers["X-Frame-Options"] == "DENY"


@spec(OAUTH, "4.1.2.1", requirement="client_id missing, repeated, unknown or disabled: an error page")
def test_client_id(served, browser, client, registered):
    disabled = registered()
    with transactions.transaction(served.app):
        registry.disable(disabled.id, by="test")
    for url in (
        client.authorization_url(client_id=None),
        client.authorization_url() + "&client_id=x",
        client.authorization_url(client_id="x"),
        disabled.authorization_url(),
    ):
        assert_error_page(browser, url, "client_id")


@spec(
    "RFC 9126",
    "4",
    requirement="A request_uri of ours that is unknown, used, expired, another client's or browser's: a page",
)
def test_request_uri_of_par(a_browser, a_fapi_client, wait):
    client, other = (a_fapi_client(f"conf-fapi-{number}") for number in (1, 2))
    browser, other_browser = a_browser(), a_browser()
    assert_error_page(browser, client.link(f"{OWN_PREFIX}{secrets.token_urlsafe(32)}"), "cannot be continued")
    link = client.authorization_url()
    assert_error_page(browser, other.link(f"{OWN_PREFIX}{link.rpartition('%3A')[2]}"), "cannot be continued")
    assert browser.open(link) is None
    assert_error_page(other_browser, link, "different browser")
    client.complete_sign_in(browser.visit(link))
    assert_error_page(browser, link, "answered already")
    link = client.authorization_url()
    wait(91)
    assert_error_page(browser, link, "too long")


@spec(OAUTH, "3.1.2.4", requirement="redirect_uri missing, repeated or not registered: an error page that names it")
def test_redirect_uri(browser, client):
    valid = client.redirect_uri
    assert_error_page(browser, client.authorization_url(redirect_uri=None), "redirect_uri")
    assert_error_page(browser, client.authorization_url() + f"&redirect_uri={quote_plus(valid)}", "redirect_uri")
    for uri in (f"{valid}/", f"{valid}?x=1", valid.upper(), f"{valid}#x", "javascript:alert(1)", "https://x.example"):
        assert_error_page(browser, client.authorization_url(redirect_uri=uri), "redirect_uri")


@spec(OAUTH, "3.1", requirement="Another parameter repeated, too long or malformed: invalid_request")
def test_invalid_parameters(browser, client):
    for name in ("scope", "nonce", "prompt", "display"):
        client.assert_refused(browser.open(client.authorization_url() + f"&{name}=x&{name}=y"), "invalid_request")
    for overrides in ({"nonce": "x" * 513}, {"claims": "x" * 4097}, {"login_hint": "a\x00b"}):
        assert_redirected_with_error(client, browser, "invalid_request", **overrides)
    client.assert_refused(browser.open(client.authorization_url() + "&login_hint=%ff"), "invalid_request")
    state = client.authorization_url(state=None) + "&state=x&state=y"
    client.assert_refused(browser.open(state), "invalid_request")  # and none of them is in the response


@spec(
    CORE,
    "6.2",
    requirement="A request_uri by reference: request_uri_not_supported; together with request: invalid_request",
)
def test_request_uri_by_reference(browser, client):
    assert_redirected_with_error(
        client, browser, "request_uri_not_supported", request_uri="https://client.example/request"
    )
    assert_redirected_with_error(
        client, browser, "invalid_request", request_uri="https://client.example/request", request="x.y.z"
    )


@spec(
    "FAPI 2.0 Security Profile",
    "5.3.2.2",
    requirement="A request that was not pushed although the client must push: invalid_request",
)
def test_a_request_that_had_to_be_pushed(browser, a_client):
    client = a_client("conf-fapi-1", alg="ES256")
    assert_redirected_with_error(
        client, browser, "invalid_request", code_challenge=sha256_base64url("x"), code_challenge_method="S256"
    )


@spec("RFC 9101", "6", requirement="A request object that is invalid in any way: invalid_request_object")
def test_request_objects(browser, registered, signers):
    key = signers["conf-fapi-2"]
    client = registered(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key.as_dict(private=False)]})
    valid = {"iss": client.id, "aud": client.provider.issuer, "exp": now() + 60, **client.request(prompt="none")}
    invalid_claims = (
        {"iss": "x"}, {"iss": None}, {"aud": "https://x.example"}, {"aud": None}, {"exp": now() - 120},
        {"nbf": now() + 120}, {"state": 7}, {"scope": ["openid"]}, {"request": "x"}, {"request_uri": "x"},
        {"client_id": "x"},
    )  # fmt: skip
    objects = [signed(key, "ES256", {}, valid | request_object) for request_object in invalid_claims]
    objects += [f"{segment({'alg': 'none'})}.{segment(valid)}.", "x", tampered(signed(key, "ES256", {}, valid))]
    for request_object in objects:
        assert_redirected_with_error(client, browser, "invalid_request_object", request=request_object)
    valid_object = signed(key, "ES256", {}, {**valid, "state": "within"})
    valid_link = client.authorization_url(request=valid_object, state="within")
    client.assert_refused(browser.open(valid_link), "login_required")


@spec(OAUTH, "3.1.1", requirement="response_type missing: invalid_request; not code: unsupported_response_type")
def test_response_type(browser, client):
    assert_redirected_with_error(client, browser, "invalid_request", response_type=None)
    for response_type in ("token", "id_token", "code token", "code id_token", "none"):
        assert_redirected_with_error(client, browser, "unsupported_response_type", response_type=response_type)
    for mode in ("fragment", "fragment.jwt", "token"):
        url = client.authorization_url(response_mode=mode)
        del client.last_request["response_mode"]  # the response is in the query
        client.assert_refused(browser.open(url), "invalid_request")


@spec(OAUTH, "4.1.2.1", requirement="response_type not registered for the client: unauthorized_client")
def test_response_type_of_the_client(browser, registered):
    device = "urn:ietf:params:oauth:grant-type:device_code"
    assert_redirected_with_error(registered(grant_types=frozenset({device})), browser, "unauthorized_client")


@spec(
    "RFC 8707",
    "2",
    requirement="scope or resource unknown, or not registered for the client: invalid_scope, invalid_target",
)
def test_scope_and_resource(browser, client):
    for scope in (None, "openid nonsense", "openid staff", "openid schools.list"):
        assert_redirected_with_error(client, browser, "invalid_scope", scope=scope)
    for resource in ("https://x.example", "/x", f"{client.provider.issuer}#x"):
        assert_redirected_with_error(client, browser, "invalid_target", resource=resource)
    assert_redirected_with_error(
        client, browser, "invalid_authorization_details", authorization_details='[{"type": "x"}]'
    )


@spec("RFC 7636", "4.4.1", requirement="PKCE missing, plain, without its method or of another length: invalid_request")
def test_pkce(browser, registered):
    client, challenge = registered(require_pkce=True), sha256_base64url("x")
    for sent in ({}, {"code_challenge": challenge}, {"code_challenge": challenge, "code_challenge_method": "plain"},
                 {"code_challenge": challenge[1:], "code_challenge_method": "S256"}):  # fmt: skip
        assert_redirected_with_error(client, browser, "invalid_request", **sent)


@spec(CORE, "3.1.2.6", requirement="prompt unknown, or none with another; max_age or claims malformed: invalid_request")
def test_prompt_max_age_and_claims(browser, client):
    for prompt in ("sometimes", "none login"):
        assert_redirected_with_error(client, browser, "invalid_request", prompt=prompt)
    for age in ("x", "-1", "1.5"):
        assert_redirected_with_error(client, browser, "invalid_request", max_age=age)
    for claims in ("x", "[]", '{"userinfo": 5}', '{"id_token": {"name": 5}}'):
        assert_redirected_with_error(client, browser, "invalid_request", claims=claims)


@spec(CORE, "3.1.2.1", requirement="An id_token_hint not issued by us, or for another client: invalid_request")
def test_id_token_hint(browser, client, a_client):
    signed_in = client.sign_in(browser)
    for hint in ("x.y.z", signed_in.access_token):
        assert_redirected_with_error(client, browser, "invalid_request", id_token_hint=hint)
    assert_redirected_with_error(a_client("conf-basic-2"), browser, "invalid_request", id_token_hint=signed_in.id_token)


@spec(
    OAUTH,
    "4.1.2.1",
    requirement="A school's MIS that the client does not accept: a page that explains, then access_denied",
)
def test_an_mis_that_the_client_does_not_accept(a_member, registered):
    client, browser = registered(accepted_mis=frozenset({"arbor"})), a_member(mis="sims")
    browser.visit_page(client.authorization_url())
    assert "Arbor" in browser.page.text
    client.assert_refused(browser.press("deny"), "access_denied")


@spec(OAUTH, "4.1.2.1", requirement="A school that is suspended: a page that explains, then access_denied")
def test_a_suspended_school(a_member, client, provider):
    browser = a_member(state="suspended")
    assert browser.open(client.authorization_url()) is None
    assert browser.sign_in() is None
    assert browser.page.status == 403
    link_back = browser.page.soup.find("a", href=lambda to: to and "cancel=1" in to)["href"]
    client.assert_refused(browser.open(provider.issuer + link_back), "access_denied")


@spec(
    CORE,
    "3.1.2.6",
    requirement="prompt=none without a session, with too old a one, or of another person: login_required",
)
def test_prompt_none_without_the_person(browser, client, a_member, wait):
    assert_redirected_with_error(client, browser, "login_required", prompt="none")
    hint = client.sign_in(browser).id_token
    wait(60)
    assert_redirected_with_error(client, browser, "login_required", prompt="none", max_age="30")
    another = a_member()
    client.sign_in(another)
    assert_redirected_with_error(client, another, "login_required", prompt="none", id_token_hint=hint)
    requested_claims = json.dumps({"id_token": {"sub": {"value": "adm_somebody"}}})
    assert_redirected_with_error(client, browser, "login_required", prompt="none", claims=requested_claims)


@spec(CORE, "3.1.2.6", requirement="prompt=none without an authorisation in force: consent_required")
def test_prompt_none_without_an_authorisation(browser, client, registered):
    client.sign_in(browser)
    assert_redirected_with_error(registered(), browser, "consent_required", prompt="none")


@spec(CORE, "3.1.2.6", requirement="prompt=none where another page is needed: interaction_required")
def test_prompt_none_when_a_page_is_needed(a_member, client, registered):
    browser = a_member(mis=None)
    client.sign_in(browser)
    assert_redirected_with_error(
        registered(accepted_mis=frozenset({"arbor"})), browser, "interaction_required", prompt="none"
    )


@spec(CORE, "5.5.1.1", requirement="An essential acr that was not reached: unmet_authentication_requirements")
def test_essential_acr(browser, client):
    claims = json.dumps({"id_token": {"acr": {"essential": True, "values": ["phr"]}}})
    client.assert_refused(browser.visit(client.authorization_url(claims=claims)), "unmet_authentication_requirements")


@spec(OAUTH, "4.1.2.1", requirement="Cancel and Refuse: access_denied")
def test_cancel_and_refuse(a_member, client):
    browser = a_member()
    assert browser.open(client.authorization_url()) is None
    client.assert_refused(browser.press("cancel"), "access_denied")
    assert browser.open(client.authorization_url()) is None
    assert browser.sign_in() is None
    client.assert_refused(browser.press("deny"), "access_denied")


@spec(
    "OAuth 2.0 Form Post Response Mode",
    "2",
    requirement="Errors are posted too, and have what was sent as escaped text",
)
def test_errors_by_form(browser, client):
    is_a_form = browser.open(
        client.authorization_url(response_mode="form_post", scope="nonsense", state='"><script>x&amp;é')
    )
    assert is_a_form is None
    assert browser.page.headers["Cache-Control"] == "no-store"
    client.assert_refused(browser.continue_to_partner(), "invalid_scope")


@spec(
    OAUTH,
    "3.1",
    requirement="HEAD has no effect, POST stores the request and redirects to a GET, other methods are 405",
)
def test_methods(provider, client):
    url = client.authorization_url()
    head = provider.http.head(url, timeout=20)
    assert (head.status_code, head.cookies.get_dict()) == (200, {})
    response = provider.post("authorization", client.request())
    assert response.status_code == 303
    assert f"/oauth/authorize?client_id={client.id}&request_uri=urn" in response.headers["Location"]
    refused = provider.http.put(url, timeout=20)
    assert (refused.status_code, "POST" in refused.headers["Allow"]) == (405, True)
