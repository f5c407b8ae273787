"""Pages on which a partner's people set up their accounts and sign in."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from idp.foundation.web import admission, security
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import code_account_views
from idp.signin.code_accounts import DEVELOPERS

bp = Blueprint("developers", __name__, url_prefix="/developers")

HOME = "/developers/applications"


@bp.route("/set-up/<secret>", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "minute"))
@admission.hashes_passwords
def set_up(secret: str) -> ResponseReturnValue:
    """Set up a password and an authenticator app."""
    return code_account_views.set_up(DEVELOPERS, secret, home=HOME)


@bp.route("/sign-in", methods=["GET", "POST"])
@security.anyone
@limiter.limit(at_most(30, "minute"), methods=["POST"])
@admission.hashes_passwords
def sign_in() -> ResponseReturnValue:
    """Sign in by e-mail address, password and code, and redirect to `next`."""
    return code_account_views.sign_in(DEVELOPERS, home=HOME, template="signin/developer_sign_in.html")
