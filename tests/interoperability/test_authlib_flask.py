"""Authlib's integration with Flask: it reads our discovery document, and checks state, nonce, PKCE and ID Token."""

from urllib.parse import urlencode

from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, session, url_for

SCOPE = "openid profile email offline_access"


def relying_party(issuer, registered):
    """What its documentation shows, with a way to refresh and a way out."""
    app = Flask("authlib_rp")
    app.secret_key = "a secret of this app"
    app.config["SESSION_COOKIE_NAME"] = "rp"
    oauth = OAuth(app)
    oauth.register(
        "idaas", client_id=registered.client_id, client_secret=registered.secret,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": SCOPE, "code_challenge_method": "S256"},
    )  # fmt: skip

    @app.get("/login")
    def login():
        return oauth.idaas.authorize_redirect(url_for("callback", _external=True))

    @app.get("/callback")
    def callback():
        token = oauth.idaas.authorize_access_token()
        session["user"], session["hint"] = token["userinfo"]["sub"], token["id_token"]
        session["refresh_token"] = token["refresh_token"]
        return page(oauth.idaas.userinfo(token=token)["name"])

    @app.get("/refresh")
    def refresh():
        token = oauth.idaas.fetch_access_token(grant_type="refresh_token", refresh_token=session["refresh_token"])
        return page(oauth.idaas.userinfo(token=token)["sub"] == session["user"])

    @app.get("/logout")
    def logout():
        about = oauth.idaas.load_server_metadata()
        out = {"id_token_hint": session.pop("hint"), "post_logout_redirect_uri": url_for("bye", _external=True)}
        session.clear()
        return redirect(f"{about['end_session_endpoint']}?{urlencode(out)}")

    @app.get("/bye")
    def bye():
        return page("Bye")

    return app


def page(text):
    return f"<main id=main>{text}</main>"


def test_sign_in_refresh_and_logout(scene, browser, on_a_port):
    def make(address):
        registered = scene.register(f"{address}/callback", post_logout_redirect_uris=[f"{address}/bye"])
        return relying_party(scene.issuer, registered)

    at = on_a_port(make)
    browser.arrives(f"{at}/login")
    assert browser.shown.text == scene.name
    browser.opens(f"{at}/refresh")
    assert browser.shown.text == "True"
    browser.opens(f"{at}/logout")
    assert browser.shown.text == "Bye"
    browser.opens(f"{at}/login")
    assert browser.shown.has("sign-in"), "nobody is signed in here any more"
