"""A partner signs a school in: with Authlib's client library and discovery, at the served provider."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from idp.estabs.models import Estab
from idp.foundation import database
from idp.foundation.web import transactions
from tests import factories
from tests.html import parse
from tests.serving import a_provider

CALLBACK = "http://127.0.0.1:1/callback"
AFTER_LOGOUT_URL = "http://127.0.0.1:1/signed-out"
SCOPE = "openid profile email organisation offline_access school students attendance"


@dataclass
class Browser:
    """A person's browser: opens pages, sends forms, and stops at URLs of the partner."""

    session: requests.Session = field(default_factory=requests.Session)
    page: requests.Response | None = None

    def open(self, url: str) -> str:
        """Follow `url` to a page of ours, or to a URL of the partner; returns where that is."""
        return self._follow(self.session.get(url, allow_redirects=False))

    def press(self, button: str, **fields: str | list[str]) -> str:
        """Fill in and send the form of the page that is open."""
        assert self.page is not None
        pressed: Any = parse(self.page.text).find(id=button)
        assert pressed is not None, self.page.text
        form = pressed.find_parent("form")
        sent: dict[str, Any] = {
            element["name"]: element.get("value", "") for element in form.find_all("input", type="hidden")
        }
        if pressed.get("name"):
            sent[pressed["name"]] = pressed.get("value", "")
        target = requests.compat.urljoin(self.page.url, form.get("action") or self.page.url)
        return self._follow(self.session.post(target, data=sent | fields, allow_redirects=False))

    def _follow(self, response: requests.Response) -> str:
        while response.is_redirect:
            target = requests.compat.urljoin(response.url, response.headers["Location"])
            if target.startswith((CALLBACK, AFTER_LOGOUT_URL)):
                return str(target)
            response = self.session.get(target, allow_redirects=False)
        self.page = response
        return str(response.url)


class RelyingParty:
    """The partner, which knows only the issuer's URL and its own registration."""

    def __init__(self, issuer: str, client_id: str, secret: str | None) -> None:
        self.metadata = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()
        assert self.metadata["issuer"] == issuer
        self.keys = KeySet.import_key_set(requests.get(self.metadata["jwks_uri"], timeout=10).json())
        self.client_id = client_id
        method = "client_secret_basic" if secret else "none"
        self.session = OAuth2Session(
            client_id, secret, scope=SCOPE, redirect_uri=CALLBACK, code_challenge_method="S256",
            token_endpoint_auth_method=method, revocation_endpoint_auth_method=method,
        )  # fmt: skip
        self.verifier = "v" * 48

    def begin(self, **options: str) -> str:
        """The URL of a new authorization request."""
        url, self.state = self.session.create_authorization_url(
            self.metadata["authorization_endpoint"], code_verifier=self.verifier, nonce="n-0S6", **options
        )
        return str(url)

    def receive(self, callback: str) -> dict[str, Any]:
        """Redeem the code in the URL of the redirect; returns the token response."""
        assert parse_qs(urlsplit(callback).query)["iss"] == [self.metadata["issuer"]]
        token: dict[str, Any] = self.session.fetch_token(
            self.metadata["token_endpoint"], authorization_response=callback, state=self.state,
            code_verifier=self.verifier,
        )  # fmt: skip
        return token

    def id_token_claims(self, token: dict[str, Any], **expected: Any) -> CodeIDToken:
        """Check the ID Token as OpenID Connect Core §3.1.3.7 says."""
        decoded = jwt.decode(token["id_token"], self.keys, algorithms=["RS256", "ES256"])
        claims = CodeIDToken(
            decoded.claims, decoded.header, params={"nonce": "n-0S6", "access_token": token["access_token"]} | expected,
            options={"iss": {"value": self.metadata["issuer"]}, "aud": {"value": self.client_id}},
        )  # fmt: skip
        claims.validate()
        return claims


