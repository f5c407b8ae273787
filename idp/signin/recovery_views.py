"""The pages for a lost second factor: start the wait, after the password; stop it, by the link in a notice."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from idp.estabs import links, people
from idp.estabs.models import Administrator
from idp.foundation import dates
from idp.foundation.errors import Refusal
from idp.foundation.web import security
from idp.foundation.web.forms import Form
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import factor_recovery, mobile, second_step
from idp.signin.forms import MobileCodeForm

bp = Blueprint("recovery", __name__)


@bp.route("/sign-in/lost-factor", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
def lost_factor() -> ResponseReturnValue:
    """Start the wait by a code to the confirmed mobile; for a person who has typed the right password here."""
    return_path = security.local_path(request.args.get("next"))
    half_signed_in = second_step.waiting()
    person = people.get(half_signed_in.person_id) if half_signed_in is not None else None
    if person is None:
        flash(second_step.StepExpired.message, "info")
        return redirect(url_for("signin.sign_in", next=return_path), 303)
    form, number = MobileCodeForm(), mobile.number_for_resets(person)
    if number is not None and factor_recovery.waiting(person.id) is None:
        if "send-code" in request.form:
            mobile.send_code(person, number, mobile.LOST_FACTOR)
            return redirect(url_for(".lost_factor", next=return_path), 303)
        if form.validate_on_submit() and _start_recovery(person, form):
            return redirect(url_for(".lost_factor", next=return_path), 303)
    return form.response(_page(person, form, return_path))


def _start_recovery(person: Administrator, form: MobileCodeForm) -> bool:
    """Start the wait if the code is right; returns whether it was."""
    try:
        mobile.check_code(person, form.code.data, mobile.LOST_FACTOR)
    except Refusal as error:  # no rollback: the attempt is counted
        form.show_refusal(error, form.code)
        return False
    factor_recovery.start(person, by=person.id)
    return True


def _page(person: Administrator, form: MobileCodeForm, return_path: str) -> str:
    recovery = factor_recovery.waiting(person.id)
    return render_template(
        "signin/lost_factor.html", form=form, due=dates.day_and_time(recovery.due_at) if recovery else None,
        has_number=mobile.number_for_resets(person) is not None, back=return_path,
        code_sent=mobile.is_waiting(person, mobile.LOST_FACTOR), may_be_helped=person.has_verified_school,
    )  # fmt: skip


@bp.route("/recovery/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
def stop(secret: str) -> ResponseReturnValue:
    """Ask for confirmation, and stop the recovery. Opening the link stops nothing: mail scanners open links too."""
    form = Form()
    if form.validate_on_submit():
        factor_recovery.stop(secret)
        return render_template("signin/recovery_stopped.html")
    factor_recovery.check(secret)
    return render_template("signin/stop_recovery.html", form=form)


@bp.errorhandler(links.LinkRefused)
def link_refused(error: links.LinkRefused) -> ResponseReturnValue:
    """Say what is wrong with the link, and what to do."""
    return render_template("signin/undo_refused.html", refusal=error), error.status
