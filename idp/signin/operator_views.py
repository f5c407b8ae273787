"""Pages for our own staff: the one-time set-up, signing in with a second factor, and the first page."""

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from idp.foundation.web import admission, security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import code_account_views
from idp.signin.code_accounts import OPERATORS

bp = Blueprint("operators", __name__)


@bp.route("/set-up/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "minute"))
@admission.hashes_passwords
def set_up(secret: str) -> ResponseReturnValue:
    """Set up a password and an authenticator app."""
    return code_account_views.set_up(OPERATORS, secret, home=url_for(".home"))


@bp.route("/operate/sign-in", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "minute"), methods=["POST"])
@admission.hashes_passwords
def sign_in() -> ResponseReturnValue:
    """Sign in by e-mail address, password and code, and redirect to `next`."""
    return code_account_views.sign_in(OPERATORS, home=url_for(".home"), template="signin/operator_sign_in.html")


@bp.get("/operate")
@security.operator
def home() -> ResponseReturnValue:
    """The operator's first page: who is signed in, and which commands there are."""
    return render_template("signin/operator_home.html")
