"""The pages of registering a school: search, details, the e-mail's link, signing up, the credentials.

The page of a step redirects a person who is not there yet, or already past it, to their own step.
"""

from collections.abc import Callable

import structlog
from flask import Blueprint, flash, jsonify, make_response, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.routing import BaseConverter

from idp.estabs.links import LinkRefused, LinkUsed
from idp.estabs.models import Administrator
from idp.foundation import database, runtime
from idp.foundation.errors import Refusal, TooManyRequests
from idp.foundation.web import admission, again, answers, pages, security
from idp.foundation.web.forms import Form
from idp.foundation.web.throttle import at_most, limiter
from idp.onboarding import browser, collect, forms, handover_views, origin, register, signed_in, verify
from idp.onboarding.handover_views import to_its_step
from idp.onboarding.models import Registration
from idp.schools.forms import FindSchool
from idp.schools.models import School

bp = Blueprint("onboarding", __name__)
bp.before_request(security.keep_opener)  # a partner's request may be waiting behind any of these pages
bp.register_blueprint(signed_in.bp)
bp.register_blueprint(handover_views.bp)

log = structlog.get_logger(__name__)


class OldAddress(BaseConverter):
    """The old address of registration, as people type it: in any case, with a slash at its end or without."""

    regex = "(?i:xodregister/school)/?"
    part_isolating = False


@bp.record_once
def _know_old_address(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["old_address"] = OldAddress


@bp.get("/<old_address:_typed>")
@security.anyone
def old_address(_typed: str) -> ResponseReturnValue:
    """Where registration was for many years, and is still linked to."""
    return redirect(url_for(".find"), 301)


@bp.get("/register")
@security.anyone
def find() -> ResponseReturnValue:
    """Find the school: one box that understands everything, and a labelled field for each number."""
    return_to, form = _return_to(), FindSchool.asked()
    if (school := form.chosen()) is not None:
        return redirect(url_for(".details", school=school.id, next=return_to), 303)
    return render_template("onboarding/find.html", form=form, partner=origin.of_path(return_to), return_to=return_to)


@bp.route("/register/details", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "hour"), methods=["POST"])
def details() -> ResponseReturnValue:
    """Your details, and the declaration; signing up sends the link that proves the address."""
    return_to = _return_to()
    school_id = request.args.get("school", type=int)
    if school_id is None:
        return redirect(url_for(".find", next=return_to), 303)
    school = register.school_to_register(school_id, return_to)
    begun = register.under_way(browser.here())  # for another school, perhaps: the person is the same
    form = forms.YourDetails(data=_typed(begun) if begun else None)
    if form.validate_on_submit():
        typed, here = form.typed(), browser.ensure_cookie()
        begun = _unless_too_often(form, lambda: register.begin(school, typed, browser=here, return_to=return_to))
        if begun is not None:
            return redirect(url_for(".resume", registration_id=begun.id), 303)
    return _details(school, form)


@bp.get("/register/<registration_id>")
@security.anyone
def resume(registration_id: str) -> ResponseReturnValue:
    """Wherever this registration stands."""
    return to_its_step(register.known_here(registration_id, browser.here()))


@bp.get("/register/<registration_id>/check-email")
@security.anyone
def check_email(registration_id: str) -> ResponseReturnValue:
    """The link is on its way: resend it, correct the address, or just wait; the page notices by itself."""
    registration = register.known_here(registration_id, browser.here())
    if register.step(registration, browser.here()) != "check_email":
        return to_its_step(registration)
    return _check_email(registration, forms.Address())


@bp.post("/register/<registration_id>/resend")
@security.anyone
@again.form_of("onboarding.check_email")
@limiter.limit(at_most(30, "hour"))
def resend(registration_id: str) -> ResponseReturnValue:
    """Send a newer link to the same address."""
    registration = register.known_here(registration_id, browser.here())
    if not registration.began_in(browser.here()):
        return to_its_step(registration)
    if verify.resend(registration):
        flash(f"We have sent another e-mail to {registration.email}. Only the newest link works.", "success")
    elif register.step(registration, browser.here()) in {"check_email", "enter_code"}:
        flash(f"We sent an e-mail to {registration.email} a moment ago, so we have not sent another.", "info")
    return to_its_step(registration)


@bp.post("/register/<registration_id>/address")
@security.anyone
@again.form_of("onboarding.check_email")
@limiter.limit(at_most(30, "hour"))
def correct_address(registration_id: str) -> ResponseReturnValue:
    """Send the link to a corrected address instead."""
    registration = register.known_here(registration_id, browser.here())
    if not registration.began_in(browser.here()):
        return to_its_step(registration)
    form = forms.Address()
    if not form.validate_on_submit():
        return _check_email(registration, form)
    try:
        changed = _unless_too_often(form, lambda: register.change_address(registration, form.typed()))
    except register.CompletedAlready:  # in the other browser: this one is shown what it was shown before
        return to_its_step(registration)
    if changed is None:
        return _check_email(registration, form)
    flash(f"We have sent an e-mail to {registration.email}. Links sent before no longer work.", "success")
    return to_its_step(registration)


