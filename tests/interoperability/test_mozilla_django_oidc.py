"""mozilla-django-oidc in a small Django site: users by e-mail address, a silent renewal of the session, logout."""

import time
from contextlib import ExitStack
from importlib import import_module

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.test import override_settings

SCOPE = "openid profile email"
URLS = "tests.interoperability.django_urls"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Django, set up once; each test sets its provider by `override_settings`."""
    folder = tmp_path_factory.mktemp("django")
    settings.configure(
        SECRET_KEY="a secret of this site", ROOT_URLCONF=URLS, ALLOWED_HOSTS=["localhost"], USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "mozilla_django_oidc",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "mozilla_django_oidc.middleware.SessionRefresh",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "site.sqlite3"}},
        AUTHENTICATION_BACKENDS=["mozilla_django_oidc.auth.OIDCAuthenticationBackend"],
        OIDC_RP_SCOPES=SCOPE, OIDC_RP_SIGN_ALGO="RS256", OIDC_USE_PKCE=True, OIDC_STORE_ID_TOKEN=True,
        OIDC_OP_LOGOUT_URL_METHOD=f"{URLS}.end_session", LOGIN_REDIRECT_URL="/", LOGOUT_REDIRECT_URL="/",
        OIDC_RP_CLIENT_ID="", OIDC_RP_CLIENT_SECRET="", OIDC_OP_AUTHORIZATION_ENDPOINT="", OIDC_OP_TOKEN_ENDPOINT="",
        OIDC_OP_USER_ENDPOINT="", OIDC_OP_JWKS_ENDPOINT="", OIDC_OP_LOGOUT_ENDPOINT="",
    )  # fmt: skip
    django.setup()
    call_command("migrate", verbosity=0)


def provider_settings(registered):
    """Django settings for the provider and the client."""
    metadata = registered.metadata
    return {
        "OIDC_RP_CLIENT_ID": registered.client_id, "OIDC_RP_CLIENT_SECRET": registered.secret,
        "OIDC_OP_AUTHORIZATION_ENDPOINT": metadata["authorization_endpoint"],
        "OIDC_OP_TOKEN_ENDPOINT": metadata["token_endpoint"], "OIDC_OP_USER_ENDPOINT": metadata["userinfo_endpoint"],
        "OIDC_OP_JWKS_ENDPOINT": metadata["jwks_uri"], "OIDC_OP_LOGOUT_ENDPOINT": metadata["end_session_endpoint"],
    }  # fmt: skip


def session_of(browser):
    """Django's session of this browser."""
    engine = import_module(settings.SESSION_ENGINE)
    return engine.SessionStore(browser.session.cookies.get(settings.SESSION_COOKIE_NAME))


def expire_id_token(browser):
    """Make the stored ID Token count as expired, as after a quarter of an hour."""
    session = session_of(browser)
    session["oidc_id_token_expiration"] = 0
    session.save()


def is_renewed(browser):
    """Whether the expiry of the stored ID Token is in the future again."""
    return session_of(browser)["oidc_id_token_expiration"] > time.time()


@pytest.mark.parametrize(("method", "uses_basic"), [("client_secret_post", False), ("client_secret_basic", True)])
def test_mozilla_django_oidc_signs_in_renews_silently_and_logs_out(
    site, provider, browser, serve_at_free_port, method, uses_basic
):
    with ExitStack() as configured:

        def make(url):
            registered = provider.register(
                f"{url}/oidc/callback/", post_logout_redirect_uris=[f"{url}/"],
                token_endpoint_auth_method=method,
            )  # fmt: skip
            configured.enter_context(
                override_settings(OIDC_TOKEN_USE_BASIC_AUTH=uses_basic, **provider_settings(registered))
            )
            return get_wsgi_application()

        site_url = serve_at_free_port(make)
        browser.visit_page(f"{site_url}/oidc/authenticate/?next=/")
        email = browser.page.text
        assert "@" in email

        expire_id_token(browser)
        browser.open(f"{site_url}/")  # to the provider with prompt=none, and back
        assert browser.page.text == email
        assert is_renewed(browser)

        sign_out(browser, site_url)
        assert browser.page.text == "Nobody"
        browser.open(f"{site_url}/oidc/authenticate/")
        assert browser.page.has("sign-in")


def sign_out(browser, site_url):
    """Post Django's logout form; then follow its redirect to the provider, and from there back to the site."""
    token = browser.session.cookies.get(settings.CSRF_COOKIE_NAME)
    headers = {"X-CSRFToken": token, "Referer": f"{site_url}/"}
    logout_response = browser.session.post(
        f"{site_url}/oidc/logout/", headers=headers, allow_redirects=False, timeout=20
    )
    browser.open(logout_response.headers["Location"])
