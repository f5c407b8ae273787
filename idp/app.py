"""The composition root: builds the application from its parts, in one literal list."""

from flask import Flask

from idp.developers import views as developers
from idp.federation import views as federation
from idp.foundation import database, load_settings, logs, runtime
from idp.foundation.fastpath import response_cache
from idp.foundation.ports import Ports
from idp.foundation.settings import Settings
from idp.foundation.web import (
    admission,
    assets,
    health,
    middleware,
    pages,
    post_redirect_get,
    security,
    throttle,
    well_known,
)
from idp.foundation.web.transactions import Application
from idp.invitations import views as invitations
from idp.manage import views as manage
from idp.oidc import authorization_server, views as oidc
from idp.oidc.authorization import pending_requests
from idp.oidc.tokens import families, logout_token
from idp.onboarding import views as onboarding
from idp.operate import views as operate
from idp.outbox import views as outbox
from idp.partner_api import views as partner_api
from idp.schools import views as schools
from idp.sharing import notices
from idp.signin import developers as developer_accounts, second_step, session, session_clients, views as signin
from idp.xporter import endpoints

PORTS = Ports(
    sign_in=second_step.sign_in_owner,
    last_signed_in=session.last_person,
    requesting_partner=pending_requests.requesting_partner,
    sign_in_buttons=federation.buttons,
    navigation=signin.navigation,
    estab_state_changed=notices.record_state,
    partner_people=developer_accounts.addresses,
    endpoint_state=endpoints.state_of,
    revoke_endpoint_tokens=families.revoke_for_key,
    event_requests={session_clients.LOGOUT: logout_token.request},
)


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application; reads the settings if none are given. Raises `InvalidSettings` naming every error."""
    settings = settings or load_settings.load()
    logs.configure(settings)

    app = Application("idp", static_folder="static", template_folder="templates")
    runtime.configure(app, settings, PORTS)
    database.configure(app, settings)
    logs.log_requests(app)
    security.configure(app, settings)
    post_redirect_get.configure(app)
    assets.configure(app)
    middleware.configure(app, settings)
    admission.configure(app, settings)
    response_cache.configure(app, settings)
    throttle.configure(app, settings)
    session.configure(app)
    pages.configure(app, settings)
    authorization_server.configure(app)

    for views in (
        health, well_known, outbox, schools, onboarding, signin, federation, invitations, manage, oidc, partner_api,
        developers, operate,
    ):  # fmt: skip
        app.register_blueprint(views.bp)
    return app
