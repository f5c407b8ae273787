"""The People page: who acts for the school. Owners invite people, change roles, remove people and hand over."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from wtforms import EmailField, RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired

from idp.estabs import authority, links, members, permissions, person_invitations
from idp.estabs.models import Membership
from idp.estabs.permissions import ROLES, SUMMARIES, TITLES, Action
from idp.foundation import runtime
from idp.foundation.web import form_drafts, security
from idp.foundation.web.contact_fields import EmailForm, colleagues_email, colleagues_name, one_line, parse_email
from idp.foundation.web.forms import Form
from idp.foundation.web.throttle import at_most, limiter
from idp.manage import people_page
from idp.signin import removal, session, step_up

bp = Blueprint("people", __name__, url_prefix="/manage/people")

CHOICES = [SelectChoice(role, TITLES[role]) for role in ROLES]


class InviteForm(EmailForm):
    """The person to invite."""

    name = StringField("Their name", filters=[one_line], validators=[colleagues_name])
    email = EmailField("Their work e-mail address", validators=[colleagues_email])
    role = RadioField("What may they do?", [InputRequired("Choose what they may do")], choices=CHOICES)


class RoleForm(Form):
    """What a person may do for the school."""

    role = RadioField("What may they do?", [InputRequired("Choose what they may do")], choices=CHOICES)


class HandOverForm(Form):
    """The new owner, and what the present one may do afterwards."""

    person = RadioField("Who becomes an owner?", [InputRequired("Choose who becomes an owner")])
    role = RadioField(
        "What may you do afterwards?", [InputRequired("Choose what you may do afterwards")], choices=CHOICES[1:]
    )


@bp.get("")
@security.person
def home() -> ResponseReturnValue:
    """Who acts for the school, who is invited, and who asks to join."""
    member = current_user.membership
    authority.check(member, Action.SEE_PEOPLE)
    return render_template(
        "manage/people.html", people_page=people_page.build(member), role_table=permissions.rights_table()
    )


@bp.route("/invite", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
@limiter.limit(at_most(60, "hour"), methods=["POST"])
def invite() -> ResponseReturnValue:
    """Invite a person. Neither the response nor the mail depends on whether the address has an account."""
    owner, form = _require_owner(), InviteForm()
    if form.validate_on_submit():
        try:
            person_invitations.invite(form.name.data, parse_email(form.email.data), form.role.data, by=owner)
        except (person_invitations.MemberAlready, person_invitations.InvitedAlready) as error:
            form.show_refusal(error, form.email)
        except person_invitations.TooManyInvitations as error:
            form.show_refusal(error)
        else:
            flash(f"We have sent {form.name.data} an e-mail with a link to accept.", "success")
            return redirect(url_for(".home"), 303)
    days = runtime.settings().onboarding.invitation_lifetime_days
    return form.response(
        render_template(
            "manage/people/invite.html", form=form, school=owner.estab.name, role_details=SUMMARIES, days=days
        )
    )


@bp.post("/invitations/<invitation_id>/resend")
@security.person
@form_drafts.form_shown_at("manage.people.home")
@step_up.recent_sign_in_required
def resend(invitation_id: str) -> ResponseReturnValue:
    """Send a new link in place of the one before."""
    invitation = person_invitations.resend(invitation_id, by=_require_owner())
    flash(f"We have sent {invitation.name} a new link. The earlier link no longer works.", "success")
    return redirect(url_for(".home"), 303)


@bp.post("/invitations/<invitation_id>/cancel")
@security.person
@form_drafts.form_shown_at("manage.people.home")
@step_up.recent_sign_in_required
def cancel(invitation_id: str) -> ResponseReturnValue:
    """Take an invitation back."""
    invitation = person_invitations.cancel(invitation_id, by=_require_owner())
    flash(f"The invitation to {invitation.name} has been cancelled. Its link no longer works.", "success")
    return redirect(url_for(".home"), 303)


@bp.route("/<person_id>/role", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
def role(person_id: str) -> ResponseReturnValue:
    """Give a person another role."""
    owner = _require_owner()
    member = members.find(owner, person_id)
    form = RoleForm(role=member.role)
    if form.validate_on_submit():
        name = member.person.name
        if members.change_role(member, form.role.data, by=owner):
            flash(f"{name} has a new role: {TITLES[form.role.data]}.", "success")
        return redirect(url_for(".home"), 303)
    page = render_template(
        "manage/people/role.html", form=form, role_details=SUMMARIES, member=member,
        is_you=member.person_id == owner.person_id,
    )  # fmt: skip
    return page, 422 if form.errors else 200


@bp.route("/<person_id>/remove", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
def remove(person_id: str) -> ResponseReturnValue:
    """Ask for confirmation, and remove a person at once."""
    owner = _require_owner()
    member, form = members.find(owner, person_id), Form()
    if member.person_id == owner.person_id:
        return redirect(url_for(".leave"), 303)
    if form.validate_on_submit():
        removal.remove(member, by=owner)
        flash(f"{member.person.name} no longer acts for your school.", "success")
        return redirect(url_for(".home"), 303)
    return render_template("manage/people/remove.html", form=form, member=member)


@bp.route("/leave", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
def leave() -> ResponseReturnValue:
    """Ask for confirmation, and end one's own membership."""
    member, form = current_user.membership, Form()
    if form.validate_on_submit():
        removal.remove(member, by=member)
        session.end_here()
        flash(f"You no longer act for {member.estab.name}.", "success")
        return redirect(url_for("signin.signed_out"), 303)
    has_others = len(member.person.memberships) > 1
    return render_template("manage/people/leave.html", form=form, member=member, has_others=has_others)


@bp.route("/hand-over", methods=["GET", "POST"])
@security.person
@step_up.recent_sign_in_required
def hand_over() -> ResponseReturnValue:
    """Make a colleague an owner, and step down."""
    owner, form = _require_owner(), HandOverForm()
    colleagues = people_page.successors(owner)
    form.person.choices = [SelectChoice(member.person_id, member.person.name) for member in colleagues]
    if form.validate_on_submit():
        member = members.find(owner, form.person.data)
        members.hand_over(member, form.role.data, by=owner)
        flash(f"{member.person.name} is now an owner of your school's account.", "success")
        return redirect(url_for(".home"), 303)
    emails = {member.person_id: member.person.email for member in colleagues}
    page = render_template(
        "manage/people/hand_over.html", form=form, school=owner.estab.name, emails=emails, role_details=SUMMARIES
    )
    return page, 422 if form.errors else 200


def _require_owner() -> Membership:
    """The person who is signed in. Raises `authority.NotPermitted` for one who is not an owner."""
    member: Membership = current_user.membership
    authority.check(member, Action.MANAGE_PEOPLE)
    return member


@bp.errorhandler(links.LinkRefused)
def invitation_answered(error: links.LinkRefused) -> ResponseReturnValue:
    """The invitation was answered or cancelled: say so on the page with the present state."""
    flash(error.message, "info")
    return redirect(url_for("manage.people.home"), 303)
