"""Which page a registration is at in this browser, and the pages where it passes from one browser to the other."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from idp.foundation.web import again, security
from idp.foundation.web.throttle import at_most, limiter
from idp.onboarding import browser, forms, handover, origin, register, verify
from idp.onboarding.models import Registration

bp = Blueprint("handover", __name__)

PAGES = {
    "check_email": "onboarding.check_email", "enter_code": "onboarding.handover.code",
    "show_code": "onboarding.handover.code", "sign_up": "onboarding.sign_up", "done": "onboarding.done",
}  # fmt: skip
"""The page of each step of `register.step`."""


def to_its_step(registration: Registration) -> ResponseReturnValue:
    """The way to the page where `registration` stands in this browser."""
    page = PAGES[register.step(registration, browser.here())]
    return redirect(url_for(page, registration_id=registration.id), 303)


@bp.route("/register/<registration_id>/code", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "hour"), methods=["POST"])
def code(registration_id: str) -> ResponseReturnValue:
    """Where the registration goes on: the browser of the link shows a code, and the one that began takes it."""
    registration = register.known_here(registration_id, browser.here())
    step, form = register.step(registration, browser.here()), forms.HandoverCode()
    if step == "show_code":
        shown = handover.code(registration)
        return render_template("onboarding/show_code.html", registration=registration, code=shown)
    if step != "enter_code":
        return to_its_step(registration)
    if form.validate_on_submit():
        try:
            handover.enter(registration, browser.here(), form.code.data)
        except (handover.WrongCode, handover.CodeGone) as refused:  # a page, not a rollback: the try counts
            form.code.errors = [refused.says]
        else:
            return to_its_step(registration)
    page = render_template(
        "onboarding/enter_code.html", registration=registration, form=form, address=forms.Address(formdata=None),
        way_on=origin.way_on(registration, browser.here()),
    )  # fmt: skip
    return page, 422 if form.errors else 200


@bp.post("/register/<registration_id>/new-code")
@security.anyone
@again.form_of("onboarding.handover.code")
@limiter.limit(at_most(30, "hour"))
def new_code(registration_id: str) -> ResponseReturnValue:
    """Another code, in the browser in which the link was opened."""
    registration = register.known_here(registration_id, browser.here())
    try:
        handover.renew(registration, browser.here())
    except handover.EnoughCodes as refused:
        flash(refused.says, "warning")
    return to_its_step(registration)


@bp.post("/register/<registration_id>/here")
@security.anyone
@again.form_of("onboarding.handover.code")
@limiter.limit(at_most(30, "hour"))
def go_on_here(registration_id: str) -> ResponseReturnValue:
    """Go on in the browser in which the link was opened; where the code was quicker, its page says so."""
    registration = register.known_here(registration_id, browser.here())
    handover.go_on_here(registration, browser.here())
    return to_its_step(registration)


@bp.post("/register/<registration_id>/not-me")
@security.anyone
@again.form_of("onboarding.handover.code")
def not_me_after_all(registration_id: str) -> ResponseReturnValue:
    """Somebody verified the address of a registration that is not theirs: end it."""
    verify.disown_here(register.known_here(registration_id, browser.here()), browser.here())
    return redirect(url_for("onboarding.stopped"), 303)
