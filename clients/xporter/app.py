"""The application factory."""

import time
from collections.abc import Callable

import requests
from flask import Flask

from clients.xporter import collection_views, extract_views, oneroster_views, public_views, web
from clients.xporter.database import Database
from clients.xporter.extracts import MAX_PIECE_BYTES
from clients.xporter.fields import Fields
from clients.xporter.keys import Keys
from clients.xporter.provider import Provider
from clients.xporter.reads import Reads, Reporter
from clients.xporter.settings import Settings
from clients.xporter.tokens import Tokens
from clients.xporter.worker import Members, Worker


def create_app(
    settings: Settings,
    *,
    http: requests.Session | None = None,
    now: Callable[[], float] = time.time,
    members: Members | None = None,
) -> Flask:
    """Build the application; the caller starts `web.Program.worker`.

    The provider need not be running yet; `http` is the session for requests to it. `members` takes the place of the
    provider's catalogue when extracts are checked.
    """
    app = web.Application(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_PIECE_BYTES
    database, keys = Database(settings.database_url), Keys(settings.key_file)
    provider = Provider(settings, keys, http, now)
    tokens, fields, reads = Tokens(settings, provider, now), Fields(provider, settings.data), Reads(database, provider)
    reporter = Reporter(reads, fields.refresh)
    worker = Worker(database, settings, members or fields.members, now)
    web.configure(app, web.Program(settings, database, keys, provider, tokens, fields, reads, reporter, worker, now))
    for views in (public_views, collection_views, extract_views, oneroster_views):
        app.register_blueprint(views.bp)
    return app
