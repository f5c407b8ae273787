"""The page behind a link to choose a new password. Opening it uses nothing up: mail scanners open links too."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from idp.estabs import links
from idp.foundation import database, runtime
from idp.foundation.web import admission, security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import devices, password, reset_links
from idp.signin.forms import NewPasswordForm

bp = Blueprint("reset_links", __name__, url_prefix="/reset/link")


@bp.route("/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
@admission.hashes_passwords
def choose(secret: str) -> ResponseReturnValue:
    """Choose a new password; the person signs in with it afterwards."""
    person, form = reset_links.check(secret), NewPasswordForm()
    if form.validate_on_submit():
        if (reason := password.rejection_reason(form.password.data, person)) is None:
            database.end_read_transaction()
            password_hash = runtime.passwords().hash(form.password.data)
            reset_links.complete(secret, password_hash, device=devices.device_id())
            flash("Your new password is set. Sign in with it now.", "success")
            return redirect(url_for("signin.sign_in"), 303)
        form.password.errors = [reason]
    return render_template("signin/reset_password.html", form=form, person=person), 422 if form.errors else 200


@bp.errorhandler(links.LinkRefused)
def link_refused(error: links.LinkRefused) -> ResponseReturnValue:
    """Say what is wrong with the link, and what to do."""
    return render_template("signin/reset_link_refused.html", refusal=error), error.status
