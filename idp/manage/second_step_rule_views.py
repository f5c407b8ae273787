"""On the Security page, for owners: require a second step of everyone who acts for the school."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import authority
from idp.estabs.permissions import Action
from idp.foundation.web import security
from idp.signin import second_step_rule, step_up

bp = Blueprint("rule", __name__, url_prefix="/manage/security")


@bp.route("/everyone", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
def everyone() -> ResponseReturnValue:
    """Show whether one is required and who has none yet; on the button, require one of everyone, or no longer."""
    member = current_user.membership
    authority.check(member, Action.REQUIRE_SECOND_FACTOR)
    if not current_user.has_second_step:  # or they would lock themselves out of this page
        return redirect(url_for("manage.security.second_step", next=url_for(".everyone"), reason="everyone"), 303)
    if request.method != "POST":
        people = second_step_rule.people_without_factor(member.estab_id)
        return render_template("manage/second_step_rule.html", estab=member.estab, people=people)
    if "lift" in request.form:
        if second_step_rule.lift(member):
            flash("A second step is no longer required. We have told everyone by e-mail.", "success")
    elif second_step_rule.require(member):
        flash("Everyone now needs a second step. We have told them by e-mail.", "success")
    return redirect(url_for("manage.security.home"), 303)
