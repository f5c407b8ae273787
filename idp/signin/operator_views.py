"""Pages for our own staff: the one-time set-up, signing in with a second factor, and the way to their desk."""

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from idp.estabs import credentials
from idp.foundation import database, runtime
from idp.foundation.errors import Refusal, TooManyRequests
from idp.foundation.web import admission, answers, security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import devices, operators, session
from idp.signin.forms import OperatorSetUp, OperatorSignIn
from idp.signin.models import Operator

bp = Blueprint("operators", __name__)


@bp.route("/set-up/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "minute"))
@admission.hashes
def set_up(secret: str) -> ResponseReturnValue:
    """A password and an authenticator app, once. Nothing happens until a button is pressed: scanners follow links."""
    operator = operators.invited(secret)
    if request.method != "POST":  # some scanners ask by HEAD
        return render_template("signin/set_up_begin.html", operator=operator)
    form, hashed = OperatorSetUp(), None
    if "finish" not in request.form:
        form = OperatorSetUp(formdata=None)
    else:
        form.validate()
        hashed = _password(secret, operator, form)
        if not form.errors and hashed and _finish(secret, form, hashed):
            flash("You are set up. Sign in with your password and a new code from your app.", "success")
            return redirect(url_for(".sign_in"), 303)
    form.kept.data = operators.seal_for_set_up(secret, hashed) if hashed else ""
    answers.shows_a_secret(back_to=url_for(".set_up", secret=secret))  # the seed of the code
    page = render_template("signin/set_up.html", form=form, begun=operators.begin_set_up(secret))
    return page, 422 if form.errors else 200


def _password(secret: str, operator: Operator, form: OperatorSetUp) -> str | None:
    """The hash of the password that was typed, or of one that was good before; None, and why, where there is none."""
    typed = form.password.data or ""
    if not typed and form.kept.data and (kept := operators.kept_for_set_up(secret, form.kept.data)):
        return kept
    about = (operator.name, *operator.email.replace("@", ".").split("."))
    if reason := credentials.rejection_reason(typed, about) if typed else "Choose a password.":
        form.password.errors = [reason]
        return None
    database.end_read_transaction()
    return runtime.passwords().hash(typed)


def _finish(secret: str, form: OperatorSetUp, hashed: str) -> bool:
    try:
        operators.finish_set_up(secret, hashed=hashed, code=form.code.data)
    except operators.WrongCode as wrong:
        form.code.errors = [wrong.says]
        return False
    return True


@bp.route("/operate/sign-in", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "minute"), methods=["POST"])
@admission.hashes
def sign_in() -> ResponseReturnValue:
    """Address, password and code, then on to `next`."""
    back = security.local_path(request.args.get("next"), url_for(".home"))
    form = OperatorSignIn()
    if not form.validate_on_submit():
        return _sign_in_page(form)
    try:
        found = operators.check(form.email.data, form.password.data, form.code.data, device=devices.here())
    except (operators.WrongCredentials, TooManyRequests) as refused:
        form.form_errors.append(refused.says)
        return _sign_in_page(form, refused)  # not raised on: the guess stays counted
    session.begin(found.id, session.PASSWORD_AND_CODE, kind="operator")
    return redirect(back, 303)


def _sign_in_page(form: OperatorSignIn, refused: Refusal | None = None) -> Response:
    page = render_template("signin/operator_sign_in.html", form=form)
    answer = make_response(page, 422 if form.errors else 200)
    if isinstance(refused, TooManyRequests):
        answer.status_code = refused.status
        answer.headers["Retry-After"] = str(refused.retry_after)
    return answer


@bp.get("/operate")
@security.operator
def home() -> ResponseReturnValue:
    """Who is signed in, and the commands that do their work for now."""
    return render_template("signin/operator_home.html")
