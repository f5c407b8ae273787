"""Front page and terms; signing up, activating an account, passwords, signing in and out."""

import secrets

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from clients.assembly import accounts, resets, school_account
from clients.assembly.accounts import InvalidInput
from clients.assembly.errors import ProviderError, UntrustedResponse
from clients.assembly.web import (
    browser,
    csrf,
    current_account,
    current_program,
    current_sign_in,
    end_sign_in,
    sign_in_by_password,
    sign_in_by_school_account,
)

bp = Blueprint("people", __name__)


@bp.get("/")
def home() -> ResponseReturnValue:
    """Describe the application; a person who is signed in is redirected to the connector page."""
    if current_sign_in():
        return redirect(url_for("connector.connector"), 303)
    return render_template("home.html")


@bp.get("/terms")
def terms() -> ResponseReturnValue:
    """The terms of service."""
    return render_template("terms.html", version=accounts.TERMS_VERSION)


@bp.route("/sign-up", methods=["GET", "POST"])
def sign_up() -> ResponseReturnValue:
    """Sign up with an invite code. The response is the same whether or not the address is known."""
    field_errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            accounts.sign_up(
                current_program().database, code=request.form.get("code", ""), email=request.form.get("email", ""),
                password=request.form.get("password", ""), terms_version=request.form.get("terms", ""),
            )  # fmt: skip
        except InvalidInput as error:
            field_errors = error.field_errors
        else:
            current_program().background.wake()
            session["mailed_to"] = request.form["email"].strip()
            return redirect(url_for("people.check_email"), 303)
    page = render_template(
        "sign_up.html", field_errors=field_errors, typed=request.form, version=accounts.TERMS_VERSION,
        demonstration_code=current_program().settings.invite_code,
    )  # fmt: skip
    return page, 400 if field_errors else 200


@bp.get("/check-email")
def check_email() -> ResponseReturnValue:
    """Say that a mail is on its way, and offer to send it again."""
    return render_template("check_email.html", email=session.get("mailed_to", ""), was_resent="again" in request.args)


@bp.post("/resend")
def resend() -> ResponseReturnValue:
    """Send the mail again if the address waits for one; the response is the same in any case."""
    accounts.resend(current_program().database, request.form.get("email", ""))
    current_program().background.wake()
    session["mailed_to"] = request.form.get("email", "").strip()[:254]
    return redirect(url_for("people.check_email", again=1), 303)


@bp.route("/activate/<secret>", methods=["GET", "POST"])
def activate(secret: str) -> ResponseReturnValue:
    """Ask for the password, and activate the account. A program that merely opens the link changes nothing."""
    field_errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            sign_in_by_password(accounts.activate(current_program().database, secret, request.form.get("password", "")))
        except InvalidInput as error:
            field_errors = error.field_errors
        else:
            return redirect(url_for("school.choose"), 303)
    link_works = accounts.can_activate(current_program().database, secret)
    return render_template(
        "activate.html", link_works=link_works, field_errors=field_errors
    ), 400 if field_errors else 200 if link_works else 404


@bp.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Sign in by e-mail and password, or go on to the school account."""
    field_errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            account = accounts.sign_in(
                current_program().database, request.form.get("email", ""), request.form.get("password", "")
            )
            sign_in_by_password(account)
        except InvalidInput as error:
            field_errors = error.field_errors
        else:
            return redirect(url_for("connector.connector"), 303)
    return render_template("sign_in.html", field_errors=field_errors, typed=request.form), 400 if field_errors else 200


@bp.route("/forgotten-password", methods=["GET", "POST"])
def forgotten() -> ResponseReturnValue:
    """Mail a link for a new password. The response is the same whether or not the address is known."""
    field_errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            resets.request(current_program().database, request.form.get("email", ""))
        except InvalidInput as error:
            field_errors = error.field_errors
        else:
            current_program().background.wake()
            return redirect(url_for("people.forgotten", sent=1), 303)
    page = render_template("forgotten.html", field_errors=field_errors, typed=request.form, sent="sent" in request.args)
    return page, 400 if field_errors else 200


@bp.route("/new-password/<secret>", methods=["GET", "POST"])
def new_password(secret: str) -> ResponseReturnValue:
    """Choose a new password. A program that merely opens the link changes nothing."""
    field_errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            resets.choose(current_program().database, secret, request.form.get("password", ""))
        except InvalidInput as error:
            field_errors = error.field_errors
        else:
            current_program().background.wake()
            flash("Your password has been changed. Sign in with it.")
            return redirect(url_for("people.sign_in"), 303)
    link_works = resets.works(current_program().database, secret)
    return render_template(
        "new_password.html", link_works=link_works, field_errors=field_errors
    ), 400 if field_errors else 200 if link_works else 404


@bp.get("/school-account")
def school_sign_in() -> ResponseReturnValue:
    """Redirect to the provider."""
    return _to_provider()


@bp.route("/initiate", methods=["GET", "POST"])
def initiate() -> ResponseReturnValue:
    """Third-party initiated login (OpenID Connect Core §4), from our provider only; it ends at the connector page."""
    if request.values.get("iss", "").rstrip("/") != current_program().settings.issuer:
        raise UntrustedResponse("login initiated by another issuer than our provider")
    return _to_provider(request.values.get("login_hint"))


csrf.exempt(initiate)  # the provider may post to it without our token


@bp.get("/callback")
def callback() -> ResponseReturnValue:
    """The redirect from the provider. A person signed in by password stays so, and is known to act for the school."""
    program = current_program()
    signed_in = school_account.finish(
        program.database, program.provider, program.settings, browser=browser(), response=request.args
    )
    sign_in_by_school_account(signed_in)
    account = current_account()  # None if the sign-in by password has ended meanwhile
    if account is not None and signed_in.estab_id is not None:
        urn = (signed_in.about.get("organisation") or {}).get("urn")
        accounts.store_acts_for(program.database, account.id, signed_in.estab_id, urn)
    return redirect(url_for("connector.connector"), 303)


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """Sign out here, then at the provider, if the browser is signed in there."""
    ended = current_sign_in()
    end_sign_in()
    if ended and ended.id_token:
        session["sign_out_state"] = state = secrets.token_urlsafe(16)
        try:
            program = current_program()
            url = school_account.sign_out_url(program.provider, program.settings, ended, state=state)
        except ProviderError:
            return redirect(url_for("people.signed_out"), 303)
        return redirect(url, 303)
    return redirect(url_for("people.signed_out"), 303)


@bp.get("/signed-out")
def signed_out() -> ResponseReturnValue:
    """Say that the person is signed out: here, or also at the provider if it redirected the browser here."""
    state = session.pop("sign_out_state", None)
    return render_template("signed_out.html", everywhere=state is not None and state == request.args.get("state"))


def _to_provider(login_hint: str | None = None) -> ResponseReturnValue:
    program = current_program()
    url = school_account.begin(
        program.database, program.provider, program.settings, browser=browser(), login_hint=login_hint
    )
    return redirect(url, 302)
