"""On the Security page: link one's own account of Microsoft 365 or Google Workspace, and unlink it."""

from flask import Blueprint, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.federation import authentication_requests, linking, providers
from idp.foundation.web import browser_store, form_drafts, security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import step_up

HOME = "/manage/security"
bp = Blueprint("linked_accounts", __name__, url_prefix=f"{HOME}/accounts")


@bp.post("/<name>/link")
@security.own_account
@form_drafts.form_shown_at("manage.security.home")
@limiter.limit(at_most(30, "minute"))
@step_up.recent_sign_in_required
def link(name: str) -> ResponseReturnValue:
    """Send the browser to the provider, to prove which account is the person's."""
    provider, sid = providers.find(name), current_user.sid
    browser = browser_store.ensure_browser_id()
    prompt = "select_account"  # or they would link the account that a colleague left signed in there
    url = authentication_requests.begin(provider, browser=browser, return_path=HOME, sid=sid, prompt=prompt)
    return redirect(url, 303)


@bp.route("/<name>/unlink", methods=["GET", "POST"])
@security.own_account
@step_up.recent_sign_in_required
def unlink(name: str) -> ResponseReturnValue:
    """Ask for confirmation, and unlink the person's account of this provider."""
    person, kind = current_user.person, providers.find(name).kind
    if request.method != "POST":
        account = linking.account_of(person.id, name)
        if account is None:
            return redirect(HOME, 303)
        return render_template("manage/unlink_account.html", kind=kind, account=account)
    if linking.unlink(person, name):
        flash(f"Your {kind.account} has been unlinked. It can no longer be used to sign in.", "success")
    return redirect(HOME, 303)
