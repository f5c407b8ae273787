"""The pages that walk through a sign-in with a sandbox application."""

from typing import Final

from flask import Blueprint, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from idp.developers import applications, own_requests, sandbox, signed_in, trial_run, try_it
from idp.foundation import database
from idp.foundation.errors import Busy
from idp.foundation.web import browser_store, form_drafts, security, transactions
from idp.foundation.web.forms import Form
from idp.foundation.web.throttle import at_most, limiter, rate_limit
from idp.partners import trial_secrets

bp = Blueprint("try_it", __name__)

RUN_KEY: Final = "try_it"
"""The name of the run in the browser's store."""


class StartForm(Form):
    """What to ask for."""

    scope = StringField(
        "Scopes",
        [InputRequired("Type the scopes to ask for, openid first."), Length(max=1000, message="That is too long.")],
        [lambda text: " ".join((text or "").split())],
    )  # fmt: skip


@bp.route("/applications/<client_id>/try-it", methods=["GET", "POST"])
@security.developer
@limiter.limit(at_most(20, "minute"), methods=["POST"])
def start(client_id: str) -> ResponseReturnValue:
    """Say what will happen; then send the browser to the authorization endpoint, as the application would."""
    developer, form = signed_in.developer(), StartForm()
    client, developer_id = applications.find(developer, client_id), developer.id
    if request.method == "POST" and form.validate():
        run = try_it.prepare(developer, client_id, form.scope.data)
        database.end_read_transaction()
        with transactions.transaction(current_app._get_current_object()):  # type: ignore[attr-defined]  # noqa: SLF001
            try_it.add_trial_credentials(run, by=developer_id)  # committed before the request is pushed, which needs it
        run = try_it.push(run, own_requests.send)
        if not browser_store.put(RUN_KEY, run.to_json(), browser=browser_store.ensure_browser_id()):
            raise Busy(reason="the run could not be stored")
        return redirect(trial_secrets.CALLBACK if try_it.has_failed(run) else run.authorization_url, 303)
    if request.method != "POST" and form_drafts.saved_fields() is None:
        form.scope.data = try_it.suggested_scope(client)
    page = render_template(
        "developers/try_it.html", client=client, form=form, can_be_tried=sandbox.has_try_it(client),
        try_it_url=sandbox.try_it_url(),
    )  # fmt: skip
    return page, 422 if form.errors else 200


@bp.get("/try-it/callback")
@security.anyone
@rate_limit(60)
def callback() -> ResponseReturnValue:
    """Take the code, as the application would, and explain what was sent and what came back.

    It is bound to the browser that began, by the run that is stored for it; signing in as a school has ended the
    developer's session there.
    """
    item = browser_store.get(RUN_KEY, browser=browser_store.browser_id())
    if item is None:
        return render_template("developers/try_it_over.html"), 410
    run = trial_run.from_json(item.content)
    browser_store.remove(RUN_KEY, browser=browser_store.browser_id())
    steps, has_code = try_it.explain_response(run, request.args.to_dict())
    if has_code:
        steps += try_it.exchange(run, request.args["code"], own_requests.send)
    try_it.remove_trial_credentials(run)
    return render_template("developers/try_it_steps.html", steps=steps, client_id=run.client_id)