@dataclass
class Scene:
    """A provider with an application, the ids of a school and of its owner, and of two clients of a partner."""

    issuer: str
    app: Any
    estab: str
    username: str
    confidential: str
    public: str

    def set_state(self, state: str) -> None:
        with transactions.transaction(self.app):
            database.session().get_one(Estab, self.estab).state = state


@pytest.fixture(scope="module")
def scene(databases):
    with a_provider(databases) as (app, issuer):
        with transactions.transaction(app):
            owner = factories.an_administrator(factories.an_estab(state="unverified"))
            uris: dict[str, Any] = {"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [AFTER_LOGOUT_URL]}
            confidential = factories.a_client(**uris)
            public = factories.a_client(**uris, token_endpoint_auth_method="none")
            scene = Scene(issuer, app, owner.memberships[0].estab_id, owner.username, confidential.id, public.id)
        yield scene


def test_a_partner_signs_a_school_in_and_out(scene):
    partner = RelyingParty(scene.issuer, scene.confidential, factories.secret_of(scene.confidential))
    browser = Browser()

    assert "/sign-in" in browser.open(partner.begin())
    assert "/oauth/consent" in browser.press("sign-in", username=scene.username, password=factories.PASSWORD)
    token = partner.receive(browser.press("allow", authority="y", area=["attendance"]))

    claims = partner.id_token_claims(token)
    userinfo = partner.session.get(partner.metadata["userinfo_endpoint"]).json()
    assert userinfo["sub"] == claims["sub"]
    assert userinfo["organisation"]["name"].startswith("Oakhill School")
    assert userinfo["estab_status"] == "unverified"
    # School data is withheld until we have verified the school.
    assert token["scope"] == "openid profile email organisation offline_access"

    scene.set_state("verified")
    refreshed = partner.session.refresh_token(partner.metadata["token_endpoint"], token["refresh_token"])
    assert refreshed["scope"] == SCOPE

    second = partner.receive(browser.open(partner.begin()))  # without a question the second time
    assert second["scope"] == SCOPE

    signed_out_at = browser.open(
        f"{partner.metadata['end_session_endpoint']}?id_token_hint={second['id_token']}"
        f"&post_logout_redirect_uri={AFTER_LOGOUT_URL}&state=bye"
    )
    assert signed_out_at == f"{AFTER_LOGOUT_URL}?state=bye"
    assert "error=login_required" in browser.open(partner.begin(prompt="none"))


def test_an_app_without_a_secret_signs_a_school_in(scene):
    scene.set_state("verified")
    partner, browser = RelyingParty(scene.issuer, scene.public, None), Browser()
    browser.open(partner.begin())
    browser.press("sign-in", username=scene.username, password=factories.PASSWORD)
    token = partner.receive(browser.press("allow", authority="y"))
    partner.id_token_claims(token)

    rotated = partner.session.refresh_token(partner.metadata["token_endpoint"], token["refresh_token"])
    assert rotated["refresh_token"] != token["refresh_token"]
    partner.session.revoke_token(partner.metadata["revocation_endpoint"], rotated["refresh_token"])
    assert partner.session.get(partner.metadata["userinfo_endpoint"]).status_code == 401


def test_a_refusal_is_reported_to_the_partner(scene):
    partner, browser = RelyingParty(scene.issuer, scene.confidential, "unused"), Browser()
    browser.open(partner.begin(prompt="consent"))
    browser.press("sign-in", username=scene.username, password=factories.PASSWORD)
    parameters = parse_qs(urlsplit(browser.press("deny")).query)
    assert parameters["error"] == ["access_denied"]
    assert parameters["state"] == [partner.state]


def test_an_authorization_response_can_be_sent_as_a_form(scene):
    partner, browser = RelyingParty(scene.issuer, scene.confidential, "unused"), Browser()
    browser.open(partner.begin(prompt="none", response_mode="form_post"))
    assert browser.page is not None
    page: Any = parse(browser.page.text)
    assert page.find("form", id="response")["action"] == CALLBACK
    assert re.search(r"login_required", browser.page.text)
