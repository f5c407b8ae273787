"""The operator's pages about new schools and requests to join. `idp onboarding` does the same by the same functions."""

from collections.abc import Callable
from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import RadioField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length, ValidationError

from idp.estabs import accounts, people, permissions
from idp.foundation.database import savepoint
from idp.foundation.web import security
from idp.foundation.web.contact_fields import readable_mobile
from idp.foundation.web.forms import Form, empty_if_invisible
from idp.foundation.web.throttle import at_most, limiter
from idp.onboarding import join, review, staff_queue
from idp.onboarding.models import JoinRequest
from idp.signin import operators

MAX_TEXT_LENGTH: Final = 2000
"""In characters, of a note, a question or a reason."""
DECLINE: Final = "decline"
bp = Blueprint("schools", __name__)


class CaseForm(Form):
    """What to do about a new school. There is one text, so that none is lost where another button is pressed."""

    action = RadioField(
        "What do you want to do?",
        choices=[
            SelectChoice("note", "Keep a note"),
            SelectChoice("ask", "Ask the school"),
            SelectChoice("verify", "Verify the school"),
            SelectChoice("reject", "Reject the registration"),
        ],
        validate_choice=False,
    )
    text = TextAreaField(
        "Note, question or reason", [Length(max=MAX_TEXT_LENGTH, message="That is too long.")], [empty_if_invisible]
    )

    def validate_action(self, field: RadioField) -> None:
        """One has to be chosen."""
        if field.data not in ACTIONS:
            raise ValidationError("Choose what to do")


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
    case, form = review.case(estab_id), CaseForm()
    if case.review.decided_at:
        form.action.choices = form.action.choices[:1]
        form.action.data = form.action.data or "note"
    if request.method == "POST" and form.validate():
        try:
            with savepoint():
                message = ACTIONS[form.action.data](estab_id, form.text.data or "", current_user.id)
        except review.ReasonMissing as error:
            form.text.errors = [error.message]
        except (review.AlreadyDecided, accounts.WrongState) as error:
            form.form_errors.append(error.message)
        else:
            flash(message, "success")
            return redirect(url_for(".show_school", estab_id=estab_id), 303)
    page = render_template(
        "operate/school.html", case=case, form=form, readable_number=readable_mobile,
        staff={row.id: row.name for row in operators.all_operators()},
    )  # fmt: skip
    return page, 422 if form.errors else 200


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
        "operate/join_request.html", join_request=join_request, form=form, readable_number=readable_mobile,
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


ACTIONS: Final[dict[str, Callable[[str, str, str], str]]] = {
    "note": _note, "ask": _ask, "verify": _verify, "reject": _reject,
}  # fmt: skip
"""By the radio button's value: it takes the Estab ID, the text and the operator's id, and returns what was done."""
