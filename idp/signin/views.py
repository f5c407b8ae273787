"""The pages to sign in and out. Others of this package are in `people_views`, `reset_views` and `operator_views`."""

from collections.abc import Callable
from functools import partial

from flask import Blueprint, Response, flash, jsonify, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError

from idp.estabs import people
from idp.foundation import runtime
from idp.foundation.errors import TooManyRequests
from idp.foundation.ports import RequestingPartner
from idp.foundation.web import admission, browser_store, form_drafts, pages, security, throttle
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import (
    authenticator_app,
    developer_views,
    devices,
    factors,
    operator_views,
    passkey_sign_in,
    passkeys,
    password,
    people_views,
    recovery_codes,
    recovery_views,
    reset_link_views,
    reset_views,
    return_paths,
    school_views,
    second_step,
    session,
    strength_views,
    undo_views,
)
from idp.signin.forms import RecoveryCodeForm, SecondStepForm, SignInForm
from idp.signin.second_step import HalfSignedIn

bp = Blueprint("signin", __name__)
bp.after_request(throttle.count_by_response)
bp.register_blueprint(people_views.bp)
bp.register_blueprint(reset_views.bp)
bp.register_blueprint(reset_link_views.bp)
bp.register_blueprint(undo_views.bp)
bp.register_blueprint(recovery_views.bp)
bp.register_blueprint(operator_views.bp)
bp.register_blueprint(developer_views.bp)
bp.register_blueprint(strength_views.bp)
bp.register_blueprint(school_views.bp)


def navigation() -> list[dict[str, str | bool]]:
    """Links in the header for the person signed in. A phone shows the first and the last; the others are `is_minor`."""
    links = [("Operators' pages", "/operate")]
    if current_user.kind == "developer":
        links = [("Applications", developer_views.HOME), ("People", "/developers/people")]
    if current_user.kind == "administrator" and current_user.is_fictional:
        links = [("Your school", "/manage"), ("Security", "/manage/security")]
    elif current_user.kind == "administrator":
        links = [
            *school_views.navigation(), ("Your account", "/manage/account"), ("Security", "/manage/security"),
        ]  # fmt: skip
    links.append(("Sign out", url_for("signin.sign_out")))
    last = len(links) - 1
    return [{"label": label, "href": href, "is_minor": 0 < index < last} for index, (label, href) in enumerate(links)]


def _guess_limit() -> str:
    limits = runtime.settings().throttle
    return f"{limits.address_guesses * limits.factor} per {limits.account_window} seconds"


def _is_browser_known_to_named_person() -> bool:
    """Whether the person named in the form has signed in here before: then the address is not rate-limited."""
    form, device = SignInForm(), devices.device_id()
    return device is not None and form.username.validate(form) and password.is_known_browser(form.username.data, device)


def _is_browser_known_to_waiting_person() -> bool:
    """Whether the person who waits for a second step here has signed in in this browser before."""
    half_signed_in, device = second_step.waiting(), devices.device_id()
    return half_signed_in is not None and devices.is_known(half_signed_in.person_id, device)


def _was_refused(response: Response) -> bool:
    return response.status_code != 303


_limit_guesses = partial(limiter.limit, _guess_limit, deduct_when=_was_refused)


@bp.route("/sign-in", methods=["GET", "POST"])
@security.anyone
@_limit_guesses(methods=["POST"], exempt_when=_is_browser_known_to_named_person)
@admission.hashes_passwords
def sign_in() -> ResponseReturnValue:
    """Sign in by name and password; redirects to `next`. Cancel returns to the partner that sent the person, if any."""
    return_path = security.local_path(request.args.get("next"))
    if return_paths.leads_to_partner(return_path):
        security.keep_opener()
    if "cancel" in request.form:
        return redirect(return_paths.cancel_target(return_path), 303)
    if request.method == "GET" and return_path == "/" and session.current():
        return redirect("/", 303)
    form = SignInForm(username=request.args.get("login_hint", ""))  # a partner may name the person who is to sign in
    if not form.validate_on_submit():
        return _page(form, return_path)
    try:
        is_complete = _sign_in(form.username.data, form.password.data)
    except password.WrongPassword as error:  # no rollback of these: the guess is counted
        form.form_errors.append(error.message)
        return _page(form, return_path)
    except (password.AccountNotOpen, TooManyRequests) as error:
        return refusal_page(error, return_path)
    return redirect(after_first_step(return_path, is_complete=is_complete), 303)


def _sign_in(name: str, password_text: str) -> bool:
    """Check the password; returns whether the person is signed in now, without a second step."""
    device = devices.device_id()
    person = password.check(name, password_text, device=device, address=request.remote_addr)
    return second_step.sign_in(person.id, name_counter=password.name_counter(name, device))