@bp.get("/register/<registration_id>/status.json")
@security.anyone
def status(registration_id: str) -> ResponseReturnValue:
    """Asked by the page left open: whether somebody opened the link. It never tells what they did after that."""
    onwards = url_for(".resume", registration_id=registration_id)
    try:
        registration = register.known_here(registration_id, browser.here())
    except (register.RegistrationExpired, verify.RegistrationStopped):
        return jsonify(done=True, next=onwards)
    return jsonify(done=register.step(registration, browser.here()) != "check_email", next=onwards)


@bp.route("/register/verify/<secret>", methods=["GET", "POST"])
@security.anyone
def verify_email(secret: str) -> ResponseReturnValue:
    """The link in the mail. Opening it shows a button and spends nothing; pressing the button does."""
    digest = browser.ensure_cookie()
    if request.method != "POST":  # scanners ask by HEAD too
        return render_template("onboarding/verify.html", registration=verify.look(secret), secret=secret)
    return to_its_step(verify.accept_proof(secret, digest))


@bp.post("/register/verify/<secret>/new")
@security.anyone
@again.form_of("onboarding.verify_email")
@limiter.limit(at_most(30, "hour"))
def another_link(secret: str) -> ResponseReturnValue:
    """A newer link in place of one that no longer works, to the address that one was sent to."""
    verify.send_another(secret)
    return redirect(url_for(".link_sent"), 303)


@bp.get("/register/link-sent")
@security.anyone
def link_sent() -> ResponseReturnValue:
    """The same for every link, known or not."""
    return render_template("onboarding/link_sent.html")


@bp.post("/register/verify/<secret>/not-me")
@security.anyone
@again.form_of("onboarding.verify_email")
def not_me(secret: str) -> ResponseReturnValue:
    """Somebody else typed this address: end their registration."""
    verify.disown(secret)
    return redirect(url_for(".stopped"), 303)


@bp.get("/register/stopped")
@security.anyone
def stopped() -> ResponseReturnValue:
    """Nothing has been set up with this address."""
    return render_template("onboarding/stopped.html")


@bp.route("/register/<registration_id>/sign-up", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "hour"), methods=["POST"])
@admission.hashes
def sign_up(registration_id: str) -> ResponseReturnValue:
    """The form again, with the address verified; signing up makes the estab and shows its credentials once."""
    registration = register.known_here(registration_id, browser.here())
    if register.step(registration, browser.here()) != "sign_up":
        return to_its_step(registration)
    form = forms.SignUp(data=_typed(registration))
    if not form.validate_on_submit():
        return_to = registration.return_to if registration.began_in(browser.here()) else None
        page = render_template("onboarding/sign_up.html", form=form, registration=registration, return_to=return_to)
        return page, _status(form)
    made = _made_outside()
    try:
        typed = form.details(registration.email)
        outcome = register.complete(registration, typed, made, browser=browser.here())
    except (register.CompletedAlready, register.ContinuesElsewhere, register.NotVerifiedYet):
        return to_its_step(registration)  # the other click, or the other browser, was quicker
    if outcome != "registered":
        return redirect(url_for(".done", registration_id=registration.id), 303)
    return _credentials(registration, made.password)


@bp.post("/register/<registration_id>/new-password")
@security.anyone
@again.form_of("onboarding.done")
@limiter.limit(at_most(30, "hour"))
@admission.hashes
def new_password(registration_id: str) -> ResponseReturnValue:
    """Another password, for those who never saw the first: a lost answer, a closed window."""
    registration = register.known_here(registration_id, browser.here())
    collect.owner_or_refuse(registration, browser.here())
    made = _made_outside()
    collect.replace(registration, browser.here(), made)
    return _credentials(registration, made.password)


@bp.post("/register/<registration_id>/password")
@security.anyone
@again.form_of("onboarding.done")
@limiter.limit(at_most(60, "hour"))
@admission.hashes
def own_password(registration_id: str) -> ResponseReturnValue:
    """A password of one's own instead of the one shown.

    Where it is refused, the page goes on offering one that works: a fresh one, because the first is kept nowhere.
    """
    registration = register.known_here(registration_id, browser.here())
    person = collect.owner_or_refuse(registration, browser.here())
    form = forms.OwnPassword()
    password = form.password.data or ""
    if reason := collect.why_not_own(person, password):
        form.password.errors = [reason]
        made = _made_outside()
        collect.replace(registration, browser.here(), made)
        return _credentials(registration, made.password, form)
    database.end_read_transaction()
    password_hash = runtime.passwords().hash(password)
    collect.choose(registration, browser.here(), password_hash)
    flash("Your own password is set. The one that we showed you no longer works.", "success")
    here = registration.began_in(browser.here())
    return redirect(url_for(".signed_in.next_steps" if here else ".done", registration_id=registration.id), 303)


