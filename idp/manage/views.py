"""The school's first page, and stopping to share."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.foundation.errors import NotFound
from idp.foundation.web import security
from idp.manage import overview
from idp.sharing import authorise

bp = Blueprint("manage", __name__)


@bp.get("/")
@security.anyone
def home() -> ResponseReturnValue:
    """The overview; for those who are not signed in, the way in."""
    if not current_user.is_authenticated:
        return redirect(url_for("signin.sign_in"), 303)
    if current_user.kind == "operator":
        return redirect(url_for("signin.operators.home"), 303)
    return render_template("manage/overview.html", seen=overview.of(current_user.person))


@bp.route("/manage/sharing/<client_id>/stop", methods=["GET", "POST"])
@security.person
def stop_sharing(client_id: str) -> ResponseReturnValue:
    """Ask, saying what stopping does and does not; then stop, at once."""
    person = current_user.person
    shared = overview.shared_with(person, client_id)
    if shared is None:
        raise NotFound(because=f"{person.estab_id} shares nothing with that client")
    if request.method != "POST":  # a HEAD carries no token against forgery, and stops nothing
        return render_template("manage/stop.html", shared=shared, person=person)
    authorise.withdraw(person.estab_id, client_id, by=person)
    flash(f"Your school has stopped sharing with {shared.name}.", "success")
    return redirect(url_for(".home"), 303)
