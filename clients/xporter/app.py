"""The application factory."""

import time
from collections.abc import Callable

import requests
from flask import Flask

from clients.xporter import public_views, web
from clients.xporter.database import Database
from clients.xporter.keys import Keys
from clients.xporter.provider import Provider
from clients.xporter.settings import Settings
from clients.xporter.tokens import Tokens

MAX_PIECE_BYTES = 4 << 20


def create_app(
    settings: Settings, *, http: requests.Session | None = None, now: Callable[[], float] = time.time
) -> Flask:
    """Build it. The provider need not be running yet; `http` says whom to trust on the way to it."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_PIECE_BYTES
    database, keys = Database(settings.database_url), Keys(settings.key_file)
    provider = Provider(settings, keys, http)
    web.configure(app, web.Program(settings, database, keys, provider, Tokens(settings, provider, now)))
    for views in (public_views,):
        app.register_blueprint(views.bp)
    return app
