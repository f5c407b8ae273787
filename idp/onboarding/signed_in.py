"""Pages of onboarding for people who have signed in: the next steps, and requests to join their school."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import people
from idp.estabs.models import Administrator
from idp.foundation import dates
from idp.foundation.errors import BadRequest, NotFound
from idp.foundation.web import security
from idp.onboarding import browser, forms, join, origin, register, review
from idp.onboarding.models import JoinRequest

bp = Blueprint("signed_in", __name__)


@bp.get("/register/next-steps")
@security.person
def next_steps() -> ResponseReturnValue:
    """What to do now that the school is registered, and when to expect our call."""
    person = _me()
    registration = register.of_person(person.id)
    opened = review.of_estab(person.estab)
    return render_template(
        "onboarding/next_steps.html", person=person, mobile=forms.readable_mobile(person.mobile),
        due=dates.weekday(opened.due_at) if opened else None,
        way_on=origin.way_on(registration, browser.here()) if registration else None,
    )  # fmt: skip


@bp.route("/join/<request_id>", methods=["GET", "POST"])
@security.person
def join_request(request_id: str) -> ResponseReturnValue:
    """Somebody asks to join: an owner approves or declines."""
    me = _me()
    asked = join.of_owner(me, request_id)
    form = forms.JoinDecision()
    if request.method != "POST":
        return _join_page(asked, form)
    decision = request.form.get("decision")
    if decision == "decline":
        join.decline(asked, by=me)
        flash(f"You have declined {asked.name}'s request. We have told them by e-mail.", "success")
    elif decision == "approve":
        if not form.validate():
            return _join_page(asked, form)
        join.approve(asked, form.role.data, by=me)
        flash(f"{asked.name} can now join. We have sent them an e-mail.", "success")
    else:
        raise BadRequest(because="neither approved nor declined")
    return redirect(url_for(".join_request", request_id=asked.id), 303)


def _join_page(asked: JoinRequest, form: forms.JoinDecision) -> ResponseReturnValue:
    page = render_template(
        "onboarding/join.html", asked=asked, form=form,
        relation=review.relation(asked.email, asked.estab.school.website_host),
        answer_by=dates.weekday(asked.expires_at),
    )  # fmt: skip
    return page, 422 if form.errors else 200


def _me() -> Administrator:
    person = people.get(current_user.id)
    if person is None:  # removed while this was being answered
        raise NotFound(because="a person who was removed")
    return person
