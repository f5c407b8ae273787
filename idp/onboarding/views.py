"""The pages of registering a school: search, details, the e-mail's link, signing up, the credentials.

The page of a step redirects a person who is not there yet, or already past it, to their own step.
"""

from collections.abc import Callable

import structlog
from flask import Blueprint, flash, jsonify, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError

from idp.estabs import people
from idp.estabs.links import LinkRefused, LinkUsed
from idp.estabs.models import Administrator
from idp.foundation import database, runtime
from idp.foundation.errors import Refusal, TooManyRequests
from idp.foundation.web import admission, contact_fields, form_drafts, pages, post_redirect_get, security
from idp.foundation.web.forms import Form
from idp.foundation.web.throttle import at_most, limiter
from idp.onboarding import (
    browser,
    first_credentials,
    forms,
    handover_views,
    invited_school,
    next_steps,
    old_path_views,
    origin,
    signup,
    verify,
)
from idp.onboarding.handover_views import redirect_to_step
from idp.onboarding.models import Registration
from idp.schools import search
from idp.schools.forms import FindSchool
from idp.schools.models import School

bp = Blueprint("onboarding", __name__)
bp.before_request(security.keep_opener)  # a partner's request may be waiting behind any of these pages
bp.register_blueprint(next_steps.bp)
bp.register_blueprint(handover_views.bp)
bp.register_blueprint(old_path_views.bp)

log = structlog.get_logger(__name__)


@bp.get("/register")
@security.anyone
def find() -> ResponseReturnValue:
    """Find the school by one search box, or by a field for each kind of number; one that was invited at once."""
    return_to, form = _return_to(), FindSchool.from_request()
    if (school := form.chosen_school()) is not None:
        return redirect(url_for(".details", school=school.id, next=return_to), 303)
    partner = origin.find_by_path(return_to)
    if request.args.keys() <= {"next"} and (invited := invited_school.find(partner)) is not None:
        return redirect(url_for(".find", next=return_to, q=invited.register_id), 303)
    return render_template("onboarding/find.html", form=form, partner=partner, return_to=return_to)


@bp.route("/register/details", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "hour"), methods=["POST"])
def details() -> ResponseReturnValue:
    """The person's details, and the declaration; submitting them sends the link that verifies the address."""
    return_to = _return_to()
    school_id = request.args.get("school", type=search.parse_id)
    if school_id is None:
        return redirect(url_for(".find", next=return_to), 303)
    school = signup.school_to_register(school_id, return_to)
    add_page = url_for("manage.add_school.add", school=school_id, next=return_to)
    if (response := _redirect_with_account(add_page)) is not None:
        return response
    registration = signup.find_open(browser.digest())  # perhaps for another school, but by the same person
    form = forms.DetailsForm(data=_form_data(registration) if registration else None)
    if form.validate_on_submit():
        submitted, browser_digest = form.details(), browser.ensure_cookie()
        registration = _catch_too_many(
            form, lambda: signup.begin(school, submitted, browser=browser_digest, return_to=return_to)
        )
        if registration is not None:
            return redirect(url_for(".resume", registration_id=registration.id), 303)
    return _details(school, form)


@bp.get("/register/<registration_id>")
@security.anyone
def resume(registration_id: str) -> ResponseReturnValue:
    """Redirect to the registration's current step."""
    return redirect_to_step(signup.find_in_browser(registration_id, browser.digest()))


@bp.get("/register/<registration_id>/check-email")
@security.anyone
def check_email(registration_id: str) -> ResponseReturnValue:
    """The page after the link was sent: wait for it, resend it, or correct the address. It polls `status.json`."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    if signup.step(registration, browser.digest()) != "check_email":
        return redirect_to_step(registration)
    return _check_email(registration, forms.CorrectedEmailForm())


@bp.post("/register/<registration_id>/resend")
@security.anyone
@form_drafts.form_shown_at("onboarding.check_email")
@limiter.limit(at_most(30, "hour"))
def resend(registration_id: str) -> ResponseReturnValue:
    """Send a newer link to the same address."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    if not registration.began_in(browser.digest()):
        return redirect_to_step(registration)
    if verify.resend(registration):
        flash(f"We have sent another e-mail to {registration.email}. Only the newest link works.", "success")
    elif signup.step(registration, browser.digest()) in {"check_email", "enter_code"}:
        flash(f"We sent an e-mail to {registration.email} a moment ago, so we have not sent another.", "info")
    return redirect_to_step(registration)


