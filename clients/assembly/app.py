"""The application factory of Assembly."""

from flask import Flask

from clients.assembly import school_account, views, web
from clients.assembly.settings import Settings
from clients.assembly.store import Store


def create_app(settings: Settings) -> Flask:
    """Build Assembly. The provider need not be running yet."""
    app = Flask(__name__)
    store = Store(settings.data / "assembly.sqlite3")
    web.configure(app, settings)
    school_account.configure(app, settings, store)
    views.configure(app, store)
    return app