def after_first_step(return_path: str, *, is_complete: bool) -> str:
    """The path after the first step: `return_path`, or the page of the second step."""
    return return_path if is_complete else url_for("signin.take_second_step", next=return_path)


@bp.post("/sign-in/passkey-options.json")
@security.anyone
@form_drafts.form_shown_at("signin.sign_in")
@limiter.limit(at_most(120, "minute"))
def passkey_options() -> ResponseReturnValue:
    """The options with which the sign-in page's script requests a passkey, as JSON; the same for everyone."""
    return jsonify(passkeys.sign_in_options(browser=browser_store.ensure_browser_id()))


@bp.post("/sign-in/passkey")
@security.anyone
@form_drafts.form_shown_at(lambda: url_for("signin.sign_in", next=request.args.get("next")))
@_limit_guesses()
def sign_in_with_passkey() -> ResponseReturnValue:
    """Sign in by a passkey instead of name and password; redirects to `next`."""
    return_path = security.local_path(request.args.get("next"))
    if return_paths.leads_to_partner(return_path):
        security.keep_opener()
    try:
        person = passkey_sign_in.sign_in(
            request.form.get("passkey", ""), browser=browser_store.browser_id(), device=devices.device_id()
        )
    except passkeys.PasskeyRefused as error:  # no rollback of these: the guess is counted
        form = SignInForm(formdata=None)
        form.form_errors.append(error.message)
        return _page(form, return_path)
    except (password.AccountNotOpen, TooManyRequests) as error:
        return refusal_page(error, return_path)
    second_step.begin_session(person.id, passkey_sign_in.METHODS)
    return redirect(return_path, 303)


@bp.route("/sign-in/second-step", methods=["GET", "POST"])
@security.anyone
@_limit_guesses(methods=["POST"], exempt_when=_is_browser_known_to_waiting_person)
def take_second_step() -> ResponseReturnValue:
    """The second step by a code of the authenticator app; redirects to `next`. Cancel is as for `sign_in`."""
    return _second_step("signin/second_step.html", SecondStepForm(), authenticator_app.spend_code)


@bp.route("/sign-in/recovery-code", methods=["GET", "POST"])
@security.anyone
@_limit_guesses(methods=["POST"], exempt_when=_is_browser_known_to_waiting_person)
def use_recovery_code() -> ResponseReturnValue:
    """The second step by a recovery code; redirects to `next`."""
    return _second_step("signin/recovery_code.html", RecoveryCodeForm(), recovery_codes.spend)


def _second_step(
    template: str, form: SecondStepForm | RecoveryCodeForm, spend: Callable[[str, str], bool]
) -> ResponseReturnValue:
    return_path = security.local_path(request.args.get("next"))
    if return_paths.leads_to_partner(return_path):
        security.keep_opener()
    if "cancel" in request.form:
        second_step.abandon()
        return redirect(return_paths.cancel_target(return_path), 303)
    if (half_signed_in := second_step.waiting()) is None:
        return _no_sign_in_waits(return_path)
    if form.validate_on_submit():
        try:
            second_step.complete(
                half_signed_in, partial(spend, half_signed_in.person_id, form.code.data), frozenset({"otp"})
            )
        except second_step.WrongAnswer:  # no rollback of these: the guess is counted
            form.code.errors = [form.wrong]
        except second_step.StepExpired:
            return _no_sign_in_waits(return_path)
        except TooManyRequests as error:
            return _locked_page(error)
        else:
            return redirect(return_path, 303)
    return _second_step_page(template, half_signed_in, form, return_path)


@bp.post("/sign-in/second-step/passkey-options.json")
@security.anyone
@form_drafts.form_shown_at("signin.take_second_step")
@limiter.limit(at_most(30, "minute"))
def second_step_options() -> ResponseReturnValue:
    """The options with which the script of the second step requests one of the person's passkeys, as JSON."""
    if (half_signed_in := second_step.waiting()) is None:
        return redirect(url_for(".take_second_step"), 303)
    return jsonify(passkeys.second_step_options(half_signed_in.person_id, browser=browser_store.ensure_browser_id()))


