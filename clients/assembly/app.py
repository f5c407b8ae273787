"""The application factory."""

from flask import Flask

from clients.assembly import account_views, connector_views, invite_codes, provider_views, school_views, web
from clients.assembly.background import Background
from clients.assembly.database import Database
from clients.assembly.keys import Keys
from clients.assembly.provider import Provider
from clients.assembly.settings import Settings


def create_app(settings: Settings) -> Flask:
    """Build an application. The provider need not be running yet; the caller starts `web.Program.background`."""
    app = Flask(__name__)
    database, keys = Database(settings.database), Keys(settings.key_file)
    provider = Provider(settings, keys)
    background = Background(database, provider, settings)
    if settings.invite_code:
        invite_codes.ensure(database, settings.invite_code)
    web.configure(app, web.Program(settings, database, keys, provider, background))
    for views in (account_views, school_views, connector_views, provider_views):
        app.register_blueprint(views.bp)
    return app
