"""The page behind a link that undoes changes of e-mail address and mobile number; no sign-in is needed for it."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from idp.estabs import links
from idp.foundation.web import security
from idp.foundation.web.forms import Form
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import mobile, undo_changes

bp = Blueprint("undo", __name__)


@bp.route("/undo/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
def undo(secret: str) -> ResponseReturnValue:
    """Ask for confirmation, and undo. Opening the link changes nothing: mail scanners open links too."""
    form, (address, number) = Form(), undo_changes.check(secret)
    if form.validate_on_submit():
        undo_changes.undo(secret)
        return render_template("signin/undone.html")
    return render_template("signin/undo.html", form=form, address=address, number=mobile.readable(number))


@bp.errorhandler(links.LinkRefused)
def link_refused(error: links.LinkRefused) -> ResponseReturnValue:
    """Say what is wrong with the link, and what to do."""
    return render_template("signin/undo_refused.html", refusal=error), error.status
