"""The pages for a forgotten password: name, code, new password. Each redirects to the step that is due."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from idp.estabs import people
from idp.estabs.models import Administrator
from idp.foundation import database, runtime
from idp.foundation.errors import Refusal
from idp.foundation.web import admission, security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import devices, password, reset, return_paths
from idp.signin.forms import NewPasswordForm, ResetCodeForm, ResetNameForm
from idp.signin.models import PasswordReset

bp = Blueprint("reset", __name__, url_prefix="/reset")


@bp.before_request
def keep_opener() -> None:
    """A partner's window, whose sign-in this may be part of, stays connected."""
    if return_paths.leads_to_partner(_return_path()):
        security.keep_opener()


@bp.route("", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "hour"), methods=["POST"])
def start() -> ResponseReturnValue:
    """Ask for the name of the account. The next pages are the same for unknown names."""
    form = ResetNameForm()
    if form.validate_on_submit():
        _set_reset_cookie(reset.begin(form.username.data, device=devices.device_id()))
        return redirect(_step_path("code"), 303)
    page = render_template("signin/reset.html", form=form, sign_in=_step_path("sign_in"))
    return page, 422 if form.errors else 200


@bp.route("/code", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
def code() -> ResponseReturnValue:
    """Type the code of the text message, or have a new one sent."""
    current = _current()
    if current is None or reset.step(current) != "code":
        return _to_step(current)
    if "send-code" in request.form:
        reset.resend(current)
        flash(
            "If that account has a confirmed number, and has had fewer than three codes, a new one is on its way.",
            "info",
        )
        return redirect(_step_path("code"), 303)
    form = ResetCodeForm()
    if form.validate_on_submit():
        try:
            secret = reset.prove(current, form.code.data, device=devices.device_id(), address=request.remote_addr)
        except Refusal as error:  # no rollback: the attempt is counted
            form.show_refusal(error, form.code)
        else:
            _set_reset_cookie(secret)
            return redirect(_step_path("choose"), 303)
    return form.response(render_template("signin/reset_code.html", form=form, start=_step_path("start")))


@bp.route("/password", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(60, "minute"))
@admission.hashes_passwords
def choose() -> ResponseReturnValue:
    """Choose a new password; the person signs in with it afterwards."""
    current = _current()
    person = _person_of(current)
    if current is None or person is None:
        return _to_step(current)
    form = NewPasswordForm()
    if form.validate_on_submit():
        if (reason := password.rejection_reason(form.password.data, person)) is None:
            return _complete(form.password.data)
        form.password.errors = [reason]
    return render_template("signin/reset_password.html", form=form, person=person), 422 if form.errors else 200


def _complete(password_text: str) -> ResponseReturnValue:
    """Hash between two transactions, and set the password."""
    database.end_read_transaction()
    password_hash = runtime.passwords().hash(password_text)
    try:
        reset.complete(_secret(), password_hash, device=devices.device_id())
    except reset.ResetOver:
        return _to_step(_current())
    flash("Your new password is set. Sign in with it now.", "success")
    return redirect(_step_path("sign_in"), 303)


def _to_step(current: PasswordReset | None) -> ResponseReturnValue:
    """Redirect to the step that is due in this browser."""
    step = reset.step(current) if current is not None else None
    if step == "done":
        flash("Your new password is set already. Sign in with it.", "info")
        return redirect(_step_path("sign_in"), 303)
    if current is not None and step == "code":
        return redirect(_step_path("code"), 303)
    if current is not None and _person_of(current) is not None and request.endpoint != "signin.reset.choose":
        return redirect(_step_path("choose"), 303)
    flash(reset.ResetOver.message if _secret() else "A code works only in the browser that asked for it.", "info")
    return redirect(_step_path("start"), 303)


def _current() -> PasswordReset | None:
    return reset.find_by_browser(_secret())


def _person_of(current: PasswordReset | None) -> Administrator | None:
    """Who may choose a password by this reset now; None before the code was accepted."""
    if current is None or current.person_id is None or reset.step(current) != "password":
        return None
    return people.get(current.person_id)


def _return_path() -> str:
    return security.local_path(request.args.get("next"))


def _step_path(endpoint: str) -> str:
    """The path of a step, or of the sign-in page, that keeps where the person was going."""
    route = "signin.sign_in" if endpoint == "sign_in" else f".{endpoint}"
    return url_for(route, next=_return_path() if _return_path() != "/" else None)


def _secret() -> str | None:
    return request.cookies.get(_cookie_name())


def _set_reset_cookie(secret: str) -> None:
    security.set_cookie(_cookie_name(), secret, lifetime=reset.LIFETIME)


def _cookie_name() -> str:
    return security.cookie_name(runtime.settings(), "reset")