@bp.post("/register/<registration_id>/address")
@security.anyone
@form_drafts.form_shown_at("onboarding.check_email")
@limiter.limit(at_most(30, "hour"))
def correct_address(registration_id: str) -> ResponseReturnValue:
    """Send the link to a corrected address instead."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    if not registration.began_in(browser.digest()):
        return redirect_to_step(registration)
    form = forms.CorrectedEmailForm()
    if not form.validate_on_submit():
        return _check_email(registration, form)
    try:
        corrected = _catch_too_many(form, lambda: signup.change_address(registration, form.address()))
    except signup.CompletedAlready:  # in the other browser: show this one its current step
        return redirect_to_step(registration)
    if corrected is None:
        return _check_email(registration, form)
    flash(f"We have sent an e-mail to {registration.email}. Links sent before no longer work.", "success")
    return redirect_to_step(registration)


@bp.get("/register/<registration_id>/status.json")
@security.anyone
def status(registration_id: str) -> ResponseReturnValue:
    """Polled by the page: whether the address has been verified. It does not reveal anything after that."""
    onwards = url_for(".resume", registration_id=registration_id)
    try:
        registration = signup.find_in_browser(registration_id, browser.digest())
    except (signup.RegistrationExpired, verify.RegistrationStopped):
        return jsonify(done=True, next=onwards)
    return jsonify(done=signup.step(registration, browser.digest()) != "check_email", next=onwards)


@bp.route("/register/verify/<secret>", methods=["GET", "POST"])
@security.anyone
def verify_email(secret: str) -> ResponseReturnValue:
    """The link in the mail. Opening it shows a button; pressing the button uses the link up."""
    digest = browser.ensure_cookie()
    if request.method != "POST":  # scanners ask by HEAD too
        return render_template("onboarding/verify.html", registration=verify.check(secret), secret=secret)
    return redirect_to_step(verify.accept_link(secret, digest))


@bp.post("/register/verify/<secret>/new")
@security.anyone
@form_drafts.form_shown_at("onboarding.verify_email")
@limiter.limit(at_most(30, "hour"))
def another_link(secret: str) -> ResponseReturnValue:
    """Send a newer link to the address of one that no longer works."""
    verify.send_another(secret)
    return redirect(url_for(".link_sent"), 303)


@bp.get("/register/link-sent")
@security.anyone
def link_sent() -> ResponseReturnValue:
    """Confirm that a link was sent; the page is the same for unknown links."""
    return render_template("onboarding/link_sent.html")


@bp.post("/register/verify/<secret>/not-me")
@security.anyone
@form_drafts.form_shown_at("onboarding.verify_email")
def not_me(secret: str) -> ResponseReturnValue:
    """Stop a registration that another person began with this address."""
    verify.stop(secret)
    return redirect(url_for(".stopped"), 303)


@bp.get("/register/stopped")
@security.anyone
def stopped() -> ResponseReturnValue:
    """Confirm that the registration has been stopped."""
    return render_template("onboarding/stopped.html")


@bp.route("/register/<registration_id>/sign-up", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "hour"), methods=["POST"])
@admission.hashes_passwords
def sign_up(registration_id: str) -> ResponseReturnValue:
    """The form again, with the address verified; submitting it creates the estab and shows its credentials once."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    if signup.step(registration, browser.digest()) != "sign_up":
        return redirect_to_step(registration)
    add_page = url_for("manage.add_school.add_begun", registration_id=registration.id)
    if (response := _redirect_with_account(add_page, registration.email)) is not None:
        return response
    form = forms.SignUpForm(data=_form_data(registration))
    if not form.validate_on_submit():
        return_to = registration.return_to if registration.began_in(browser.digest()) else None
        other_person = current_user.name if getattr(current_user, "kind", None) == "administrator" else None
        page = render_template(
            "onboarding/sign_up.html", form=form, registration=registration, return_to=return_to,
            other_person=other_person,
        )  # fmt: skip
        return form.response(page)
    generated = _generate_password()
    try:
        submitted = form.details_with(registration.email)
        outcome = signup.complete(registration, submitted, generated, browser=browser.digest())
    except (signup.CompletedAlready, signup.ContinuesElsewhere, signup.NotVerifiedYet):
        return redirect_to_step(registration)  # another click, or another browser, was first
    if outcome != "registered":
        return redirect(url_for(".done", registration_id=registration.id), 303)
    return _credentials(registration, generated.password)


