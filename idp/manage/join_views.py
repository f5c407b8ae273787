"""The page of a request to join the school, for its owners, who approve or decline it."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import RadioField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from idp.estabs import permissions
from idp.estabs.models import Membership
from idp.foundation import dates
from idp.foundation.errors import BadRequest, NotFound
from idp.foundation.web import security
from idp.foundation.web.forms import Form
from idp.onboarding import join, review
from idp.onboarding.models import JoinRequest
from idp.signin import step_up

bp = Blueprint("join", __name__, url_prefix="/join")


class JoinDecisionForm(Form):
    """The role for a person who asks to join."""

    role = RadioField(
        "What may they do?",
        choices=[SelectChoice(role, permissions.TITLES[role]) for role in permissions.ROLES_TO_JOIN_WITH],
        validate_choice=False,
    )

    def validate_role(self, field: RadioField) -> None:
        """One of the two has to be chosen."""
        if field.data not in permissions.ROLES_TO_JOIN_WITH:
            raise ValidationError("Choose what they may do")


@bp.route("/<request_id>", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
def decide(request_id: str) -> ResponseReturnValue:
    """Show who asks to join; on a button, approve or decline the request."""
    owner, form = current_user.membership, JoinDecisionForm()
    try:
        join_request = join.find_for_owner(owner, request_id)
    except NotFound:
        if (response := _choose_other_school(owner, request_id)) is None:
            raise
        return response
    if request.method != "POST":
        return _page(join_request, form)
    decision = request.form.get("decision")
    if decision == "decline":
        join.decline(join_request, by=owner)
        flash(f"You have declined {join_request.name}'s request. We have told them by e-mail.", "success")
    elif decision == "approve":
        if not form.validate():
            return _page(join_request, form)
        join.approve(join_request, form.role.data, by=owner)
        flash(f"{join_request.name} can now join. We have sent them an e-mail.", "success")
    else:
        raise BadRequest(reason="neither approved nor declined")
    return redirect(url_for(".decide", request_id=join_request.id), 303)


def _choose_other_school(owner: Membership, request_id: str) -> ResponseReturnValue | None:
    """If the mail's link was about another school of the person, redirect to the choice of school; otherwise None."""
    estab = join.other_school_of(owner.person, request_id)
    if estab is None:
        return None
    flash(f"This request is about {estab.name}. Choose it here to continue.", "info")
    return redirect(url_for("signin.schools.choose", next=url_for(".decide", request_id=request_id)), 303)


def _page(join_request: JoinRequest, form: JoinDecisionForm) -> ResponseReturnValue:
    page = render_template(
        "manage/join.html", join_request=join_request, form=form,
        relation=review.describe_address(join_request.email, join_request.estab.school.website_host),
        answer_by=dates.weekday_and_day(join_request.expires_at), role_summaries=permissions.SUMMARIES,
        role_table=permissions.rights_table(),
    )  # fmt: skip
    return page, 422 if form.errors else 200
