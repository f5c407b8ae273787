"""The school's management information system, named on its pages."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import RadioField
from wtforms.validators import InputRequired

from idp.estabs import authority
from idp.estabs.permissions import Action
from idp.foundation.web import security
from idp.foundation.web.forms import Form
from idp.partners import mis_catalogue
from idp.sharing import mis

bp = Blueprint("system", __name__, url_prefix="/manage")


class SystemForm(Form):
    """The school's system."""

    mis = RadioField(
        "Which management information system (MIS) does your school use?",
        [InputRequired("Choose the system that your school uses.")],
        validate_choice=False,  # `mis.set_by_school` checks it
    )


@bp.route("/system", methods=["GET", "POST"])
@security.person
def change() -> ResponseReturnValue:
    """Name the system. If services do not work with it, the page asks for confirmation."""
    member, form, stopping = current_user.membership, SystemForm(), []
    authority.check(member, Action.NAME_MIS)
    form.mis.choices = [(choice.code, choice.name) for choice in mis.choices()]
    if form.validate_on_submit():
        code = form.mis.data
        stopping = [agreement.client.client_name for agreement in mis.agreements_stopped_by(member.estab, code)]
        if not stopping or request.form.get("confirm") == code:
            mis.set_by_school(code, by=member)
            flash(f"Your school's system is recorded as {mis_catalogue.name(code)}.", "success")
            return redirect(url_for("manage.home"), 303)
    elif not form.is_submitted():
        form.mis.data = member.estab.mis
    page = render_template("manage/system.html", form=form, member=member, stopping=stopping)
    return page, 422 if form.errors else 200