@bp.post("/register/<registration_id>/new-password")
@security.anyone
@form_drafts.form_shown_at("onboarding.done")
@limiter.limit(at_most(30, "hour"))
@admission.hashes_passwords
def new_password(registration_id: str) -> ResponseReturnValue:
    """Generate another password for an owner who never saw the first, for example because the response was lost."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    first_credentials.require_owner(registration, browser.digest())
    generated = _generate_password()
    first_credentials.replace(registration, browser.digest(), generated)
    return _credentials(registration, generated.password)


@bp.post("/register/<registration_id>/password")
@security.anyone
@form_drafts.form_shown_at("onboarding.done")
@limiter.limit(at_most(60, "hour"))
@admission.hashes_passwords
def own_password(registration_id: str) -> ResponseReturnValue:
    """Set a password that the owner chose instead of the generated one.

    If it is refused, the page shows a newly generated one, because the first is not stored.
    """
    registration = signup.find_in_browser(registration_id, browser.digest())
    person = first_credentials.require_owner(registration, browser.digest())
    form = forms.OwnPasswordForm()
    password = form.password.data or ""
    if reason := first_credentials.rejection_reason(person, password):
        form.password.errors = [reason]
        generated = _generate_password()
        first_credentials.replace(registration, browser.digest(), generated)
        return _credentials(registration, generated.password, form)
    database.end_read_transaction()
    password_hash = runtime.passwords().hash(password)
    first_credentials.set_own(registration, browser.digest(), password_hash)
    flash("Your own password is set. The one that we showed you no longer works.", "success")
    began_here = registration.began_in(browser.digest())
    return redirect(url_for(".next_steps.next_steps" if began_here else ".done", registration_id=registration.id), 303)


@bp.get("/register/<registration_id>/done")
@security.anyone
def done(registration_id: str) -> ResponseReturnValue:
    """The outcome, for a person who comes back: registered, asked to join, or had an account already."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    if signup.step(registration, browser.digest()) != "done":
        return redirect_to_step(registration)
    owner = signup.owner(registration)
    return render_template(
        "onboarding/done.html", registration=registration, owner=owner, estab=signup.opened_estab(registration),
        may_replace_password=first_credentials.replaceable_owner(registration, browser.digest()) is not None,
        is_signed_in=_is_signed_in_as(owner), return_link=origin.return_link(registration, browser.digest()),
    )  # fmt: skip


@bp.errorhandler(LinkRefused)
def link_refused(error: LinkRefused) -> ResponseReturnValue:
    """Say why a link cannot be used, and offer another. If it was used in this browser, continue."""
    secret = (request.view_args or {}).get("secret", "")
    log.info("refused", code=error.code, status=error.status, reason=error.reason)
    registration = verify.registration_of(secret) if isinstance(error, LinkUsed) else None
    if registration and registration.is_known_browser(browser.digest()):
        return redirect(url_for("onboarding.resume", registration_id=registration.id), 303)
    page = render_template("onboarding/link_refused.html", refusal=error, secret=secret)
    return make_response(page, error.status)


