"""The page on which a person who acts for several schools chooses the one to act for, after signing in or later."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from wtforms import RadioField
from wtforms.validators import InputRequired

from idp.estabs import people
from idp.foundation import runtime
from idp.foundation.errors import NotFound
from idp.foundation.web import pages, security
from idp.foundation.web.forms import Form
from idp.signin import session

bp = Blueprint("schools", __name__)
_PEOPLE = ("People", "/manage/people")


class WhichSchoolForm(Form):
    """The school to act for."""

    school = RadioField("School", [InputRequired("Choose the school that you want to act for now.")])


def navigation() -> list[tuple[str, str]]:
    """Links in the header: to the school's page and its people, and for a person with several schools to the choice.

    There are none before such a person has chosen a school.
    """
    schools = people.active_memberships(current_user.person)
    if len(schools) == 1:
        return [("Your school", "/manage"), _PEOPLE]
    chosen = next((member for member in schools if member.estab_id == current_user.estab_id), None)
    if chosen is None:
        return []
    return [(chosen.estab.name, "/manage"), ("Change school", url_for("signin.schools.choose")), _PEOPLE]


@bp.route("/sign-in/school", methods=["GET", "POST"])
@security.anyone
def choose() -> ResponseReturnValue:
    """Choose one of the person's schools, and redirect to `next`. The school chosen last time is listed first."""
    security.keep_opener()
    return_path = security.local_path(request.args.get("next"), "/manage")
    signed_in = session.current()
    if signed_in is None:
        return redirect(url_for("signin.sign_in", next=return_path), 303)
    schools = people.active_memberships(signed_in.person)
    if not schools:  # none of them is open any more
        session.end_here()
        return redirect(url_for("signin.sign_in", next=return_path), 303)
    if signed_in.locked_estab_id is not None and len(schools) == 1:
        return redirect(_second_step(return_path), 303)
    form = WhichSchoolForm()
    form.school.choices = [(member.estab.estab_id, member.estab.name) for member in schools]
    if form.validate_on_submit():
        chosen = next((member for member in schools if member.estab.estab_id == form.school.data), None)
        if chosen is None:
            raise NotFound(reason="a school that the person does not act for")
        session.choose(chosen.estab_id)
        is_locked = chosen.estab.second_step_required_at is not None and not signed_in.has_second_step
        return redirect(_second_step(return_path) if is_locked else return_path, 303)
    if not form.is_submitted():
        present = signed_in.estab_id or signed_in.locked_estab_id
        form.school.data = next((m.estab.estab_id for m in schools if m.estab_id == present), None)
    return _page(form, {member.estab.estab_id: member.estab.school.town for member in schools}, return_path)


@bp.errorhandler(CSRFError)
def form_expired(_error: CSRFError) -> ResponseReturnValue:
    """A second click sends a form that expired by the first: redirect as the first did. Other old forms do nothing."""
    security.keep_opener()
    signed_in = session.current()
    chosen = people.membership(signed_in.id, signed_in.estab_id) if signed_in and signed_in.estab_id else None
    if chosen is not None and chosen.estab.estab_id == request.form.get("school"):
        return redirect(security.local_path(request.args.get("next"), "/manage"), 303)
    return pages.form_expired()


def _second_step(return_path: str) -> str:
    """The page that leads to the second step which the chosen school requires."""
    return url_for("manage.security.second_step", next=return_path, reason="school")


def _page(form: WhichSchoolForm, towns: dict[str, str], return_path: str) -> ResponseReturnValue:
    partner = runtime.ports().requesting_partner(return_path)
    if partner is not None:
        security.allow_form_redirects()
    page = render_template("signin/school.html", form=form, towns=towns, partner=partner)
    return page, 422 if form.errors else 200
