"""Flask-Dance: a blueprint on top of requests-oauthlib, configured as documented for a provider without a preset."""

from urllib.parse import urlencode

from flask import Flask, redirect, session
from flask_dance.consumer import OAuth2ConsumerBlueprint

SCOPE = "openid profile email offline_access"


def relying_party(registered):
    """A blueprint that authenticates by HTTP Basic, when it redeems a code and when it refreshes a token."""
    metadata = registered.metadata
    app = Flask("flask_dance_rp")
    app.secret_key = "a secret of this app"
    app.config["SESSION_COOKIE_NAME"] = "rp"
    idaas = OAuth2ConsumerBlueprint(
        "idaas", __name__, client_id=registered.client_id, client_secret=registered.secret, scope=SCOPE, use_pkce=True,
        authorization_url=metadata["authorization_endpoint"], token_url=metadata["token_endpoint"],
        auto_refresh_url=metadata["token_endpoint"], redirect_to="home",
    )  # fmt: skip
    app.register_blueprint(idaas, url_prefix="/login")

    @app.get("/")
    def home():
        if not idaas.session.authorized:
            return page("Nobody")
        return page(idaas.session.get(metadata["userinfo_endpoint"]).json()["name"])

    @app.get("/later")
    def later():
        """Use the access token as if its ten minutes were over."""
        before = idaas.token["access_token"]
        idaas.token = {**idaas.token, "expires_in": -1}
        idaas.session.get(metadata["userinfo_endpoint"]).raise_for_status()
        return page(idaas.token["access_token"] != before)

    @app.get("/logout")
    def logout():
        hint = idaas.token["id_token"]
        session.clear()
        return redirect(f"{metadata['end_session_endpoint']}?{urlencode({'id_token_hint': hint})}")

    return app


def page(text):
    """A page whose main text a test can read."""
    return f"<main id=main>{text}</main>"


def test_flask_dance_signs_in_refreshes_and_logs_out(provider, browser, serve_at_free_port):
    def make(url):
        return relying_party(provider.register(f"{url}/login/idaas/authorized"))

    site_url = serve_at_free_port(make)
    browser.visit_page(f"{site_url}/login/idaas")
    assert browser.page.text == provider.name
    browser.open(f"{site_url}/later")
    assert browser.page.text == "True"
    browser.open(f"{site_url}/logout")
    assert browser.page.has("signed-out")
    browser.open(f"{site_url}/")
    assert browser.page.text == "Nobody"
    browser.open(f"{site_url}/login/idaas")
    assert browser.page.has("sign-in")


def test_a_person_who_cancels_sign_in_returns_to_the_application_signed_out(provider, browser, serve_at_free_port):
    def make(url):
        return relying_party(provider.register(f"{url}/login/idaas/authorized"))

    site_url = serve_at_free_port(make)
    browser.open(f"{site_url}/login/idaas")
    browser.press("cancel")
    assert browser.page.text == "Nobody"
