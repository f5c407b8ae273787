"""An owner helps a colleague who cannot sign in: a link to choose a new password, or the wait for a lost factor."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.foundation import dates
from idp.foundation.web import security
from idp.signin import colleagues, factor_recovery, step_up

bp = Blueprint("colleagues", __name__, url_prefix="/manage/people/<person_id>")


@bp.route("/reset", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
def reset(person_id: str) -> ResponseReturnValue:
    """Ask for confirmation, and send the link."""
    owner = current_user.membership
    person = colleagues.find(owner, person_id)
    if request.method != "POST":
        return render_template("manage/send_reset_link.html", person=person)
    colleagues.send_reset_link(owner, person_id)
    flash(f"A link to choose a new password is on its way to {person.email}.", "success")
    return redirect(url_for("manage.people.home"), 303)


@bp.route("/lost-factor", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
def lost_factor(person_id: str) -> ResponseReturnValue:
    """Ask for confirmation, and start the wait."""
    owner = current_user.membership
    person = colleagues.find(owner, person_id)
    if request.method != "POST":
        colleagues.check_factor_recovery(owner, person)
        recovery = factor_recovery.waiting(person_id)
        due = dates.day_and_time(recovery.due_at) if recovery else None
        return render_template("manage/start_recovery.html", person=person, due=due)
    recovery = colleagues.start_factor_recovery(owner, person_id)
    flash(f"From {dates.day_and_time(recovery.due_at)} {person.name} can sign in with the password alone.", "success")
    return redirect(url_for("manage.people.home"), 303)