@bp.errorhandler(CSRFError)
def form_expired(_error: CSRFError) -> ResponseReturnValue:
    """A form from before the sign-in, by the back button or a second click: redirect to the current step."""
    if (response := form_drafts.save_and_redirect()) is not None:
        return response
    view_args = request.view_args or {}
    if "registration_id" in view_args:
        return redirect(url_for("onboarding.resume", registration_id=view_args["registration_id"]), 303)
    if "secret" in view_args:
        return redirect(url_for("onboarding.verify_email", secret=view_args["secret"]), 303)
    if request.endpoint == "onboarding.details" and (school_id := request.args.get("school", type=search.parse_id)):
        return _details_after_expiry(school_id)
    return pages.form_expired()


def _details_after_expiry(school_id: int) -> ResponseReturnValue:
    form = forms.DetailsForm()
    form.form_errors.append(pages.form_expired_reason("check it and sign up again"))
    try:
        return _details(signup.school_to_register(school_id, _return_to()), form)
    except Refusal as error:  # Flask does not handle what an error handler raises
        return pages.refusal(error)


def _details(school: School, form: forms.DetailsForm) -> ResponseReturnValue:
    return_to = _return_to()
    browser.ensure_cookie()
    partner = origin.find_by_path(return_to)
    page = render_template("onboarding/details.html", form=form, school=school, partner=partner, return_to=return_to)
    return form.response(page)


def _check_email(registration: Registration, form: forms.CorrectedEmailForm) -> ResponseReturnValue:
    minutes = runtime.settings().onboarding.proof_lifetime // 60
    page = render_template("onboarding/check_email.html", registration=registration, form=form, minutes=minutes)
    return form.response(page)


def _credentials(
    registration: Registration, password: str, form: forms.OwnPasswordForm | None = None
) -> ResponseReturnValue:
    """The page of the username and password, rendered only in the response to the POST.

    `form` is given if the password that the owner chose was refused. The person is signed in only if this browser
    began the registration.
    """
    began_here = registration.began_in(browser.digest())
    owner = signup.owner(registration)
    assert owner is not None
    post_redirect_get.mark_secret_page(back_to=url_for(".done", registration_id=registration.id))
    if began_here and not _is_signed_in_as(owner):
        runtime.ports().sign_in(owner.id)
    form = form or forms.OwnPasswordForm(formdata=None)
    page = render_template(
        "onboarding/credentials.html", registration=registration, owner=owner, password=password, form=form,
        began_here=began_here, return_link=origin.return_link(registration, browser.digest()),
        site_url=runtime.url("/"),
    )  # fmt: skip
    return form.response(page)


def _is_signed_in_as(person: Administrator | None) -> bool:
    return person is not None and current_user.is_authenticated and current_user.id == person.id


def _redirect_with_account(add_page: str, email: str | None = None) -> ResponseReturnValue | None:
    """Redirect to `add_page` an administrator who is signed in, with this address if one is given; None for others.

    Those who want to sign in first come back here, where what they typed is shown if they do not sign in.
    """
    if "sign_in" in request.form:
        form_drafts.save()
        return redirect(url_for("signin.sign_in", next=form_drafts.request_url()), 303)
    if request.method != "GET" or getattr(current_user, "kind", None) != "administrator":
        return None
    has_address = email is None or current_user.person.email_folded == people.fold_email(email)
    return redirect(add_page, 303) if has_address else None


def _form_data(registration: Registration) -> dict[str, object]:
    """The stored details, to fill in a form."""
    mobile = contact_fields.readable_phone_number(registration.mobile)
    return {"name": registration.name, "email": registration.email, "mobile": mobile, "declaration": True}


def _generate_password() -> first_credentials.GeneratedPassword:
    """A generated password and its hash, calculated while no transaction is open."""
    database.end_read_transaction()
    return first_credentials.generate()


def _return_to() -> str | None:
    """The path of the pending request in `?next=`, if it stays on this host."""
    return security.local_path(request.args.get("next"), "") or None


def _catch_too_many(form: Form, send: Callable[[], Registration]) -> Registration | None:
    """The result of `send`; None if it would send too many mails: it is rolled back, and the form shows the error."""
    try:
        with database.savepoint():
            return send()
    except TooManyRequests as error:
        form.show_refusal(error)
        return None
