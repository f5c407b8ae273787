"""The page of what was done in the school's name, for its owners."""

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import authority
from idp.estabs.permissions import Action
from idp.foundation import clock
from idp.foundation.web import security
from idp.manage import activity

MAX_PAGE = 100
"""The last page that is shown; the file has everything."""
bp = Blueprint("activity", __name__, url_prefix="/manage/activity")


@bp.get("")
@security.person
def home() -> ResponseReturnValue:
    """A page of it, newest first."""
    member = current_user.membership
    authority.check(member, Action.SEE_ACTIVITY)
    number = max(1, min(request.args.get("page", 1, type=int), MAX_PAGE))
    acts, has_older = activity.page(member.estab_id, number)
    return render_template("manage/activity.html", acts=acts, page=number, has_older=has_older and number < MAX_PAGE)


@bp.get("/activity.csv")
@security.person
def download() -> ResponseReturnValue:
    """All of it as CSV. The byte order mark makes spreadsheets read it as UTF-8."""
    member = current_user.membership
    authority.check(member, Action.SEE_ACTIVITY)
    response = Response("\ufeff" + activity.as_csv(member.estab_id), mimetype="text/csv")
    name = f"activity-{member.estab.estab_id}-{clock.today()}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