@bp.get("/register/<registration_id>/done")
@security.anyone
def done(registration_id: str) -> ResponseReturnValue:
    """What came of it, for whoever comes back: registered, asked to join, or had an account already."""
    registration = register.known_here(registration_id, browser.here())
    if register.step(registration, browser.here()) != "done":
        return to_its_step(registration)
    owner = register.owner(registration)
    return render_template(
        "onboarding/done.html", registration=registration, owner=owner,
        may_collect=collect.owner(registration, browser.here()) is not None, is_signed_in=_is_signed_in(owner),
        way_on=origin.way_on(registration, browser.here()),
    )  # fmt: skip


@bp.errorhandler(LinkRefused)
def link_refused(refused: LinkRefused) -> ResponseReturnValue:
    """A link that cannot be used: say why, and offer another. Where it was used in this browser, just go on."""
    secret = (request.view_args or {}).get("secret", "")
    log.info("refused", code=refused.code, status=refused.status, because=refused.because)
    registration = verify.behind(secret) if isinstance(refused, LinkUsed) else None
    if registration and registration.knows(browser.here()):
        return redirect(url_for("onboarding.resume", registration_id=registration.id), 303)
    page = render_template("onboarding/link_refused.html", refused=refused, secret=secret)
    return make_response(page, refused.status)


@bp.errorhandler(CSRFError)
def form_expired(_error: CSRFError) -> ResponseReturnValue:
    """A form of the time before signing in, by the back button or a second click: show where things stand."""
    if (back := again.filled_in()) is not None:
        return back
    known = request.view_args or {}
    if "registration_id" in known:
        return redirect(url_for("onboarding.resume", registration_id=known["registration_id"]), 303)
    if "secret" in known:
        return redirect(url_for("onboarding.verify_email", secret=known["secret"]), 303)
    if request.endpoint == "onboarding.details" and (school_id := request.args.get("school", type=int)):
        return _details_again(school_id)
    return pages.form_expired()


def _details_again(school_id: int) -> ResponseReturnValue:
    form = forms.YourDetails()
    form.form_errors.append(pages.why_form_expired("check it and sign up again"))
    try:
        return _details(register.school_to_register(school_id, _return_to()), form)
    except Refusal as refused:  # what a handler of errors raises, nobody handles
        return pages.refusal(refused)


def _details(school: School, form: forms.YourDetails) -> ResponseReturnValue:
    return_to = _return_to()
    browser.ensure_cookie()
    page = render_template(
        "onboarding/details.html", form=form, school=school, partner=origin.of_path(return_to), return_to=return_to
    )
    return page, _status(form)


def _check_email(registration: Registration, form: forms.Address) -> ResponseReturnValue:
    minutes = runtime.settings().onboarding.proof_lifetime // 60
    page = render_template("onboarding/check_email.html", registration=registration, form=form, minutes=minutes)
    return page, _status(form)


def _credentials(
    registration: Registration, password: str, form: forms.OwnPassword | None = None
) -> ResponseReturnValue:
    """Username and password, rendered from the POST itself and never again; with a `form` whose password was refused.

    The person is signed in if this browser began the registration, and only then.
    """
    here = registration.began_in(browser.here())
    owner = register.owner(registration)
    assert owner is not None
    answers.shows_a_secret(back_to=url_for(".done", registration_id=registration.id))
    if here and not _is_signed_in(owner):
        runtime.ports().sign_in(owner.id)
    form = form or forms.OwnPassword(formdata=None)
    page = render_template(
        "onboarding/credentials.html", registration=registration, owner=owner, password=password, form=form,
        here=here, way_on=origin.way_on(registration, browser.here()), address=runtime.url("/"),
    )  # fmt: skip
    return page, _status(form)


def _is_signed_in(person: Administrator | None) -> bool:
    return person is not None and current_user.is_authenticated and current_user.id == person.id


def _typed(registration: Registration) -> dict[str, object]:
    """What was typed before, for a form that comes back filled in."""
    mobile = forms.readable_mobile(registration.mobile)
    return {"name": registration.name, "email": registration.email, "mobile": mobile, "declaration": True}


def _made_outside() -> collect.Made:
    """A password and its hash, made while no transaction is open."""
    database.end_read_transaction()
    return collect.make()


def _return_to() -> str | None:
    """The path of the pending request in `?next=`, if it stays on this host."""
    return security.local_path(request.args.get("next"), "") or None


def _unless_too_often(form: Form, act: Callable[[], Registration]) -> Registration | None:
    """What `act` returns; None where it sends too many mails: it is undone, and the form, still filled in, says so."""
    try:
        with database.session().begin_nested():
            return act()
    except TooManyRequests as refused:
        form.form_errors.append(refused.says)
        return None


def _status(form: Form) -> int:
    return 422 if form.errors else 200
