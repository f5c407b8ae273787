"""A person's passkeys on the Security page: add, rename and remove them."""

from contextlib import suppress

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from idp.foundation.web import browser_store, form_drafts, security
from idp.foundation.web.throttle import at_most, limiter
from idp.manage import second_step_setup
from idp.signin import devices, factor_removal, factors, passkey_sign_in, passkeys, session, step_up
from idp.signin.forms import PasskeyNameForm

bp = Blueprint("passkeys", __name__, url_prefix="/passkeys")


@bp.route("/add", methods=["GET", "POST"])
@security.own_account
@step_up.recent_sign_in_required
def add() -> ResponseReturnValue:
    """Add a passkey of this device, or of another one that the browser reaches."""
    person, form = current_user.person, PasskeyNameForm()
    if form.validate_on_submit():
        try:
            passkey = passkeys.register(
                person, request.form.get("passkey", ""), name=form.name.data,
                device=devices.describe(str(request.user_agent)), browser=browser_store.browser_id(),
            )  # fmt: skip
        except passkeys.PasskeyNotAdded as error:
            form.form_errors.append(error.message)
        else:
            factors.note_added(person, factors.PASSKEY)
            session.renew(current_user.amr | passkey_sign_in.METHODS)  # they have shown two factors
            flash(f'Your passkey "{passkey.name}" has been added.', "success")
            return redirect(second_step_setup.address_after_adding(person.id), 303)
    is_first, back = not factors.has_any(person.id), second_step_setup.current().back_address
    page = render_template("manage/add_passkey.html", form=form, is_first=is_first, back=back)
    return page, 422 if form.errors else 200


@bp.post("/options.json")
@security.own_account
@form_drafts.form_shown_at("manage.security.passkeys.add")
@limiter.limit(at_most(30, "minute"))
@step_up.recent_sign_in_required
def options() -> ResponseReturnValue:
    """The options with which the page's script requests a new passkey, as JSON."""
    return jsonify(passkeys.creation_options(current_user.person, browser=browser_store.ensure_browser_id()))


@bp.route("/<passkey_id>/rename", methods=["GET", "POST"])
@security.own_account
def rename(passkey_id: str) -> ResponseReturnValue:
    """Rename a passkey; an empty name changes nothing."""
    passkey = passkeys.get(current_user.id, passkey_id)
    form = PasskeyNameForm(name=passkey.name)
    if form.validate_on_submit():
        if form.name.data:
            passkeys.rename(current_user.id, passkey_id, form.name.data)
            flash(f'The passkey is now called "{form.name.data}".', "success")
        return redirect(url_for("manage.security.home"), 303)
    return render_template("manage/rename_passkey.html", form=form, passkey=passkey), 422 if form.errors else 200


@bp.route("/<passkey_id>/remove", methods=["GET", "POST"])
@security.own_account
@step_up.recent_sign_in_required
def remove(passkey_id: str) -> ResponseReturnValue:
    """Ask for confirmation, and remove a passkey."""
    person = current_user.person
    if request.method == "POST":
        with suppress(factor_removal.FactorNeeded):  # the page explains why not
            factor_removal.remove_passkey(person, passkey_id)
            flash("The passkey has been removed. It no longer signs you in.", "success")
            return redirect(second_step_setup.address_after_change(second_step_setup.current()), 303)
    page = render_template(
        "manage/remove_passkey.html", passkey=passkeys.get(person.id, passkey_id),
        is_last=factor_removal.is_last_factor(person.id, passkey_id),
        is_needed=factor_removal.is_required(person, passkey_id),
    )  # fmt: skip
    return page, 409 if request.method == "POST" else 200
