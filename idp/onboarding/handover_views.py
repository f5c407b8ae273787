"""Redirect to a registration's current step, and the pages on which it moves from one browser to another."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from idp.foundation.web import form_drafts, security
from idp.foundation.web.throttle import at_most, limiter
from idp.onboarding import browser, forms, handover, origin, signup, verify
from idp.onboarding.models import Registration

bp = Blueprint("handover", __name__)

STEP_ENDPOINTS = {
    "check_email": "onboarding.check_email", "enter_code": "onboarding.handover.code",
    "show_code": "onboarding.handover.code", "sign_up": "onboarding.sign_up", "done": "onboarding.done",
}  # fmt: skip
"""The page of each step of `signup.step`."""


def redirect_to_step(registration: Registration) -> ResponseReturnValue:
    """A redirect to the page of the step at which `registration` is in this browser."""
    page = STEP_ENDPOINTS[signup.step(registration, browser.digest())]
    return redirect(url_for(page, registration_id=registration.id), 303)


@bp.route("/register/<registration_id>/code", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "hour"), methods=["POST"])
def code(registration_id: str) -> ResponseReturnValue:
    """Show the code in the browser that opened the link; take it in the browser that began."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    step, form = signup.step(registration, browser.digest()), forms.HandoverCodeForm()
    if step == "show_code":
        current_code = handover.code(registration)
        return render_template("onboarding/show_code.html", registration=registration, code=current_code)
    if step != "enter_code":
        return redirect_to_step(registration)
    if form.validate_on_submit():
        try:
            handover.enter(registration, browser.digest(), form.code.data)
        except (handover.WrongCode, handover.CodeExpired) as error:  # no rollback: the attempt is counted
            form.code.errors = [error.message]
        else:
            return redirect_to_step(registration)
    page = render_template(
        "onboarding/enter_code.html", registration=registration, form=form,
        address=forms.CorrectedEmailForm(formdata=None),
        return_link=origin.return_link(registration, browser.digest()),
    )  # fmt: skip
    return page, 422 if form.errors else 200


@bp.post("/register/<registration_id>/new-code")
@security.anyone
@form_drafts.form_shown_at("onboarding.handover.code")
@limiter.limit(at_most(30, "hour"))
def new_code(registration_id: str) -> ResponseReturnValue:
    """Show another code in the browser that opened the link."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    try:
        handover.renew(registration, browser.digest())
    except handover.TooManyCodes as error:
        flash(error.message, "warning")
    return redirect_to_step(registration)


@bp.post("/register/<registration_id>/here")
@security.anyone
@form_drafts.form_shown_at("onboarding.handover.code")
@limiter.limit(at_most(30, "hour"))
def continue_here(registration_id: str) -> ResponseReturnValue:
    """Continue in the browser that opened the link, unless the code was used first."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    handover.continue_here(registration, browser.digest())
    return redirect_to_step(registration)


@bp.post("/register/<registration_id>/not-me")
@security.anyone
@form_drafts.form_shown_at("onboarding.handover.code")
def not_me_after_all(registration_id: str) -> ResponseReturnValue:
    """Stop a registration whose address was verified by a person who had not asked for it."""
    verify.stop_in_browser(signup.find_in_browser(registration_id, browser.digest()), browser.digest())
    return redirect(url_for("onboarding.stopped"), 303)
