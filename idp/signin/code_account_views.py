"""The two pages that operators and partners' people have in common: the one-time set-up, and signing in with a code."""

from flask import flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from idp.estabs import credentials
from idp.foundation import database, runtime
from idp.foundation.errors import TooManyRequests
from idp.foundation.web import post_redirect_get, security
from idp.signin import code_accounts, devices, session
from idp.signin.code_accounts import Accounts
from idp.signin.forms import CodeAccountSetUpForm, CodeAccountSignInForm
from idp.signin.models import Developer, Operator


def set_up(accounts: Accounts[Operator] | Accounts[Developer], secret: str, *, home: str) -> ResponseReturnValue:
    """Set up a password and an authenticator app, sign the person in, and redirect to the path `home`.

    A GET changes nothing, because mail scanners follow links.
    """
    account = accounts.find_by_link(secret)
    if request.method != "POST":  # some scanners ask by HEAD
        return render_template("signin/set_up_begin.html", account=account, kind=accounts.name)
    form, password_hash = CodeAccountSetUpForm(), None
    if "finish" not in request.form:
        form = CodeAccountSetUpForm(formdata=None)
    else:
        form.validate()
        password_hash = _checked_password(secret, account, form)
        if not form.errors and password_hash and _finish(accounts, secret, form, password_hash):
            session.begin(account.id, session.PASSWORD_AND_CODE, kind=accounts.name)
            flash(
                "You are set up and signed in. From now on, your password and a code from your app sign you in.",
                "success",
            )
            return redirect(home, 303)
    form.sealed_password.data = code_accounts.seal_for_set_up(secret, password_hash) if password_hash else ""
    post_redirect_get.mark_secret_page(back_to=request.path)  # the seed of the code
    set_up = accounts.begin_set_up(secret)
    return form.response(render_template("signin/set_up.html", form=form, set_up=set_up, kind=accounts.name))


def sign_in(accounts: Accounts[Operator] | Accounts[Developer], *, home: str, template: str) -> ResponseReturnValue:
    """Sign in by e-mail address, password and code, and redirect to `next`, or to the path `home`."""
    return_path = security.local_path(request.args.get("next"), home)
    form = CodeAccountSignInForm()
    if not form.validate_on_submit():
        return form.response(render_template(template, form=form))
    try:
        account = accounts.check(form.email.data, form.password.data, form.code.data, device=devices.device_id())
    except (code_accounts.WrongCredentials, TooManyRequests) as error:
        form.show_refusal(error)
        return form.response(render_template(template, form=form))  # no rollback: the guess is counted
    session.begin(account.id, session.PASSWORD_AND_CODE, kind=accounts.name)
    return redirect(return_path, 303)


def _checked_password(secret: str, account: Operator | Developer, form: CodeAccountSetUpForm) -> str | None:
    """The hash of the password, or of the one accepted earlier; None, with an error in the form, if neither is good."""
    password = form.password.data or ""
    sealed = form.sealed_password.data
    if not password and sealed and (earlier_hash := code_accounts.unseal_for_set_up(secret, sealed)):
        return earlier_hash
    about = credentials.words_of(account.name, account.email)
    if reason := credentials.rejection_reason(password, about) if password else "Choose a password.":
        form.password.errors = [reason]
        return None
    database.end_read_transaction()
    return runtime.passwords().hash(password)


def _finish(
    accounts: Accounts[Operator] | Accounts[Developer], secret: str, form: CodeAccountSetUpForm, password_hash: str
) -> bool:
    try:
        accounts.finish_set_up(secret, password_hash=password_hash, code=form.code.data)
    except code_accounts.WrongCode as error:
        form.code.errors = [error.message]
        return False
    return True
