"""Pages for our own staff: the one-time set-up, signing in with a second factor, and the first page."""

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from idp.estabs import credentials
from idp.foundation import database, runtime
from idp.foundation.errors import Refusal, TooManyRequests
from idp.foundation.web import admission, post_redirect_get, security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import devices, operators, session
from idp.signin.forms import OperatorSetUp, OperatorSignIn
from idp.signin.models import Operator

bp = Blueprint("operators", __name__)


@bp.route("/set-up/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "minute"))
@admission.hashes_passwords
def set_up(secret: str) -> ResponseReturnValue:
    """Set up a password and an authenticator app. A GET changes nothing, because mail scanners follow links."""
    operator = operators.operator_of_link(secret)
    if request.method != "POST":  # some scanners ask by HEAD
        return render_template("signin/set_up_begin.html", operator=operator)
    form, password_hash = OperatorSetUp(), None
    if "finish" not in request.form:
        form = OperatorSetUp(formdata=None)
    else:
        form.validate()
        password_hash = _checked_password(secret, operator, form)
        if not form.errors and password_hash and _finish(secret, form, password_hash):
            flash("You are set up. Sign in with your password and a new code from your app.", "success")
            return redirect(url_for(".sign_in"), 303)
    form.kept.data = operators.seal_for_set_up(secret, password_hash) if password_hash else ""
    post_redirect_get.mark_secret_page(back_to=url_for(".set_up", secret=secret))  # the seed of the code
    page = render_template("signin/set_up.html", form=form, begun=operators.begin_set_up(secret))
    return page, 422 if form.errors else 200


def _checked_password(secret: str, operator: Operator, form: OperatorSetUp) -> str | None:
    """The hash of the password, or of the one accepted earlier; None, with an error in the form, if neither is good."""
    password = form.password.data or ""
    if not password and form.kept.data and (earlier_hash := operators.unseal_for_set_up(secret, form.kept.data)):
        return earlier_hash
    about = credentials.words_of(operator.name, operator.email)
    if reason := credentials.rejection_reason(password, about) if password else "Choose a password.":
        form.password.errors = [reason]
        return None
    database.end_read_transaction()
    return runtime.passwords().hash(password)


def _finish(secret: str, form: OperatorSetUp, password_hash: str) -> bool:
    try:
        operators.finish_set_up(secret, password_hash=password_hash, code=form.code.data)
    except operators.WrongCode as refused:
        form.code.errors = [refused.message]
        return False
    return True


@bp.route("/operate/sign-in", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "minute"), methods=["POST"])
@admission.hashes_passwords
def sign_in() -> ResponseReturnValue:
    """Address, password and code, then on to `next`."""
    return_path = security.local_path(request.args.get("next"), url_for(".home"))
    form = OperatorSignIn()
    if not form.validate_on_submit():
        return _sign_in_page(form)
    try:
        operator = operators.check(form.email.data, form.password.data, form.code.data, device=devices.device_id())
    except (operators.WrongCredentials, TooManyRequests) as refused:
        form.form_errors.append(refused.message)
        return _sign_in_page(form, refused)  # no rollback: the guess is counted
    session.begin(operator.id, session.PASSWORD_AND_CODE, kind="operator")
    return redirect(return_path, 303)


def _sign_in_page(form: OperatorSignIn, refused: Refusal | None = None) -> Response:
    page = render_template("signin/operator_sign_in.html", form=form)
    response = make_response(page, 422 if form.errors else 200)
    if isinstance(refused, TooManyRequests):
        response.status_code = refused.status
        response.headers["Retry-After"] = str(refused.retry_after)
    return response


@bp.get("/operate")
@security.operator
def home() -> ResponseReturnValue:
    """The operator's first page: who is signed in, and which commands there are."""
    return render_template("signin/operator_home.html")
