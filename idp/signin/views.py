"""The sign-in page and the way out. The other pages of this package are in `people_views` and `operator_views`."""

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError

from idp.estabs import people
from idp.foundation import runtime
from idp.foundation.errors import Refusal, TooManyRequests
from idp.foundation.ports import RequestingPartner
from idp.foundation.web import admission, pages, security, throttle
from idp.foundation.web.throttle import limiter
from idp.signin import devices, operator_views, password, people_views, session
from idp.signin.forms import SignIn

AUTHORIZE = "/oauth/authorize?"
"""A return address that begins so is a partner's request, which can be told of a refusal."""

bp = Blueprint("signin", __name__)
bp.after_request(throttle.count_by_response)
bp.register_blueprint(people_views.bp)
bp.register_blueprint(operator_views.bp)


def navigation() -> list[dict[str, str]]:
    """Links in the header for the person signed in."""
    home = ("Operator's desk", "/operate") if current_user.kind == "operator" else ("Your school", "/manage")
    return [{"label": label, "href": href} for label, href in (home, ("Sign out", url_for("signin.sign_out")))]


def _guesses_of_an_address() -> str:
    limits = runtime.settings().throttle
    return f"{limits.address_guesses * limits.factor} per {limits.account_window} seconds"


@bp.route("/sign-in", methods=["GET", "POST"])
@security.anyone
@limiter.limit(_guesses_of_an_address, methods=["POST"], deduct_when=lambda answer: answer.status_code != 303)
@admission.hashes
def sign_in() -> ResponseReturnValue:
    """Name and password, then on to `next`; Cancel tells the partner, if one asks."""
    back = security.local_path(request.args.get("next"))
    if back.startswith(AUTHORIZE):
        security.keep_opener()
    if "cancel" in request.form:
        return redirect(cancelled(back), 303)
    if request.method == "GET" and back == "/" and session.current():
        return redirect("/", 303)
    form = SignIn(username=request.args.get("login_hint", ""))  # a partner may know who is coming
    if not form.validate_on_submit():
        return _page(form, back)
    try:
        _enter(form.username.data, form.password.data)
    except (password.WrongPassword, password.NotInStanding, TooManyRequests) as refused:
        return _refused(refused, form, back)  # not raised on: the guess stays counted
    return redirect(back, 303)


def _enter(name: str, typed: str) -> None:
    device = devices.here()
    person = password.check(name, typed, device=device)
    password.tell_of_new_device(person, device=device, browser=devices.in_words(str(request.user_agent)))
    session.begin(person.id)


def cancelled(back: str) -> str:
    """Where Cancel leads: to the partner's request, which then answers `access_denied`, or to our first page."""
    return f"{back}&cancel=1" if back.startswith(AUTHORIZE) else "/"


def _page(form: SignIn, back: str, *, status: int | None = None) -> Response:
    return make_response(
        render_template(
            "signin/sign_in.html",
            form=form,
            back=back,
            partner=_requesting_partner(back),
            keeps_no_cookies=back.startswith(AUTHORIZE) and security.sent_no_cookies(),
        ),
        status or (422 if form.errors else 200),
    )


def _requesting_partner(back: str) -> RequestingPartner | None:
    """Whose request waits there, if any; the forms of this answer may then lead to them."""
    partner = runtime.ports().requesting_partner(back)
    if partner is not None:
        security.let_forms_leave()
    return partner


def _refused(refused: Refusal, form: SignIn, back: str) -> Response:
    """The page for each way in which a password does not get in."""
    if isinstance(refused, password.NotInStanding):
        partner, leave = _requesting_partner(back), cancelled(back)
        page = render_template("signin/standing.html", closed=refused, partner=partner, cancelled=leave)
        return make_response(page, refused.status)
    if isinstance(refused, TooManyRequests):
        answer = make_response(render_template("signin/locked.html", locked=refused), refused.status)
        answer.headers["Retry-After"] = str(refused.retry_after)
        return answer
    form.form_errors.append(refused.says)
    return _page(form, back)


@bp.errorhandler(CSRFError)
def form_expired(_error: CSRFError) -> ResponseReturnValue:
    """The page was open too long, or they signed in from another tab. Nothing is lost by it: the name stays."""
    if request.endpoint != "signin.sign_in":
        return pages.form_expired()
    form, back = SignIn(), security.local_path(request.args.get("next"))
    if _is_here_already(form.username.data or ""):
        return redirect(back, 303)
    form.form_errors.append(pages.why_form_expired("type your password again"))
    return _page(form, back, status=pages.FormExpired.status)


def _is_here_already(name: str) -> bool:
    """Whether the person signed in in this browser has this name."""
    here = session.current()
    return here is not None and people.fold_sign_in_name(name) in {here.person.username, here.person.sign_in_email}


@bp.route("/sign-out", methods=["GET", "POST"])
@security.anyone
def sign_out() -> ResponseReturnValue:
    """Ask, and then end this browser's session."""
    if request.method == "GET" and current_user.is_authenticated:
        return render_template("signin/sign_out.html")
    if request.method == "POST":
        session.end_here()
    return redirect(url_for("signin.signed_out"), 303)


@bp.get("/signed-out")
@security.anyone
def signed_out() -> ResponseReturnValue:
    """Say that it is done."""
    if current_user.is_authenticated:
        return redirect(url_for("signin.sign_out"), 303)
    return render_template("signin/signed_out.html")
