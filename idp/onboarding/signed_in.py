"""Onboarding pages for signed-in people: the next steps, and requests to join their school."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import permissions
from idp.foundation import dates
from idp.foundation.errors import BadRequest
from idp.foundation.web import security
from idp.onboarding import browser, forms, join, origin, review, signup
from idp.onboarding.models import JoinRequest

bp = Blueprint("signed_in", __name__)


@bp.get("/register/next-steps")
@security.person
def next_steps() -> ResponseReturnValue:
    """What to do now that the school is registered, and when to expect our call."""
    member = current_user.membership
    person, registration = member.person, signup.of_person(member.person_id)
    opened = review.of_estab(member.estab)
    return render_template(
        "onboarding/next_steps.html", person=person, estab=member.estab, mobile=forms.readable_mobile(person.mobile),
        due=dates.weekday(opened.due_at) if opened else None,
        return_link=origin.return_link(registration, browser.digest()) if registration else None,
    )  # fmt: skip


@bp.route("/join/<request_id>", methods=["GET", "POST"])
@security.person
def join_request(request_id: str) -> ResponseReturnValue:
    """An owner approves or declines a request to join."""
    me = current_user.membership
    join_request = join.of_owner(me, request_id)
    form = forms.JoinDecision()
    if request.method != "POST":
        return _join_page(join_request, form)
    decision = request.form.get("decision")
    if decision == "decline":
        join.decline(join_request, by=me)
        flash(f"You have declined {join_request.name}'s request. We have told them by e-mail.", "success")
    elif decision == "approve":
        if not form.validate():
            return _join_page(join_request, form)
        join.approve(join_request, form.role.data, by=me)
        flash(f"{join_request.name} can now join. We have sent them an e-mail.", "success")
    else:
        raise BadRequest(reason="neither approved nor declined")
    return redirect(url_for(".join_request", request_id=join_request.id), 303)


def _join_page(join_request: JoinRequest, form: forms.JoinDecision) -> ResponseReturnValue:
    page = render_template(
        "onboarding/join.html", join_request=join_request, form=form,
        relation=review.compare_address(join_request.email, join_request.estab.school.website_host),
        answer_by=dates.weekday(join_request.expires_at), role_summaries=permissions.SUMMARIES,
        role_table=permissions.table(),
    )  # fmt: skip
    return page, 422 if form.errors else 200
