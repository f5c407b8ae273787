"""The routes below `/developers`."""

from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from idp.developers import (
    account_views,
    applications,
    guide,
    live_views,
    progress,
    quick_starts,
    sandbox,
    sandbox_views,
    signed_in,
    try_it_views,
)
from idp.developers.forms import FillInForm
from idp.foundation import runtime
from idp.foundation.web import security
from idp.foundation.web.throttle import rate_limit

bp = Blueprint("developers", __name__, url_prefix="/developers")
bp.register_blueprint(account_views.bp)
bp.register_blueprint(sandbox_views.bp)
bp.register_blueprint(live_views.bp)
bp.register_blueprint(try_it_views.bp)


@bp.get("")
@security.anyone
@rate_limit(600)
def home() -> ResponseReturnValue:
    """The first page for developers; with the progress of their company for one who is signed in."""
    developer = signed_in.developer_or_none()
    partner_progress = progress.for_partner(developer) if developer else None
    return render_template("developers/home.html", developer=developer, progress=partner_progress)


@bp.get("/quick-starts")
@security.anyone
@rate_limit(600)
def list_quick_starts() -> ResponseReturnValue:
    """Every quick start, by language."""
    return render_template(
        "developers/quick_starts.html",
        quick_starts=quick_starts.catalogue().values(),
        forwarded_parameters=_forwarded_parameters(),
    )


@bp.get("/quick-starts/<quick_start_id>")
@security.anyone
@rate_limit(600)
def show_quick_start(quick_start_id: str) -> ResponseReturnValue:
    """A quick start, with the client id and the URL of the query filled in."""
    quick_start = quick_starts.find(quick_start_id)
    form = FillInForm(formdata=request.args, meta={"csrf": False})
    values = quick_starts.fill_values()
    if form.validate():
        try:
            values = quick_starts.fill_values(form.client_id.data, form.address.data)
        except quick_starts.InvalidValue as error:
            form[error.field].errors = [error.message]
    developer = signed_in.developer_or_none()
    registered = applications.find_if_own(developer, values.client_id) if developer else None
    page = render_template(
        "developers/quick_start.html", form=form, values=values, registered=registered,
        forwarded_parameters=_forwarded_parameters(),
        try_it_url=sandbox.try_it_url(),
        missing=quick_starts.missing_redirect_uris(quick_start, values, registered) if registered else [],
        rendered=quick_starts.render(quick_start, values), is_filled_in=values.client_id != quick_starts.CLIENT_ID,
    )  # fmt: skip
    return page, 422 if form.errors else 200


@bp.get("/guide")
@security.anyone
@rate_limit(600)
def show_guide() -> ResponseReturnValue:
    """The partner guide, with the figures of this service."""
    settings = runtime.settings()
    return render_template(
        "developers/guide.html", figures=guide.figures(), at_authorize=guide.AT_AUTHORIZE, at_token=guide.AT_TOKEN,
        at_userinfo=guide.AT_USERINFO, at_logout=guide.AT_LOGOUT, at_dpop=guide.AT_DPOP, at_data=guide.AT_DATA,
        grace=guide.duration(settings.tokens.refresh_grace),
        published_before=guide.duration(settings.keys.publish_before),
    )  # fmt: skip


def _forwarded_parameters() -> dict[str, Any]:
    """The parameters of the query that links to other quick starts pass on."""
    return {name: request.args[name] for name in ("client_id", "address") if request.args.get(name)}
