"""A person's own account on the school's pages: name, e-mail address and mobile number."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import EmailField, StringField, TelField

from idp.estabs import links, people
from idp.foundation.errors import Refusal
from idp.foundation.web import security
from idp.foundation.web.contact_fields import (
    EmailForm,
    email_address,
    mobile_number,
    one_line,
    parse_email,
    parse_mobile,
    person_name,
)
from idp.foundation.web.forms import Form
from idp.foundation.web.throttle import at_most, limiter
from idp.signin import email_change, mobile, mobile_change, step_up, undo_changes
from idp.signin.forms import MobileCodeForm

bp = Blueprint("account", __name__, url_prefix="/manage/account")


class NameForm(Form):
    """The person's name."""

    name = StringField("Your name", filters=[one_line], validators=[person_name])


class NewEmailForm(EmailForm):
    """The new e-mail address."""

    email = EmailField("Your new e-mail address", validators=[email_address])


class NewMobileForm(Form):
    """The new mobile number."""

    mobile = TelField("Your new mobile number", validators=[mobile_number])


@bp.get("")
@security.person
def home() -> ResponseReturnValue:
    """What we know of the person, and what they can change."""
    person = current_user.person
    return render_template("manage/account.html", person=person, number=mobile.readable(person.mobile))


@bp.route("/name", methods=["GET", "POST"])
@security.person
def change_name() -> ResponseReturnValue:
    """Change the name."""
    person = current_user.person
    form = NameForm(name=person.name)
    if form.validate_on_submit():
        people.change_name(person, form.name.data)
        flash("Your name has been changed.", "success")
        return redirect(url_for(".home"), 303)
    return render_template("manage/account_name.html", form=form), 422 if form.errors else 200


@bp.route("/email", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
def change_email() -> ResponseReturnValue:
    """Send a link to a new address."""
    person, form = current_user.person, NewEmailForm()
    if form.validate_on_submit():
        address = parse_email(form.email.data)
        try:
            email_change.begin(person, address)
        except Refusal as error:
            form.show_refusal(error, form.email)
        else:
            flash(f"We have sent a link to {address}. Your address changes when you open it.", "info")
            return redirect(url_for(".home"), 303)
    page = render_template("manage/account_email.html", form=form, person=person, days=undo_changes.LIFETIME.days)
    return form.response(page)


@bp.route("/email/<secret>", methods=["GET", "POST"])
@security.person
@limiter.limit(at_most(60, "minute"))
def confirm_email(secret: str) -> ResponseReturnValue:
    """The link that was sent to the new address. Opening it changes nothing: mail scanners open links too."""
    form, address = Form(), email_change.check(secret, current_user.person)
    if form.validate_on_submit():
        if email_change.confirm(secret, current_user.person):
            flash(f"Your e-mail address is now {address}.", "success")
        else:
            username = current_user.person.username
            message = (
                f"Your e-mail address is now {address}. That address already signs in to another account. "
                f"Sign in to this one with your username, {username}."
            )
            flash(message, "success")
        return redirect(url_for(".home"), 303)
    return render_template("manage/account_confirm_email.html", form=form, address=address)


@bp.route("/mobile", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
def change_mobile() -> ResponseReturnValue:
    """Send a code to a new number."""
    person, form = current_user.person, NewMobileForm()
    if form.validate_on_submit():
        try:
            mobile_change.begin(person, parse_mobile(form.mobile.data))
        except Refusal as error:
            form.show_refusal(error, form.mobile)
        else:
            return redirect(url_for(".confirm_mobile"), 303)
    page = render_template(
        "manage/account_mobile.html", form=form, number=mobile.readable(person.mobile), days=undo_changes.LIFETIME.days
    )
    return form.response(page)


@bp.route("/mobile/code", methods=["GET", "POST"])
@security.person
def confirm_mobile() -> ResponseReturnValue:
    """The code that was sent to the new number."""
    person, form = current_user.person, MobileCodeForm()
    if not mobile_change.is_waiting(person) and not form.is_submitted():
        return redirect(url_for(".home"), 303)
    if form.validate_on_submit():
        try:
            mobile_change.confirm(person, form.code.data)
        except Refusal as error:  # no rollback: the attempt is counted
            form.show_refusal(error, form.code)
        else:
            flash(
                "Your mobile number has been changed. From this time tomorrow you can use it to set a new password.",
                "success",
            )
            return redirect(url_for(".home"), 303)
    return form.response(render_template("manage/account_mobile_code.html", form=form))


@bp.errorhandler(links.LinkRefused)
def link_refused(error: links.LinkRefused) -> ResponseReturnValue:
    """Say what is wrong with the link, and lead to a new one."""
    return render_template("manage/account_link_refused.html", refusal=error), error.status
