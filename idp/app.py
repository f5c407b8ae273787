"""The composition root: one literal list of everything the service is made of."""

from flask import Flask

from idp.foundation import database, logs, runtime, settings as settings_of
from idp.foundation.settings import Settings
from idp.foundation.web import (
    admission,
    answers,
    assets,
    health,
    middleware,
    pages,
    response_cache,
    security,
    throttle,
    well_known,
)
from idp.foundation.web.transactions import Application
from idp.manage import views as manage
from idp.oidc import server as protocol, views as oidc
from idp.onboarding import views as onboarding
from idp.schools import views as schools
from idp.signin import session, views as signin


def create_app(settings: Settings | None = None) -> Flask:
    """Build the service. Without `settings` they are read; raises `BadSettings` naming every fault."""
    settings = settings or settings_of.load()
    logs.configure(settings)

    app = Application("idp", static_folder="static", template_folder="templates")
    runtime.configure(app, settings)
    database.configure(app, settings)
    logs.log_requests(app)
    security.configure(app, settings)
    answers.configure(app)
    middleware.configure(app, settings)
    admission.configure(app, settings)
    assets.configure(app)
    response_cache.configure(app)
    throttle.configure(app, settings)
    session.configure(app, settings)
    pages.configure(app, settings, navigation=signin.navigation)
    protocol.configure(app, settings)

    for views in (health, well_known, schools, onboarding, signin, manage, oidc):
        app.register_blueprint(views.bp)
    return app
