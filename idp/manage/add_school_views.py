"""The page on which a person who is signed in adds a school to their account: registers it, or asks to join it.

It is in this package, above `signin` and `onboarding`, because it needs the session of the one and the steps of the
other. Registration redirects here; a person who is not signed in is redirected back there.
"""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError

from idp.estabs import accounts, people
from idp.foundation.errors import Refusal
from idp.foundation.web import contact_fields, form_drafts, pages, security
from idp.foundation.web.throttle import at_most, limiter
from idp.onboarding import add_school, browser, forms, origin, signup
from idp.onboarding.handover_views import redirect_to_step
from idp.onboarding.models import Registration
from idp.schools import search
from idp.schools.models import School
from idp.signin import session, step_up

bp = Blueprint("add_school", __name__, url_prefix="/register")
bp.before_request(security.keep_opener)  # a partner's request may be waiting behind any of these pages


@bp.route("/add", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "hour"), methods=["POST"])
def add() -> ResponseReturnValue:
    """Add the school in the query to the account of the person who is signed in."""
    return_to = _return_to()
    school_id = request.args.get("school", type=search.parse_id)
    if school_id is None:
        return redirect(url_for("onboarding.find", next=return_to), 303)
    if session.current() is None:
        return _redirect_to_registration()
    if request.method == "GET" and (response := _redirect_if_member(school_id, return_to)) is not None:
        return response
    return _show_or_add(signup.school_to_register(school_id, return_to), return_to)


@bp.route("/<registration_id>/add", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "hour"), methods=["POST"])
def add_begun(registration_id: str) -> ResponseReturnValue:
    """Add the school of a registration whose verified address is that of the person who is signed in."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    if signup.step(registration, browser.digest()) != "sign_up":
        return redirect_to_step(registration)
    signed_in = session.current()
    if signed_in is None or signed_in.person.email_folded != people.fold_email(registration.email):
        return _redirect_to_registration()
    return_to = registration.return_to if registration.began_in(browser.digest()) else None
    return _show_or_add(registration.school, return_to, registration)


@bp.post("/add/someone-else")
@security.anyone
@form_drafts.form_shown_at(lambda: url_for("manage.add_school.add", **_query()))
def someone_else() -> ResponseReturnValue:
    """Sign out the person who is signed in, and register with other details."""
    session.end_here()
    return redirect(url_for("onboarding.details", **_query()), 303)


@bp.post("/<registration_id>/add/someone-else")
@security.anyone
@form_drafts.form_shown_at("manage.add_school.add_begun")
def someone_else_with_begun(registration_id: str) -> ResponseReturnValue:
    """Sign out the person who is signed in, and continue the registration."""
    registration = signup.find_in_browser(registration_id, browser.digest())
    session.end_here()
    return redirect_to_step(registration)


@bp.errorhandler(people.AccountClosed)
@bp.errorhandler(session.SessionEnded)
def signed_out_meanwhile(_error: Refusal) -> ResponseReturnValue:
    """The session or the account ended before the form arrived: nothing was changed."""
    return _redirect_to_registration()


def _show_or_add(school: School, return_to: str | None, begun: Registration | None = None) -> ResponseReturnValue:
    form = forms.AddSchoolForm()
    if form.validate_on_submit():
        signed_in = session.current()
        if signed_in is not None and not step_up.is_recent(signed_in):
            return step_up.sign_in_again()
        try:
            return _add(school, return_to, begun)
        except add_school.TooManySchools as error:
            form.show_refusal(error)
        except signup.CompletedAlready:
            return redirect(form_drafts.request_url(), 303)
    page = render_template(
        "onboarding/add.html", form=form, school=school, person=current_user.person,
        partner=origin.find_by_path(return_to), return_to=return_to, registration=begun,
        mobile=contact_fields.readable_phone_number(current_user.person.mobile),
    )  # fmt: skip
    return form.response(page)


def _add(school: School, return_to: str | None, begun: Registration | None) -> ResponseReturnValue:
    """Complete the registration; in this session the person then acts for the added school."""
    person = current_user.person
    registration = add_school.complete(
        school, person, browser=browser.ensure_cookie(), return_to=return_to, begun=begun
    )
    if registration.outcome == "added":
        estab = accounts.find_by_school(school.id)
        assert estab is not None  # in this transaction
        session.choose(estab.id)
    return redirect(url_for("onboarding.done", registration_id=registration.id), 303)


def _redirect_if_member(school_id: int, return_to: str | None) -> ResponseReturnValue | None:
    """If the person acts for the school already, redirect to the outcome or to the choice of school; else None."""
    if (response := _redirect_if_just_added(school_id)) is not None:
        return response
    estab = accounts.find_by_school(school_id)
    if estab is None or people.membership(current_user.id, estab.id) is None:
        return None
    flash(f"You already act for {estab.name}. Choose it here.", "info")
    return redirect(url_for("signin.schools.choose", next=return_to), 303)


def _redirect_if_just_added(school_id: int | None) -> ResponseReturnValue | None:
    """If the person has just added this school, redirect to the outcome; otherwise None."""
    if session.current() is None or school_id is None:
        return None
    registration = add_school.just_completed(school_id, current_user.person, browser=browser.digest())
    return redirect(url_for("onboarding.done", registration_id=registration.id), 303) if registration else None


@bp.errorhandler(CSRFError)
def form_expired(_error: CSRFError) -> ResponseReturnValue:
    """The CSRF token is no longer valid: the first of two clicks has renewed it, or the page was open for too long."""
    registration_id = (request.view_args or {}).get("registration_id")
    if registration_id is not None:
        return redirect(url_for("onboarding.resume", registration_id=registration_id), 303)
    return _redirect_if_just_added(request.args.get("school", type=search.parse_id)) or pages.form_expired()


def _redirect_to_registration() -> ResponseReturnValue:
    """Redirect to the page on which a person who is not signed in registers the school."""
    if request.method == "POST":
        flash("You are signed out, so nothing was sent. Sign in first, or register with your details.", "info")
    arguments: dict[str, Any] = request.view_args or {}
    if "registration_id" in arguments:
        return redirect(url_for("onboarding.sign_up", **arguments), 303)
    return redirect(url_for("onboarding.details", **_query()), 303)


def _query() -> dict[str, Any]:
    return {"school": request.args.get("school", type=search.parse_id), "next": _return_to()}


def _return_to() -> str | None:
    """The path of the pending request in `?next=`, if it stays on this host."""
    return security.local_path(request.args.get("next"), "") or None
