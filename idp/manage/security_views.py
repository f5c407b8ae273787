"""The Security page of a person's own account: how they sign in, and their second factors."""

from contextlib import suppress

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.estabs import people
from idp.federation import linking
from idp.foundation.web import form_drafts, post_redirect_get, security
from idp.manage import passkey_views, second_step_setup
from idp.signin import (
    authenticator_app,
    factor_removal,
    factors,
    passkeys,
    recovery_codes,
    second_step_offer,
    session,
    step_up,
)
from idp.signin.forms import SecondStepForm

bp = Blueprint("security", __name__, url_prefix="/manage/security")
bp.register_blueprint(passkey_views.bp)


@bp.get("")
@security.own_account
def home() -> ResponseReturnValue:
    """What protects this account, and what can be added, replaced and removed."""
    linked_accounts = linking.provider_accounts(current_user.id)
    if linked_accounts:
        security.allow_form_redirects()  # to the provider, and from there wherever it signs the person in
    return render_template(
        "manage/security.html", app=authenticator_app.in_use(current_user.id), kinds=factors.kinds(current_user.id),
        passkeys=passkeys.list_for_person(current_user.id), codes_left=recovery_codes.count_unused(current_user.id),
        linked_accounts=linked_accounts, member=current_user.membership if current_user.estab_id else None,
    )  # fmt: skip


@bp.get("/second-step")
@security.own_account
def second_step() -> ResponseReturnValue:
    """Offer each kind of second step to a person who needs one; if they have one, they sign in with it instead."""
    flow = second_step_setup.current()
    if current_user.has_second_step:
        return redirect(flow.return_path, 303)
    if factors.has_any(current_user.id):
        return step_up.sign_in_with_second_step(flow.return_path)
    locked = people.membership(current_user.id, current_user.locked_estab_id) if current_user.locked_estab_id else None
    return render_template("manage/second_step.html", flow=flow, locked=locked)


@bp.route("/app", methods=["GET", "POST"])
@security.own_account
@step_up.recent_sign_in_required
def set_up_app() -> ResponseReturnValue:
    """Set up an authenticator app by a code of it, or replace the one in use."""
    person, form, flow = current_user.person, SecondStepForm(), second_step_setup.current()
    if form.validate_on_submit():
        try:
            replaced = authenticator_app.finish(person.id, current_user.sid, form.code.data)
        except authenticator_app.WrongCode as error:
            form.code.errors = [error.message]
        else:
            factors.note_added(person, factors.APP, replaced=replaced)
            session.renew(current_user.amr | {"otp", "mfa"})
            flash(f"Your authenticator app is {'replaced' if replaced else 'set up'}.", "success")
            return redirect(second_step_setup.address_after_adding(person.id), 303)
    new_app = authenticator_app.begin(person.id, person.email, current_user.sid)
    post_redirect_get.mark_secret_page(back_to=flow.path(".set_up_app"))
    page = render_template(
        "manage/set_up_app.html", form=form, new_app=new_app, replaces=authenticator_app.is_set_up(person.id),
        back=flow.back_address,
    )  # fmt: skip
    return page, 422 if form.errors else 200


@bp.route("/app/remove", methods=["GET", "POST"])
@security.own_account
@step_up.recent_sign_in_required
def remove_app() -> ResponseReturnValue:
    """Ask for confirmation, and remove the authenticator app."""
    person = current_user.person
    if request.method == "POST":
        with suppress(factor_removal.FactorNeeded):  # the page explains why not
            if not factor_removal.remove_app(person):
                return redirect(url_for(".home"), 303)
            flash("Your authenticator app has been removed.", "success")
            return redirect(second_step_setup.address_after_change(second_step_setup.current()), 303)
    page = render_template(
        "manage/remove_app.html", is_set_up=authenticator_app.is_set_up(person.id),
        is_needed=factor_removal.is_required(person),
    )  # fmt: skip
    return page, 409 if request.method == "POST" else 200


@bp.route("/recovery-codes", methods=["GET", "POST"])
@security.own_account
@step_up.recent_sign_in_required
def make_recovery_codes() -> ResponseReturnValue:
    """Offer a new set of recovery codes, and show it, once, in the response to the POST."""
    person, flow = current_user.person, second_step_setup.current()
    has_factor = factors.has_any(person.id)
    if request.method != "POST" or not has_factor:
        left = recovery_codes.count_unused(person.id)
        was_just_added = "next" in request.args
        back = second_step_setup.address_after_change(flow) if was_just_added else flow.return_path
        return render_template("manage/recovery_codes.html", has_factor=has_factor, codes_left=left, back=back)
    codes, back = recovery_codes.make(person), second_step_setup.address_after_change(flow)
    post_redirect_get.mark_secret_page(back_to=back)
    return render_template("manage/recovery_codes_made.html", codes=codes, username=person.username, back=back)


@bp.post("/not-now")
@security.own_account
@form_drafts.form_shown_at("manage.home")
def snooze_second_step() -> ResponseReturnValue:
    """Do not ask the person to set up a second step for 30 days."""
    second_step_offer.snooze(current_user.id)
    flash("We will ask you again in 30 days. You can set up a second step on the Security page at any time.", "info")
    return redirect(url_for("manage.home"), 303)


@bp.errorhandler(authenticator_app.SetUpExpired)
def set_up_expired(error: authenticator_app.SetUpExpired) -> ResponseReturnValue:
    """Show a new QR code; or, if the first of two clicks has set the app up, the page to return to."""
    flow = second_step_setup.current()
    if authenticator_app.is_set_up(current_user.id):
        return redirect(flow.return_path, 303)
    flash(error.message, "info")
    return redirect(flow.path(".set_up_app"), 303)
