"""django-oauth-toolkit as a peer, for a Python that has it: `django_oauth_toolkit.py CODES FILE` gets it ready.

Then any WSGI server serves `application`. `DATABASE` in the environment is PostgreSQL's address. It is set up for
speed: no middleware, and connections that stay open. Client secrets are hashed as they come (PBKDF2), and for a
second client kept as they are.
"""

import os
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

FILE = Path(__file__).resolve()
KEY = Path(os.environ["KEY"])
CALLBACK = "https://assembly.example/callback"
_at = urlsplit(os.environ["DATABASE"])

if not KEY.exists():
    KEY.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
settings.configure(
    SECRET_KEY="of no use to anyone",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=FILE.stem,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _at.path[1:],
            "USER": _at.username,
            "HOST": _at.hostname,
            "PORT": _at.port,
            "CONN_MAX_AGE": None,
        }
    },
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": KEY.read_text("ascii"),
        "SCOPES": {"openid": "who you are", "schools": "your schools"},
        "ACCESS_TOKEN_EXPIRE_SECONDS": 600,
    },
)
application = get_wsgi_application()
urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]


def prepare(count: int, file: Path) -> None:
    """Make the tables, the clients, a person, and as many codes, one a line in `file`."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.utils import timezone
    from oauth2_provider.models import Application, Grant  # type: ignore[import-not-found]

    call_command("migrate", verbosity=0)
    secret = os.environ["SECRET"]
    for name, hashed in (("itself-hashed", True), ("itself", False)):
        Application.objects.create(
            client_id=name, client_secret=secret, hash_client_secret=hashed, client_type="confidential",
            authorization_grant_type="client-credentials",
        )  # fmt: skip
    web = Application.objects.create(
        client_id="web", client_secret=secret, hash_client_secret=False, client_type="confidential",
        authorization_grant_type="authorization-code", redirect_uris=CALLBACK, algorithm="RS256",
    )  # fmt: skip
    person = User.objects.create_user(os.environ["PERSON"])
    codes = [secrets.token_urlsafe(32) for _ in range(count)]
    ends, challenge = timezone.now() + timedelta(hours=1), os.environ["CHALLENGE"]
    Grant.objects.bulk_create(
        Grant(
            user=person, code=code, application=web, expires=ends, redirect_uri=CALLBACK, scope="openid schools",
            code_challenge=challenge, code_challenge_method="S256", nonce="n" * 20,
        )
        for code in codes
    )  # fmt: skip
    file.write_text("\n".join(codes), "ascii")


if __name__ == "__main__":
    prepare(int(sys.argv[1]), Path(sys.argv[2]))
