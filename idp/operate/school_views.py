"""The operator's pages about new schools and requests to join. `idp onboarding` does the same by the same functions."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import RadioField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from idp.estabs import people, permissions
from idp.foundation.database import savepoint
from idp.foundation.web import security
from idp.foundation.web.forms import Form
from idp.foundation.web.throttle import at_most, limiter
from idp.onboarding import join, review, staff_queue
from idp.onboarding.models import JoinRequest
from idp.onboarding.review import Case
from idp.operate.action_form import ActionForm, OperatorAction
from idp.signin import operators

DECLINE: Final = "decline"
bp = Blueprint("schools", __name__)


class JoinForm(Form):
    """The decision about a request to join."""

    decision = RadioField(
        "What do you decide?",
        choices=[
            SelectChoice(permissions.ADMIN, "Let them join, as administrator"),
            SelectChoice(permissions.VIEWER, "Let them join, as viewer"),
            SelectChoice(DECLINE, "Decline the request"),
        ],
        validate_choice=False,
    )

    def validate_decision(self, field: RadioField) -> None:
        """One has to be chosen."""
        if field.data not in {*permissions.ROLES_TO_JOIN_WITH, DECLINE}:
            raise ValidationError("Choose what you decide")


@bp.get("/schools")
@security.operator
def list_waiting() -> ResponseReturnValue:
    """What waits to be decided, the most urgent first."""
    return render_template("operate/schools.html", waiting=staff_queue.waiting())


@bp.route("/schools/<estab_id>", methods=["GET", "POST"])
@security.operator
@limiter.limit(at_most(60, "minute"), methods=["POST"])
def show_school(estab_id: str) -> ResponseReturnValue:
    """What the register says and what was typed, for a call; and a note, a question, or the decision."""
    case = review.case(estab_id)
    form = ActionForm(list(_actions(case, estab_id)), text_label="Note, question or reason")
    if case.review.decided_at:
        form.action.data = form.action.data or "note"
    if request.method == "POST" and (message := form.run(current_user.id)):
        flash(message, "success")
        return redirect(url_for(".show_school", estab_id=estab_id), 303)
    page = render_template(
        "operate/school.html", case=case, form=form, staff={row.id: row.name for row in operators.all_operators()}
    )
    return form.response(page)


@bp.route("/requests-to-join/<request_id>", methods=["GET", "POST"])
@security.operator
@limiter.limit(at_most(60, "minute"), methods=["POST"])
def show_join_request(request_id: str) -> ResponseReturnValue:
    """Who asks to join which school, for a call; and the decision."""
    join_request, form = join.find(request_id), JoinForm()
    if request.method == "POST" and form.validate():
        try:
            with savepoint():  # one that is refused stays undecided
                message = _decide_join_request(join_request, form.decision.data)
        except (join.DecidedAlready, join.StillWithOwners, join.SchoolNotActive, join.RequesterGone) as error:
            form.form_errors.append(error.message)
        else:
            flash(message, "success")
            return redirect(url_for(".show_join_request", request_id=request_id), 303)
    page = render_template(
        "operate/join_request.html", join_request=join_request, form=form,
        account=people.get(join_request.person_id or ""),
        relation=review.describe_address(join_request.email, join_request.estab.school.website_host),
    )  # fmt: skip
    return page, 422 if form.errors else 200


def _decide_join_request(join_request: JoinRequest, decision: str) -> str:
    if decision == DECLINE:
        join.decline(join_request, by=current_user.id)
        return "The request has been declined. They are told by e-mail."
    join.approve(join_request, decision, by=current_user.id)
    return f"{join_request.name} can now join. They are told by e-mail."


def _actions(case: Case, estab_id: str) -> Iterator[OperatorAction]:
    """What can be done about a new school; only a note is left to keep once it is decided.

    An account that is suspended is restored before the school is decided.
    """
    text_missing = review.ReasonMissing.message
    yield OperatorAction("note", "Keep a note", "Only our staff read it.", partial(_note, estab_id), text_missing)
    if case.review.decided_at:
        return
    yield OperatorAction(
        "ask", "Ask the school",
        "The text is e-mailed to the owners and kept as a note. The school stays here until it is decided.",
        partial(_ask, estab_id), text_missing,
    )  # fmt: skip
    if case.review.estab.state == "suspended":
        return
    yield OperatorAction(
        "verify", "Verify the school",
        "You called the number above, and the school confirmed it. The services that it authorised receive its data "
        "from now on. A text is kept as a note.",
        partial(_verify, estab_id),
    )  # fmt: skip
    yield OperatorAction(
        "reject", "Reject the registration",
        "The text is e-mailed to the owners as the reason. The school may register again.",
        partial(_reject, estab_id), text_missing,
    )  # fmt: skip


def _note(estab_id: str, text: str, by: str) -> str:
    review.note(estab_id, text, by=by)
    return "The note has been kept."


def _ask(estab_id: str, text: str, by: str) -> str:
    review.ask(estab_id, text, by=by)
    return "The owners have been asked by e-mail."


def _verify(estab_id: str, text: str, by: str) -> str:
    verified = review.verify(estab_id, by=by)
    if text.strip():
        review.note(estab_id, text, by=by)
    return f"{verified.estab.name} has been verified. Its owners are told by e-mail."


def _reject(estab_id: str, text: str, by: str) -> str:
    rejected = review.reject(estab_id, text, by=by)
    return f"The registration of {rejected.estab.name} has been rejected. Its owners are told by e-mail."