@bp.post("/sign-in/second-step/passkey")
@security.anyone
@form_drafts.form_shown_at(lambda: url_for("signin.take_second_step", next=request.args.get("next")))
@_limit_guesses(exempt_when=_is_browser_known_to_waiting_person)
def take_second_step_by_passkey() -> ResponseReturnValue:
    """The second step by a passkey; redirects to `next`."""
    return_path = security.local_path(request.args.get("next"))
    if return_paths.leads_to_partner(return_path):
        security.keep_opener()
    if (half_signed_in := second_step.waiting()) is None:
        return _no_sign_in_waits(return_path)
    response, browser = request.form.get("passkey", ""), browser_store.browser_id()
    try:
        passkey_sign_in.complete(half_signed_in, response, browser=browser)
    except passkeys.PasskeyRefused as error:  # no rollback of these: the guess is counted
        form = SecondStepForm(formdata=None)
        form.form_errors.append(error.message)
        return _second_step_page("signin/second_step.html", half_signed_in, form, return_path)
    except second_step.StepExpired:
        return _no_sign_in_waits(return_path)
    except TooManyRequests as error:
        return _locked_page(error)
    return redirect(return_path, 303)


def _second_step_page(
    template: str, half_signed_in: HalfSignedIn, form: SecondStepForm | RecoveryCodeForm, return_path: str
) -> ResponseReturnValue:
    page = render_template(
        template, form=form, kinds=factors.kinds(half_signed_in.person_id),
        codes_left=recovery_codes.count_unused(half_signed_in.person_id), back=return_path,
        partner=_requesting_partner(return_path),
    )  # fmt: skip
    return page, 422 if form.errors else 200


def _no_sign_in_waits(return_path: str) -> ResponseReturnValue:
    """Redirect to `return_path` if this browser has just signed in (Back, a second click), else to the sign-in page."""
    if session.current():
        return redirect(return_path, 303)
    flash(second_step.StepExpired.message, "info")
    return redirect(url_for(".sign_in", next=return_path), 303)


def _page(form: SignInForm, return_path: str, *, status: int | None = None) -> Response:
    buttons = runtime.ports().sign_in_buttons(return_path)
    if buttons:
        security.allow_form_redirects()
    return make_response(
        render_template(
            "signin/sign_in.html",
            form=form,
            back=return_path,
            buttons=buttons,
            partner=_requesting_partner(return_path),
            is_registering=return_paths.leads_to_registration(return_path),
            keeps_no_cookies=return_paths.leads_to_partner(return_path) and security.sent_no_cookies(),
        ),
        status or (422 if form.errors else 200),
    )


def _requesting_partner(return_path: str) -> RequestingPartner | None:
    """The partner whose request is at this path, if any; then this page's forms may redirect to them."""
    partner = runtime.ports().requesting_partner(return_path)
    if partner is not None:
        security.allow_form_redirects()
    return partner


def refusal_page(error: password.AccountNotOpen | TooManyRequests, return_path: str) -> Response:
    """The page for a sign-in that is refused although nothing that was sent is wrong."""
    if isinstance(error, TooManyRequests):
        return _locked_page(error)
    partner, cancel_path = _requesting_partner(return_path), return_paths.cancel_target(return_path)
    page = render_template("signin/standing.html", closed=error, partner=partner, cancelled=cancel_path)
    return make_response(page, error.status)


def _locked_page(error: TooManyRequests) -> Response:
    response = make_response(render_template("signin/locked.html", locked=error), error.status)
    response.headers["Retry-After"] = str(error.retry_after)
    return response


@bp.errorhandler(CSRFError)
def form_expired(_error: CSRFError) -> ResponseReturnValue:
    """The page was open too long, or the person signed in in another tab. The name that was typed is kept."""
    if request.endpoint not in {"signin.sign_in", "signin.sign_in_with_passkey"}:
        return pages.form_expired()
    form, return_path = SignInForm(), security.local_path(request.args.get("next"))
    if _is_signed_in_as(form.username.data or ""):
        return redirect(return_path, 303)
    form.form_errors.append(pages.form_expired_reason("type your password again"))
    return _page(form, return_path, status=pages.FormExpired.status)


def _is_signed_in_as(name: str) -> bool:
    """Whether the person signed in in this browser has this name."""
    current = session.current()
    return current is not None and people.fold_sign_in_name(name) in {
        current.person.username,
        current.person.sign_in_email,
    }


@bp.route("/sign-out", methods=["GET", "POST"])
@security.anyone
def sign_out() -> ResponseReturnValue:
    """Ask for confirmation, and end this browser's session."""
    if request.method == "GET" and current_user.is_authenticated:
        return render_template("signin/sign_out.html")
    if request.method == "POST":
        session.end_here()
    return redirect(url_for("signin.signed_out"), 303)


@bp.get("/signed-out")
@security.anyone
def signed_out() -> ResponseReturnValue:
    """Confirm that the person is signed out."""
    if current_user.is_authenticated:
        return redirect(url_for("signin.sign_out"), 303)
    return render_template("signin/signed_out.html")
